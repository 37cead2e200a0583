import { type ChildProcess, spawn } from 'node:child_process';
import { randomBytes, randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { copyFile, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { connect as connectTls } from 'node:tls';
import { createConnectTransport } from '@connectrpc/connect-node';
import { expect } from 'chai';
import pg from 'pg';
import * as data from '../../gen/passmanager/data/v1/data_service_pb.ts';
import { MIGRATION_LOCK } from '../../src/database/migrator.ts';
import { COMPILE_CACHE } from '../support/compile_cache.ts';
import { eventually } from '../support/eventually.ts';
import { logIn, makeAccount, type RawSession, refusalOf, register } from '../support/raw_client.ts';
import { createTestDatabase, databaseUrl, type TestDatabase } from '../support/test_database.ts';

const MAIN = new URL('../../src/server/main.ts', import.meta.url).pathname;
const FIXTURES = join(import.meta.dirname, '../fixtures/tls');
const { method } = data.DataService;
const newEntry = () => ({
  entryId: randomUUID(),
  entryName: new Uint8Array(randomBytes(93)),
  entryData: new Uint8Array(randomBytes(285)),
});

/** A server as `npm start` runs it, on the embedded database. */
class ServerProcess {
  readonly child: ChildProcess;
  readonly exited: Promise<number | null>;
  output = '';

  constructor(dataDir: string, settings: Record<string, string> = {}) {
    this.child = spawn(process.execPath, [MAIN], {
      env: {
        PATH: process.env.PATH,
        ...COMPILE_CACHE,
        PASSMANAGER_DATA_DIR: dataDir,
        PASSMANAGER_GRPC_PORT: '0',
        PASSMANAGER_HTTP_PORT: '0',
        ...settings,
      },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    this.exited = once(this.child, 'exit').then(([code]) => code as number | null);
    for (const stream of [this.child.stdout!, this.child.stderr!]) {
      stream.on('data', (chunk: Buffer) => {
        this.output += chunk;
      });
    }
  }

  /** The URL of the HTTP door once the server is ready. */
  async ready(): Promise<string> {
    for (let attempt = 0; attempt < 1_000; attempt += 1) {
      const url = /gRPC-Web +(https?:\S+)/.exec(this.output)?.[1];
      if (url !== undefined) return url;
      if (this.child.exitCode !== null) break;
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
    throw new Error(`the server did not start: ${this.output}`);
  }

  async stop(signal: NodeJS.Signals = 'SIGTERM'): Promise<number | null> {
    this.child.kill(signal);
    return this.exited;
  }
}

/** Process ids of the PostgreSQL of a data directory. */
async function postgresOf(dataDir: string): Promise<number[]> {
  const { readdir, readFile } = await import('node:fs/promises');
  const found: number[] = [];
  for (const entry of await readdir('/proc')) {
    if (!/^\d+$/.test(entry)) continue;
    const command = await readFile(`/proc/${entry}/cmdline`, 'utf8').catch(() => '');
    if (command.includes('postgres') && command.includes(dataDir)) found.push(Number(entry));
  }
  return found;
}

describe('the process', function () {
  this.timeout(180_000);
  let dataDir: string;
  const started: ServerProcess[] = [];

  const start = (settings: Record<string, string> = {}) => {
    const server = new ServerProcess(dataDir, settings);
    started.push(server);
    return server;
  };

  beforeEach(async () => {
    dataDir = await mkdtemp(join(tmpdir(), 'pm-main-'));
  });

  afterEach(async () => {
    for (const server of started.splice(0)) {
      if (server.child.exitCode === null && server.child.signalCode === null) await server.stop();
    }
    await rm(dataDir, { recursive: true, force: true });
  });

  it('says where it listens and where its data is, is ready on both doors, and stops on SIGTERM', async () => {
    const server = start();
    const url = await server.ready();
    expect(server.output)
      .to.include(dataDir)
      .and.to.match(/gRPC +http:\/\/127\.0\.0\.1:\d+/);
    expect((await fetch(`${url}/healthz`)).status).to.equal(200);
    expect((await fetch(`${url}/readyz`)).status).to.equal(200);
    expect(await server.stop()).to.equal(0);
    expect(await postgresOf(dataDir)).to.deep.equal([]);
  });

  it('shows no recovery code where there is no terminal, and says how to see one', async () => {
    const server = start();
    await server.ready();
    for (let attempt = 0; attempt < 100 && !server.output.includes('recovery-code'); attempt += 1) {
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
    expect(server.output).to.include('npx passmanager keys recovery-code');
    expect(server.output).not.to.match(/([0-9A-Z]{4}-){7}/);
  });

  it('ends with a message, and code 78 for a bad setting, 1 for a taken port and a key file that is not its own', async () => {
    const bad = start({ PASSMANAGER_GRPC_PORT: 'x' });
    expect(await bad.exited).to.equal(78);
    expect(bad.output).to.include('PASSMANAGER_GRPC_PORT takes');

    const holder = createServer().listen(0, '127.0.0.1');
    await once(holder, 'listening');
    const { port } = holder.address() as { port: number };
    const taken = start({ PASSMANAGER_GRPC_PORT: `${port}` });
    expect(await taken.exited).to.equal(1);
    expect(taken.output).to.include('is taken');
    holder.close();
    expect(await postgresOf(dataDir)).to.deep.equal([]);

    await writeFile(join(dataDir, 'key'), `${'ab'.repeat(32)}\n`, { mode: 0o600 });
    const wrong = start();
    expect(await wrong.exited).to.equal(1);
    expect(wrong.output).to.include('is not the one that this database was made with');

    await rm(join(dataDir, 'key'));
    const missing = start();
    expect(await missing.exited).to.equal(1);
    expect(missing.output).to.include('is missing').and.to.include('npx passmanager keys recover');
  });

  it('shows another certificate at SIGHUP, and goes on with the one before where the new one is no good', async () => {
    const [certificate, key] = [join(dataDir, 'certificate.pem'), join(dataDir, 'key.pem')];
    const put = async (first: string, second: string) => {
      await copyFile(join(FIXTURES, first), certificate);
      await copyFile(join(FIXTURES, second), key);
    };
    await put('certificate.pem', 'key.pem');
    const server = start({ PASSMANAGER_TLS_CERT_FILE: certificate, PASSMANAGER_TLS_KEY_FILE: key });
    const port = Number(new URL(await server.ready()).port);
    const subject = async (): Promise<string> => {
      const socket = connectTls({ host: '127.0.0.1', port, rejectUnauthorized: false });
      await once(socket, 'secureConnect');
      const shown = socket.getPeerX509Certificate()!.subject;
      socket.destroy();
      return shown;
    };
    const before = await subject();
    await copyFile(join(FIXTURES, 'chain.pem'), certificate);
    server.child.kill('SIGHUP');
    await eventually(() => server.output.includes('no good'));
    expect(await subject()).to.equal(before);
    await put('chain.pem', 'chain_key.pem');
    server.child.kill('SIGHUP');
    await eventually(async () => (await subject()) !== before);
    expect(await server.stop()).to.equal(0);
  });

  it('refuses a second server on its data directory, and goes on', async () => {
    const url = await start()
      .ready()
      .then((first) => first);
    const second = start();
    expect(await second.exited).to.equal(1);
    expect(second.output).to.include('in use');
    expect((await fetch(`${url}/readyz`)).status).to.equal(200);
  });

  describe('on a database of its own', () => {
    let database: TestDatabase;
    let holder: pg.Client;

    beforeEach(async () => {
      database = await createTestDatabase();
      holder = new pg.Client(database.connection);
      await holder.connect();
      await holder.query('begin');
    });

    afterEach(async () => {
      await holder.end();
      await database.drop();
    });

    const startHere = () => start({ PASSMANAGER_DATABASE_URL: databaseUrl(database) });
    const waiting = () => database.lockWaiters();
    const untilWaiting = () => eventually(async () => (await waiting()).length > 0, 30_000);

    it('stops on SIGINT, and more signals do not cut short what a call takes to end', async () => {
      const server = startHere();
      const url = await server.ready();
      const transport = createConnectTransport({ baseUrl: url, httpVersion: '1.1' });
      const account = makeAccount();
      await register(transport, account);
      const session = await logIn(transport, account);
      await holder.query('select from users for update');
      const writing = session.call(method.createEntry, data.CreateEntryPayloadSchema, newEntry());
      await untilWaiting();
      server.child.kill('SIGINT');
      await eventually(async () => !(await answers(url)));
      for (const signal of ['SIGINT', 'SIGTERM'] as const) {
        server.child.kill(signal);
        await new Promise((resolve) => setTimeout(resolve, 100));
      }
      await holder.query('commit');
      expect((await writing).revision).to.equal(1n);
      expect(await server.exited).to.equal(0);
    });

    it('says more on SIGUSR2 and less on the next, and nothing of what it must not', async () => {
      const password = randomUUID();
      const server = start({ PASSMANAGER_DATABASE_URL: databaseUrl(database, `password=${password}`) });
      const transport = createConnectTransport({ baseUrl: await server.ready(), httpVersion: '1.1' });
      const account = { ...makeAccount(), srpSalt: new Uint8Array(31) };
      const refusals = () => server.output.split('an RPC was refused').length - 1;
      const switchLevel = async () => {
        server.child.kill('SIGUSR2');
        await new Promise((resolve) => setTimeout(resolve, 100));
      };
      await refusalOf(register(transport, account));
      expect(refusals()).to.equal(0);
      await switchLevel();
      await refusalOf(register(transport, account));
      await eventually(() => refusals() === 1);
      await switchLevel();
      await refusalOf(register(transport, account));
      expect(await server.stop()).to.equal(0);
      expect(refusals()).to.equal(1);
      const secrets = [account.usernameHash, account.srpVerifier].map((bytes) => Buffer.from(bytes));
      for (const secret of [
        password,
        ...secrets.flatMap((each) => [each.toString('hex'), each.toString('base64')]),
      ])
        expect(server.output).not.to.include(secret);
    });

    describe('stops as it was told while it starts', () => {
      beforeEach(() => holder.query('select pg_advisory_xact_lock($1)', [MIGRATION_LOCK]));

      for (const [name, goOn] of [
        ['and the start goes on', () => holder.query('commit')],
        [
          'and the start fails',
          async () => {
            for (const pid of await waiting()) await database.query('select pg_terminate_backend($1)', [pid]);
          },
        ],
      ] as const) {
        it(name, async () => {
          const server = startHere();
          await untilWaiting();
          server.child.kill('SIGINT');
          await new Promise((resolve) => setTimeout(resolve, 100));
          await goOn();
          expect(await server.exited, server.output).to.equal(0);
          expect(server.output).not.to.include('did not start').and.not.to.include('gRPC-Web');
        });
      }
    });
  });

  it('keeps every acknowledged write and runs none twice through kill -9 of itself and of PostgreSQL', async () => {
    const account = makeAccount();
    const acknowledged = new Map<string, bigint>();
    for (const [round, victims] of ['server', 'postgres', 'both'].entries()) {
      const server = start();
      const transport = createConnectTransport({ baseUrl: await server.ready(), httpVersion: '1.1' });
      await register(transport, account);
      const session: RawSession = await logIn(transport, account, { maximumRequests: -1n });
      const before = await list(session);
      for (const [entryId, revision] of acknowledged) expect(before.get(entryId), 'lost').to.equal(revision);
      const writing = Promise.allSettled(
        Array.from({ length: 200 }, async () => {
          const entry = newEntry();
          const { revision } = await session.call(method.createEntry, data.CreateEntryPayloadSchema, entry);
          acknowledged.set(entry.entryId, revision);
        }),
      );
      await new Promise((resolve) => setTimeout(resolve, 60 + 40 * round));
      const postgres = await postgresOf(dataDir);
      expect(postgres).not.to.deep.equal([]);
      if (victims !== 'postgres') server.child.kill('SIGKILL');
      if (victims !== 'server') {
        for (const pid of postgres) {
          try {
            process.kill(pid, 'SIGKILL');
          } catch {
            // It went with another one.
          }
        }
      }
      await writing;
      server.child.kill('SIGKILL');
      await server.exited;
    }
    const server = start();
    const transport = createConnectTransport({ baseUrl: await server.ready(), httpVersion: '1.1' });
    const session = await logIn(transport, account, { maximumRequests: -1n });
    const after = await list(session);
    expect(acknowledged.size).to.be.greaterThan(0);
    for (const [entryId, revision] of acknowledged) expect(after.get(entryId)).to.equal(revision);
    expect(new Set(after.values()).size, 'a revision twice').to.equal(after.size);
  });
});

/** Whether a door takes connections. */
const answers = (url: string): Promise<boolean> =>
  fetch(`${url}/healthz`).then(
    () => true,
    () => false,
  );

/** Entry ids and revisions of a vault. */
async function list(session: RawSession): Promise<Map<string, bigint>> {
  const all = new Map<string, bigint>();
  let pageToken = '';
  do {
    const page = await session.call(method.listEntries, data.ListEntriesPayloadSchema, {
      pageSize: 1_000,
      pageToken,
    });
    for (const { entryId, revision } of page.entries) all.set(entryId, revision);
    pageToken = page.nextPageToken;
  } while (pageToken !== '');
  return all;
}
