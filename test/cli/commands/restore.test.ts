import { existsSync, writeFileSync } from 'node:fs';
import { expect } from 'chai';
import { openDatabase } from '../../../src/database/database.ts';
import { type BackupWorld, contentsOf, createBackupWorld, PASSPHRASE } from '../../support/backup_world.ts';
import { runCli } from '../../support/cli.ts';
import { createTestDatabase, type TestDatabase } from '../../support/test_database.ts';
import { databaseUrl } from '../../support/test_server.ts';

describe('passmanager restore', function () {
  this.timeout(60_000);
  let world: BackupWorld;
  let target: TestDatabase;

  before(async () => {
    world = await createBackupWorld();
    target = await createTestDatabase({ migrated: false });
    writeFileSync(world.at('passphrase'), `${PASSPHRASE}\n`);
    const { code } = await runCli(['backup', world.at('a'), '-p', world.at('passphrase')], {
      PASSMANAGER_DATABASE_URL: databaseUrl(world.database),
      PASSMANAGER_KEY_FILE: world.keyFile,
    });
    expect(code).to.equal(0);
  });

  after(async () => {
    await target.drop();
    await world.drop();
  });

  const run = (parameters: string[] = [], settings: Record<string, string> = {}, answers?: string[]) =>
    runCli(
      ['restore', world.at('a'), '-p', world.at('passphrase'), ...parameters],
      {
        PASSMANAGER_DATABASE_URL: databaseUrl(target),
        PASSMANAGER_KEY_FILE: world.at('restored-key'),
        PASSMANAGER_DATA_DIR: world.at('data'),
        ...settings,
      },
      answers,
    );

  it('refuses without a passphrase file', async () => {
    expect(await runCli(['restore', world.at('a')])).to.include({ code: 64 });
  });

  it('makes no database where the file does not open', async () => {
    writeFileSync(world.at('other'), 'another horse battery\n');
    const settings = { PASSMANAGER_DATA_DIR: world.at('never') };
    expect(await runCli(['restore', world.at('a'), '-p', world.at('other')], settings)).to.include({
      code: 1,
    });
    expect(await runCli(['restore', world.at('other'), '-p', world.at('passphrase')], settings)).to.include({
      code: 1,
    });
    expect(existsSync(world.at('never'))).to.equal(false);
  });

  it('brings everything back into an empty database, with the key file', async () => {
    const { code, out } = await run();
    expect(code).to.equal(0);
    expect(out).to.contain('Start the server');
    expect(await contentsOf(target)).to.deep.equal(await contentsOf(world.database));
    expect(existsSync(world.at('restored-key'))).to.equal(true);
  });

  it('deletes accounts only when that was said and confirmed', async () => {
    const before = await contentsOf(target);
    const refused = await run();
    expect(refused).to.include({ code: 1 });
    expect(refused.notes).to.contain('2 accounts').and.to.contain('--replace');
    expect((await run(['--replace'])).notes).to.contain('--yes');
    expect((await run(['--replace'], {}, ['no'])).code).to.equal(1);
    expect(await contentsOf(target)).to.deep.equal(before);
    expect((await run(['--replace'], {}, ['yes'])).code).to.equal(0);
    const report = JSON.parse((await run(['--replace', '--yes', '--json'])).out);
    expect(report.tables).to.deep.include.members([{ ...report.tables[1], table: 'users', rows: 2 }]);
  });

  it('refuses while a server has the database open', async () => {
    const server = await openDatabase({ connection: target.connection, poolSize: 1 });
    await server.reads.execute('select 1', []);
    expect((await run(['--replace', '--yes'])).notes).to.contain('stop it first');
    await server.close();
  });

  it('makes an embedded database where there is none', async () => {
    const settings = { PASSMANAGER_DATABASE_URL: '', PASSMANAGER_KEY_FILE: '' };
    expect((await run([], settings)).code).to.equal(0);
    const { out, notes } = await runCli(['stats', '--json'], { PASSMANAGER_DATA_DIR: world.at('data') });
    expect(notes).to.equal('');
    expect(JSON.parse(out)).to.include({ accounts: 2, entries: 10 });
    expect(existsSync(world.at('data/key'))).to.equal(true);
  });
});
