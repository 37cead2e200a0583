import { randomBytes } from 'node:crypto';
import { existsSync, readdirSync, readFileSync, renameSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { expect } from 'chai';
import { openDatabase } from '../../../src/database/database.ts';
import { startEmbeddedPostgres } from '../../../src/database/embedded/embedded_postgres.ts';
import { migrate } from '../../../src/database/migrator.ts';
import { openServerKeys } from '../../../src/database/server_keys.ts';
import { runCli } from '../../support/cli.ts';
import { recordingLog, remove, temporaryDirectory } from '../../support/embedded.ts';
import { createTestDatabase } from '../../support/test_database.ts';
import { databaseUrl } from '../../support/test_server.ts';

const CODE = /([0-9A-Z]{4}-){8}[0-9A-Z*~$=]/;

describe('passmanager keys', function () {
  this.timeout(60_000);
  let dataDir: string;

  beforeEach(() => {
    dataDir = join(temporaryDirectory(), 'data');
  });

  afterEach(() => remove(dirname(dataDir)));

  /** Runs a command of keys, with this answer to its question. */
  const run = (command: string, more: Record<string, string> = {}, answer = '') =>
    runCli(['keys', ...command.split(' ')], { PASSMANAGER_DATA_DIR: dataDir, ...more }, [answer]);

  /** Does what the server's start does with its keys. */
  async function startKeys(connection: Parameters<typeof openDatabase>[0]['connection']): Promise<string> {
    const database = await openDatabase({ connection, poolSize: 2 });
    try {
      await migrate(database);
      const keys = await openServerKeys({ database, keyFile: join(dataDir, 'key'), random: randomBytes });
      return keys.usernameLookup(new Uint8Array(32)).toString('hex');
    } finally {
      await database.close();
    }
  }

  it('refuses what is no command of it', async () => {
    for (const command of ['make', 'recover CODE', '']) expect((await run(command)).code).to.equal(64);
  });

  it('refuses where no server ever started, and makes nothing there', async () => {
    for (const command of ['recovery-code', 'recover', 'status']) {
      expect(await run(command)).to.have.property('code', 1);
      expect((await run(command)).notes).to.contain('npm start');
      expect(existsSync(dataDir)).to.equal(false);
    }
    const empty = await createTestDatabase({ migrated: false });
    try {
      const url = { PASSMANAGER_DATABASE_URL: databaseUrl(empty) };
      expect((await run('recovery-code', url)).notes).to.contain('npm start');
    } finally {
      await empty.drop();
    }
  });

  it('works on the embedded database while its server runs and while it does not', async () => {
    const server = await startEmbeddedPostgres({ dataDir, log: recordingLog() });
    const lookup = await startKeys(server.connection);
    expect((await run('status')).out).to.contain('There is no recovery code');
    const early = CODE.exec((await run('recovery-code')).out)![0];
    for (const answer of ['no', '']) {
      const declined = await run('recovery-code', {}, answer);
      expect(declined).to.include({ code: 1, out: '' });
    }
    expect((await runCli(['keys', 'recovery-code'], { PASSMANAGER_DATA_DIR: dataDir })).notes).to.contain(
      '--yes',
    );
    const second = CODE.exec((await run('recovery-code', {}, 'yes')).out)![0];
    await server.stop();
    const code = CODE.exec((await run('recovery-code --yes')).out)![0];
    expect(new Set([early, second, code]).size).to.equal(3);
    const status = await run('status --json');
    expect(status.code).to.equal(0);
    expect(JSON.parse(status.out)).to.deep.include({ opens: true, hasRecoveryCode: true });
    expect(JSON.parse(status.out).keys).to.have.length(2);

    renameSync(join(dataDir, 'key'), join(dataDir, 'lost'));
    expect(await run('recovery-code')).to.have.property('code', 1);
    const lost = await run('status');
    expect(lost.code).to.equal(1);
    expect(lost.out).to.contain('is missing');
    for (const wrong of ['', early]) {
      const refused = await run('recover', {}, wrong);
      expect(refused.code).to.equal(1);
      expect(refused.notes).to.contain('recovery code');
    }
    expect(existsSync(join(dataDir, 'key'))).to.equal(false);

    const done = await run('recover', {}, code.toLowerCase());
    expect(done).to.have.property('code', 0);
    expect(done.out).to.contain(join(dataDir, 'key'));
    expect((await run('recover', {}, code)).notes).to.contain('never overwritten');

    const again = await startEmbeddedPostgres({ dataDir, log: recordingLog() });
    expect(await startKeys(again.connection)).to.equal(lookup);
    await again.stop();
    for (const name of readdirSync(join(dataDir, 'postgres')).filter((each) =>
      each.startsWith('postgres.log'),
    )) {
      expect(readFileSync(join(dataDir, 'postgres', name), 'utf8')).not.to.match(CODE);
    }
  });

  it('rotates the sealing key when that was confirmed, and shows a new recovery code', async () => {
    const server = await startEmbeddedPostgres({ dataDir, log: recordingLog() });
    await startKeys(server.connection);
    await server.stop();
    const before = CODE.exec((await run('recovery-code')).out)![0];
    const declined = await run('rotate', {}, 'no');
    expect(declined.code).to.equal(1);
    expect(declined.notes).to.contain('recovery code of today will be void');
    expect((await runCli(['keys', 'rotate'], { PASSMANAGER_DATA_DIR: dataDir })).notes).to.contain('--yes');

    const done = await run('rotate', {}, 'yes');
    expect(done).to.have.property('code', 0);
    expect(done.out).to.contain('0 rows were sealed again');
    expect(CODE.exec(done.out)![0]).not.to.equal(before);
    const { keys, rowsUnderOtherKeys } = JSON.parse((await run('status --json')).out);
    expect(rowsUnderOtherKeys).to.equal(0);
    expect(keys.map(({ id, state }: { id: number; state: string }) => [id, state])).to.deep.equal([
      [1, 'retired'],
      [2, 'active'],
      [3, 'active'],
    ]);
    expect((await run('rotate --yes')).code).to.equal(0);
    expect((await run('status')).out).to.match(/4 +sealing +active/);
  });

  it('works on a database by its URL, with a key file elsewhere', async () => {
    const own = await createTestDatabase();
    const keyFile = join(dirname(dataDir), 'key-elsewhere');
    try {
      const database = await openDatabase({ connection: own.connection, poolSize: 1 });
      await openServerKeys({ database, keyFile, random: randomBytes });
      await database.close();
      const more = { PASSMANAGER_DATABASE_URL: databaseUrl(own), PASSMANAGER_KEY_FILE: keyFile };
      const code = CODE.exec((await run('recovery-code', more)).out)![0];
      renameSync(keyFile, `${keyFile}.lost`);
      expect(await run('recover', more, code)).to.have.property('code', 0);
      expect(existsSync(keyFile)).to.equal(true);
      expect(existsSync(dataDir)).to.equal(false);
    } finally {
      await own.drop();
    }
  });
});
