import { spawn } from 'node:child_process';
import { existsSync, readdirSync, readFileSync, utimesSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect } from 'chai';
import { type BackupWorld, contentsOf, createBackupWorld, PASSPHRASE } from '../support/backup_world.ts';
import { runCli } from '../support/cli.ts';
import { COMPILE_CACHE } from '../support/compile_cache.ts';
import { eventually } from '../support/eventually.ts';
import { createTestDatabase } from '../support/test_database.ts';
import { databaseUrl } from '../support/test_server.ts';

const MAIN = join(import.meta.dirname, '../../src/cli/main.ts');

describe('a backup or a restore that is killed or interrupted', function () {
  this.timeout(60_000);
  let world: BackupWorld;

  before(async () => {
    world = await createBackupWorld({ users: 2, entries: 20_000 });
    writeFileSync(world.at('passphrase'), `${PASSPHRASE}\n`);
  });

  after(() => world.drop());

  /** Starts a command in a process of its own; ends it, by -9 or another signal, once `when` holds. */
  async function killed(
    parameters: string[],
    settings: Record<string, string>,
    when: () => boolean | Promise<boolean>,
    by: NodeJS.Signals = 'SIGKILL',
  ): Promise<void> {
    const child = spawn(process.execPath, [MAIN, ...parameters, '-p', world.at('passphrase')], {
      env: { PATH: process.env.PATH, ...COMPILE_CACHE, TMPDIR: world.directory, ...settings },
      stdio: 'ignore',
    });
    const ended = new Promise<NodeJS.Signals | null>((resolve) =>
      child.on('exit', (_, signal) => resolve(signal)),
    );
    await eventually(when, 20_000);
    child.kill(by);
    expect(await ended).to.equal(by);
  }

  const settings = (url: string) => ({ PASSMANAGER_DATABASE_URL: url, PASSMANAGER_KEY_FILE: world.keyFile });

  it('leaves no file under the backup’s name, and the next one is whole', async () => {
    const source = settings(databaseUrl(world.database));
    const unfinished = () => readdirSync(world.directory).filter((name) => name.endsWith('.part'));
    await killed(['backup', world.at('a')], source, () => unfinished().length > 0);
    expect(existsSync(world.at('a'))).to.equal(false);
    // Long ago: a fresh one may be somebody's.
    for (const name of unfinished()) utimesSync(world.at(name), 1, 1);
    expect((await runCli(['backup', world.at('a'), '-p', world.at('passphrase')], source)).code).to.equal(0);
    expect(unfinished()).to.deep.equal([]);
    const verified = await runCli(['backup', 'verify', world.at('a'), '-p', world.at('passphrase')], source);
    expect(verified.code, verified.notes).to.equal(0);
  });

  it('leaves nothing at all when it was interrupted, nor does a proof', async () => {
    const source = settings(databaseUrl(world.database));
    const names = () => readdirSync(world.directory).sort();
    const before = names();
    const proving = () =>
      names().some(
        (name) =>
          name.startsWith('passmanager-verify-') &&
          existsSync(world.at(`${name}/data/postgres/data/postmaster.pid`)),
      );
    await killed(
      ['backup', world.at('b')],
      source,
      () => names().some((name) => name.endsWith('.part')),
      'SIGTERM',
    );
    await killed(['backup', 'verify', world.at('a')], source, proving, 'SIGTERM');
    expect(names()).to.deep.equal(before);
  });

  it('leaves the database that was there, and the next restore is whole', async () => {
    const target = await createTestDatabase();
    await target.query(`insert into invites (code_hash) values (decode(repeat('ab', 32), 'hex'))`);
    const before = await contentsOf(target);
    const key = readFileSync(world.keyFile, 'utf8');
    const restoring = async (): Promise<boolean> => {
      const rows = await target.query(
        `select 1 from pg_stat_activity where datname = current_database() and application_name = 'passmanager backup'
            and (query like 'copy "secure_data"%' or query like 'COPY "secure_data"%')`,
      );
      return rows.length > 0;
    };
    await killed(['restore', world.at('a')], settings(databaseUrl(target)), restoring);
    await eventually(async () => !(await restoring()), 20_000);
    expect(await contentsOf(target)).to.deep.equal(before);
    expect(readFileSync(world.keyFile, 'utf8')).to.equal(key);
    const restored = await runCli(
      ['restore', world.at('a'), '-p', world.at('passphrase')],
      settings(databaseUrl(target)),
    );
    expect(restored.code, restored.notes).to.equal(0);
    const [row] = await target.query('select count(*)::int as n from secure_data');
    expect(row!.n).to.equal(40_000);
    await target.drop();
  });
});
