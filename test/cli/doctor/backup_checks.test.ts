import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect } from 'chai';
import { BACKUP_CHECKS } from '../../../src/cli/doctor/backup_checks.ts';
import { look, subjectOf } from '../../support/doctor.ts';
import { remove, temporaryDirectory } from '../../support/embedded.ts';

describe('the check of backups', () => {
  const directory = temporaryDirectory();
  const backups = join(directory, 'backups');
  const settings = {
    PASSMANAGER_BACKUP_DIR: backups,
    PASSMANAGER_BACKUP_PASSPHRASE: 'correct horse battery staple',
  };

  after(() => remove(directory));

  it('warns where none are scheduled, and fails where none are made or the newest is old', async () => {
    const at = (hours: number) =>
      look(
        BACKUP_CHECKS,
        'backup',
        subjectOf(settings, { now: Date.parse('2026-11-24T00:00:00Z') + hours * 3_600_000 }),
      );
    expect(await look(BACKUP_CHECKS, 'backup', subjectOf())).to.include({ state: 'warning' });
    expect(await at(0)).to.include({ state: 'failure' });
    mkdirSync(backups);
    writeFileSync(join(backups, 'another.file'), 'x');
    expect(await at(0)).to.include({ state: 'failure' });
    writeFileSync(join(backups, 'passmanager-2026-11-24T00-00-00Z.pmbackup'), 'x');
    expect(await at(49)).to.include({ state: 'failure' });
    const fresh = await at(12);
    expect(fresh).to.include({ state: 'good' });
    expect(fresh.detail).to.contain('12.0 hours').and.to.contain('1 B');
  });

  it('takes no file of the future and no empty one for the newest, and warns of them', async () => {
    const now = Date.parse('2026-11-24T12:00:00Z');
    const at = () => look(BACKUP_CHECKS, 'backup', subjectOf(settings, { now }));
    const good = await at();
    expect(good.state).to.equal('good');
    for (const [name, content] of [
      ['passmanager-2036-01-01T00-00-00Z.pmbackup', 'x'],
      ['passmanager-2026-11-24T11-00-00Z.pmbackup', ''],
    ] as const) {
      writeFileSync(join(backups, name), content);
      const found = await at();
      expect(found.state).to.equal('warning');
      expect(found.detail).to.contain(good.detail);
      rmSync(join(backups, name));
    }
    rmSync(join(backups, 'passmanager-2026-11-24T00-00-00Z.pmbackup'));
    writeFileSync(join(backups, 'passmanager-2036-01-01T00-00-00Z.pmbackup'), 'x');
    expect(await at()).to.include({ state: 'failure' });
    rmSync(backups, { recursive: true });
  });
});
