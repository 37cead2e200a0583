import { mkdirSync, readdirSync, readFileSync, utimesSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect } from 'chai';
import { verifyBackup } from '../../src/database/backup/backup.ts';
import {
  BACKUP_WARNINGS,
  BackupSchedule,
  type BackupStatus,
  listBackups,
} from '../../src/server/backup_schedule.ts';
import type { BackupSettings } from '../../src/server/config.ts';
import { type BackupWorld, createBackupWorld, PASSPHRASE } from '../support/backup_world.ts';
import { collectingLog } from '../support/collecting_log.ts';
import { recordingLog } from '../support/embedded.ts';
import { eventually } from '../support/eventually.ts';
import { startTestServer } from '../support/test_server.ts';

const HOUR_MS = 3_600_000;

describe('the schedule of backups', function () {
  this.timeout(60_000);
  let world: BackupWorld;
  let now: number;
  const { log, lines } = collectingLog();

  beforeEach(async () => {
    world = await createBackupWorld();
    now = Date.parse('2026-11-24T01:02:03Z');
    lines.length = 0;
  });

  afterEach(() => world.drop());

  const directory = () => world.at('backups');
  const schedule = (settings: Partial<BackupSettings> = {}, keyFile = world.keyFile) =>
    new BackupSchedule(
      {
        directory: directory(),
        passphrase: PASSPHRASE,
        intervalHours: 24,
        keep: 2,
        command: undefined,
        ...settings,
      },
      { place: { connection: world.database.connection, keyFile }, log, now: () => now },
    );
  const begun = async (made: BackupSchedule): Promise<BackupSchedule> => {
    await made.start();
    await made.stop();
    return made;
  };
  const names = () => readdirSync(directory()).sort();

  it('says that a backup failed, tries again after a quarter of an hour, and warns of one that does not come', async () => {
    const failing = schedule({}, world.at('missing'));
    const running = (async () => {
      await failing.start();
      await eventually(() => failing.last() !== undefined);
    })();
    await running;
    expect(failing.last()).to.include({ ok: false, failed: 'backup', bytes: 0 });
    expect(failing.status()).to.deep.equal({ last: 'backup failed', newestAgeSeconds: null });
    expect(failing.warning()).to.equal(BACKUP_WARNINGS.backup);
    expect(lines.join()).to.contain('MissingKeyFileError');
    const attempts = () => lines.filter((line) => line.includes('scheduled backup failed')).length;
    await failing.run();
    expect(attempts()).to.equal(1);
    now += HOUR_MS / 4;
    await failing.run();
    expect(attempts()).to.equal(2);
    await failing.stop();
    expect(names()).to.deep.equal([]);

    const waiting = schedule();
    expect(waiting.warning()).to.equal(undefined);
    expect(waiting.status().last).to.equal('none');
    now += 49 * HOUR_MS;
    expect(waiting.warning()).to.equal(BACKUP_WARNINGS.overdue);
  });

  it('makes one when none is there, another when its time has come, and keeps the newest', async () => {
    const made = schedule();
    await made.start();
    await eventually(() => made.last()?.ok === true);
    expect(names()).to.deep.equal(['passmanager-2026-11-24T01-02-03Z.pmbackup']);
    expect(made.newestAt()?.toISOString()).to.equal('2026-11-24T01:02:03.000Z');
    now += 24 * HOUR_MS - 1;
    await made.run();
    expect(names()).to.have.length(1);
    writeFileSync(join(directory(), 'notes.txt'), 'not ours');
    for (let day = 0; day < 2; day += 1) {
      now += 24 * HOUR_MS;
      await made.run();
    }
    expect(names()).to.have.length(3);
    expect(names()).to.include('notes.txt').and.not.to.include('passmanager-2026-11-24T01-02-03Z.pmbackup');
    await made.stop();
    const [newest] = await listBackups(directory());
    const { tables } = await verifyBackup(newest!.path, { passphrase: PASSPHRASE, log: recordingLog() });
    expect(tables).to.have.length(5);
  });

  it('goes by what is there after a restart, and by the clock when that was put back', async () => {
    const first = schedule();
    await first.start();
    await eventually(() => first.last()?.ok === true);
    await first.stop();
    const second = await begun(schedule());
    expect(second.last()).to.equal(undefined);
    expect(second.newestAt()).not.to.equal(undefined);
    now -= 48 * HOUR_MS;
    const third = schedule();
    await third.start();
    await eventually(() => third.last()?.ok === true);
    await third.stop();
    expect(names()).to.have.length(2);
  });

  it('counts no file of the future and no empty one: the one just made stays, and so do they', async () => {
    mkdirSync(directory());
    const [future, empty] = [
      'passmanager-2036-01-01T00-00-00Z.pmbackup',
      'passmanager-2026-11-24T01-00-00Z.pmbackup',
    ];
    writeFileSync(join(directory(), future), 'of another clock');
    writeFileSync(join(directory(), empty), '');
    const made = schedule({ keep: 1 });
    await made.start();
    await eventually(() => made.last()?.ok === true);
    await made.stop();
    const first = 'passmanager-2026-11-24T01-02-03Z.pmbackup';
    expect(names()).to.deep.equal([empty, first, future]);
    expect(made.newestAt()?.getTime()).to.equal(now);
    now += 24 * HOUR_MS;
    const next = await begun(schedule({ keep: 1 }));
    expect(next.newestAt()?.toISOString()).to.equal('2026-11-24T01:02:03.000Z');
  });

  it('clears its directory of what was left unfinished long ago, and of nothing else', async () => {
    mkdirSync(directory());
    const left = 'passmanager-2026-11-01T01-02-03Z.pmbackup.0123456789ab.part';
    const kept = ['passmanager-2026-11-02T01-02-03Z.pmbackup.part', 'mine.part'];
    for (const name of [left, ...kept]) writeFileSync(join(directory(), name), 'half');
    for (const name of [left, 'mine.part']) utimesSync(join(directory(), name), 1, 1);
    const failing = schedule({}, world.at('missing'));
    await begun(failing);
    expect(names()).to.deep.equal([...kept].sort());
  });

  it('runs a program with the path of the backup, without a shell and without secrets, and again when it failed', async () => {
    const program = world.at('copy.sh');
    writeFileSync(
      program,
      `#!/bin/sh\nenv > "${world.at('env')}"\nprintf '%s' "$*" > "${world.at('said')}"\ntest -e "${world.at('ok')}"\n`,
      {
        mode: 0o700,
      },
    );
    const made = schedule({ command: program });
    await made.start();
    await eventually(() => made.last()?.ok === false);
    const [name] = names();
    expect(readFileSync(world.at('said'), 'utf8')).to.equal(join(directory(), name!));
    expect(readFileSync(world.at('env'), 'utf8')).not.to.contain('PASSMANAGER');
    writeFileSync(world.at('ok'), '');
    now += HOUR_MS / 4;
    await made.run();
    await made.stop();
    expect(made.last()).to.include({ ok: true });
    expect(made.status()).to.deep.equal({ last: 'made', newestAgeSeconds: HOUR_MS / 4_000 });
    expect(names()).to.deep.equal([name]);
  });

  it('is part of a server that was told to: readiness says when it fails, and a stop does not wait for it', async () => {
    const server = await startTestServer({
      settings: {
        PASSMANAGER_BACKUP_DIR: directory(),
        PASSMANAGER_BACKUP_PASSPHRASE: PASSPHRASE,
        PASSMANAGER_BACKUP_COMMAND: world.at('missing-program'),
      },
    });
    await eventually(async () => {
      const answer = await fetch(`${server.httpUrl}/readyz`);
      const body = (await answer.json()) as { status: string; warning?: string; backup: BackupStatus };
      expect([answer.status, body.status]).to.deep.equal([200, 'ready']);
      if (body.warning === undefined) return false;
      expect(body.warning).to.equal(BACKUP_WARNINGS.command);
      expect(body.backup.last).to.equal('command failed');
      expect(body.backup.newestAgeSeconds).to.be.within(0, 30);
      return true;
    }, 10_000);
    expect(names()).to.have.length(1);
    await server.stop();
  });
});
