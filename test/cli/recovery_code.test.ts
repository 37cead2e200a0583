import { spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { existsSync, readdirSync, readFileSync, renameSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect } from 'chai';
import { runRecoveryCode } from '../../src/cli/recovery_code.ts';
import { openDatabase } from '../../src/database/database.ts';
import { startEmbeddedPostgres } from '../../src/database/embedded/embedded_postgres.ts';
import { migrate } from '../../src/database/migrator.ts';
import { openServerKeys } from '../../src/database/server_keys.ts';
import { recordingLog, remove, temporaryDirectory } from '../support/embedded.ts';
import { rejection } from '../support/rejection.ts';
import { createTestDatabase } from '../support/test_database.ts';
import { databaseUrl } from '../support/test_server.ts';

const CODE = /([0-9A-Z]{4}-){8}[0-9A-Z*~$=]/;

describe('npm run recovery-code', function () {
  this.timeout(30_000);
  let dataDir: string;

  beforeEach(() => {
    dataDir = join(temporaryDirectory(), 'data');
  });

  afterEach(() => remove(dirname(dataDir)));

  /** What the command said, with this answer to its question. */
  async function run(parameters: string[], more: object = {}, answer = ''): Promise<string> {
    const said: string[] = [];
    await runRecoveryCode(
      parameters,
      { dataDir, databaseUrl: undefined, keyFile: undefined, pgbouncer: false, ...more },
      { say: (line) => void said.push(line), ask: async () => answer },
    );
    return said.join('\n');
  }

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

  /** Runs the program itself. */
  async function program(parameters: string[], input: string) {
    const path = fileURLToPath(new URL('../../src/cli/recovery_code.ts', import.meta.url));
    const child = spawn(process.execPath, [path, ...parameters], { env: { PASSMANAGER_DATA_DIR: dataDir } });
    const output = { stdout: '', stderr: '' };
    for (const name of ['stdout', 'stderr'] as const) {
      child[name].setEncoding('utf8').on('data', (text: string) => {
        output[name] += text;
      });
    }
    child.stdin.end(input);
    const [code] = await once(child, 'close');
    return { code, ...output };
  }

  it('refuses what is no command of it', async () => {
    for (const parameters of [['make'], ['recover', 'CODE'], ['']]) {
      expect((await rejection(run(parameters))).name).to.equal('UsageError');
    }
  });

  it('refuses where no server ever started, and makes nothing there', async () => {
    for (const parameters of [[], ['recover']]) {
      expect((await rejection(run(parameters))).message).to.contain('npm start');
      expect(existsSync(dataDir)).to.equal(false);
    }
    const empty = await createTestDatabase({ migrated: false });
    try {
      expect((await rejection(run([], { databaseUrl: databaseUrl(empty) }))).message).to.contain('npm start');
    } finally {
      await empty.drop();
    }
  });

  it('works on the embedded database while its server runs and while it does not', async () => {
    const server = await startEmbeddedPostgres({ dataDir, log: recordingLog() });
    const lookup = await startKeys(server.connection);
    const early = CODE.exec(await run([]))![0];
    await server.stop();
    const code = CODE.exec(await run([]))![0];
    expect(code).not.to.equal(early);

    renameSync(join(dataDir, 'key'), join(dataDir, 'lost'));
    expect((await rejection(run([]))).name).to.equal('MissingKeyFileError');
    for (const wrong of ['', early]) {
      expect((await rejection(run(['recover'], {}, wrong))).name).to.equal('RecoveryCodeError');
    }
    expect(existsSync(join(dataDir, 'key'))).to.equal(false);

    // As a person runs it: nothing at the prompt first, then the code.
    const nothing = await program(['recover'], '');
    expect(nothing.code).to.equal(1);
    expect(nothing.stderr).to.contain('recovery code');
    const done = await program(['recover'], `${code.toLowerCase()}\n`);
    expect(done).to.have.property('code', 0);
    expect(done.stdout).to.contain(join(dataDir, 'key'));

    const again = await startEmbeddedPostgres({ dataDir, log: recordingLog() });
    expect(await startKeys(again.connection)).to.equal(lookup);
    await again.stop();
    for (const name of readdirSync(join(dataDir, 'postgres')).filter((each) =>
      each.startsWith('postgres.log'),
    )) {
      expect(readFileSync(join(dataDir, 'postgres', name), 'utf8')).not.to.match(CODE);
    }
  });

  it('works on a database by its URL, with a key file elsewhere', async () => {
    const own = await createTestDatabase();
    const keyFile = join(dirname(dataDir), 'key-elsewhere');
    try {
      const database = await openDatabase({ connection: own.connection, poolSize: 1 });
      await openServerKeys({ database, keyFile, random: randomBytes });
      await database.close();
      const more = { databaseUrl: databaseUrl(own), keyFile };
      const code = CODE.exec(await run([], more))![0];
      renameSync(keyFile, `${keyFile}.lost`);
      await run(['recover'], more, code);
      expect(existsSync(keyFile)).to.equal(true);
      expect(existsSync(dataDir)).to.equal(false);
    } finally {
      await own.drop();
    }
  });
});
