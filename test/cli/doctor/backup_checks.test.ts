import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { expect } from 'chai';
import { BACKUP_ADVICE, BACKUP_CHECKS } from '../../../src/cli/doctor/backup_checks.ts';
import { recordEvent } from '../../../src/database/audit_log.ts';
import { openDatabase } from '../../../src/database/database.ts';
import type { BackupStatus } from '../../../src/server/backup_schedule.ts';
import { look, subjectOf } from '../../support/doctor.ts';
import { remove, temporaryDirectory } from '../../support/embedded.ts';
import { createTestDatabase } from '../../support/test_database.ts';

describe('the check of backups', function () {
  this.timeout(60_000);
  const directory = temporaryDirectory();
  const backups = join(directory, 'backups');
  const settings = {
    PASSMANAGER_BACKUP_DIR: backups,
    PASSMANAGER_BACKUP_PASSPHRASE: 'correct horse battery staple',
    PASSMANAGER_HTTP_PORT: '1',
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

  it('fails where the server says that the last backup failed, or the command after it, with what to look for', async () => {
    const now = Date.parse('2026-11-24T12:00:00Z');
    mkdirSync(backups);
    writeFileSync(join(backups, 'passmanager-2026-11-24T00-00-00Z.pmbackup'), 'x');
    let body: unknown;
    const server = createServer((_, response) => response.end(JSON.stringify(body)));
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    const port = String((server.address() as AddressInfo).port);
    const subject = subjectOf({ ...settings, PASSMANAGER_HTTP_PORT: port }, { now });
    try {
      for (const [last, state, advice] of [
        ['backup failed', 'failure', BACKUP_ADVICE.backup],
        ['command failed', 'failure', BACKUP_ADVICE.command],
        ['made', 'good', ''],
        ['none', 'good', ''],
      ] as const) {
        body = { status: 'ready', backup: { last, newestAgeSeconds: 1 } satisfies BackupStatus };
        expect(await look(BACKUP_CHECKS, 'backup', subject), last).to.include({ state, advice });
      }
      for (const strange of [[], 'text', null, {}]) {
        body = strange;
        expect(await look(BACKUP_CHECKS, 'backup', subject)).to.include({ state: 'good' });
      }
    } finally {
      server.closeAllConnections();
      server.close();
    }
  });

  it('goes by the audit log where the operator makes them, and warns once the last is older than a week', async () => {
    const own = await createTestDatabase();
    const database = await openDatabase({ connection: own.connection, poolSize: 1 });
    const state = async (now = Date.now()) =>
      (await look(BACKUP_CHECKS, 'backup', subjectOf({}, { database, now }))).state;
    try {
      await recordEvent(database.writes, 'backup restored');
      expect(await state()).to.equal('warning');
      await recordEvent(database.writes, 'backup made');
      expect(await state()).to.equal('good');
      expect(await state(Date.now() + 9 * 24 * 3_600_000)).to.equal('warning');
    } finally {
      await database.close();
      await own.drop();
    }
  });
});
