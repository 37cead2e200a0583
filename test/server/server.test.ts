import { randomBytes, randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { connect, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Code } from '@connectrpc/connect';
import { createConnectTransport } from '@connectrpc/connect-node';
import { expect } from 'chai';
import pg from 'pg';
import * as data from '../../gen/passmanager/data/v1/data_service_pb.ts';
import * as session from '../../gen/passmanager/session/v1/session_service_pb.ts';
import { createGrpcTransport } from '../../src/client/grpc_transport.ts';
import { loadConfig } from '../../src/server/config.ts';
import { createLogger } from '../../src/server/log.ts';
import { LOCAL_HEADER } from '../../src/server/proxy_protocol.ts';
import { startServer } from '../../src/server/server.ts';
import { runCli } from '../support/cli.ts';
import { eventually } from '../support/eventually.ts';
import { v2Header } from '../support/proxy_headers.ts';
import {
  finishLogin,
  logIn,
  makeAccount,
  reasons,
  refusalOf,
  register,
  startLogin,
} from '../support/raw_client.ts';
import { RawPeer } from '../support/raw_peer.ts';
import { createTestDatabase } from '../support/test_database.ts';
import { databaseUrl, startTestServer } from '../support/test_server.ts';
import { startTraceCollector } from '../support/trace_collector.ts';

const list = (opened: Awaited<ReturnType<typeof logIn>>) =>
  opened.call(session.SessionService.method.listSessions, session.ListSessionsPayloadSchema, {});

describe('the server', () => {
  it('lets one machine have as many connections as there are, while it listens on loopback alone', async () => {
    const server = await startTestServer();
    const sockets = Array.from({ length: 400 }, () => connect(server.running.httpAddress.port, '127.0.0.1'));
    try {
      await Promise.all(sockets.map((socket) => once(socket, 'connect')));
      expect((await fetch(`${server.httpUrl}/readyz`)).status).to.equal(200);
      expect(sockets.filter(({ destroyed, readableEnded }) => destroyed || readableEnded)).to.have.length(0);
    } finally {
      for (const socket of sockets) socket.destroy();
      await server.stop();
    }
  });

  it('keeps the cap of a network on loopback alone, too, where a proxy tells whose connections are', async () => {
    const server = await startTestServer({
      settings: {
        PASSMANAGER_TRUSTED_PROXIES: '127.0.0.1',
        PASSMANAGER_PROXY_HEADER: 'proxy-protocol',
        PASSMANAGER_MAX_CONNECTIONS_PER_NETWORK: '2',
      },
    });
    const arrive = async (first: Buffer): Promise<RawPeer> => {
      const peer = await RawPeer.connect(server.running.httpAddress.port);
      peer.write(first);
      return peer;
    };
    const told = await Promise.all(Array.from({ length: 3 }, () => arrive(v2Header('198.51.100.1'))));
    const own = await Promise.all(Array.from({ length: 3 }, () => arrive(LOCAL_HEADER)));
    try {
      await Promise.race(told.map(({ closed }) => closed));
      for (const peer of own) {
        peer.write('GET /readyz HTTP/1.1\r\nHost: h\r\n\r\n');
        await peer.receive(/ready/);
      }
      expect(told.filter(({ socket }) => socket.destroyed)).to.have.length(1);
    } finally {
      for (const peer of [...told, ...own]) peer.destroy();
      await server.stop();
    }
  });

  it('serves one session on both doors', async () => {
    const server = await startTestServer();
    const grpc = createGrpcTransport({ url: `http://${server.grpcAddress}` });
    try {
      const http = createConnectTransport({ baseUrl: server.httpUrl, httpVersion: '1.1' });
      const account = makeAccount();
      await register(http, account);
      const opened = await logIn(grpc, account);
      await list(opened);
      await list(Object.assign(Object.create(Object.getPrototypeOf(opened)), opened, { transport: http }));
    } finally {
      grpc.close();
      await server.stop();
    }
  });

  it('answers SVR01 in clear while the database is gone, says so on /readyz, and heals', async () => {
    const server = await startTestServer({ parts: { readinessMs: 50 } });
    try {
      const transport = createConnectTransport({ baseUrl: server.httpUrl, httpVersion: '1.1' });
      const account = makeAccount();
      await register(transport, account);
      const opened = await logIn(transport, account);
      const { database } = server.database.connection;
      await away(server.database.connection, database, true);
      const refusal = await refusalOf(list(opened));
      expect([Code.Unavailable, Code.Unknown]).to.include(refusal.status);
      expect(refusal.sealed).to.equal(false);
      const again = await refusalOf(list(opened));
      expect(reasons(again)).to.deep.equal([[21, 'server']]);
      await until(async () => (await fetch(`${server.httpUrl}/readyz`)).status === 503);
      expect((await fetch(`${server.httpUrl}/healthz`)).status).to.equal(200);
      await away(server.database.connection, database, false);
      await until(async () => (await fetch(`${server.httpUrl}/readyz`)).status === 200);
      await list(opened);
    } finally {
      await server.stop();
    }
  });

  it('lets a running call finish when it stops, and takes no new ones meanwhile', async () => {
    const server = await startTestServer();
    const holder = new pg.Client(server.database.connection);
    await holder.connect();
    try {
      const transport = createConnectTransport({ baseUrl: server.httpUrl, httpVersion: '1.1' });
      const account = makeAccount();
      await register(transport, account);
      const opened = await logIn(transport, account);
      await holder.query('begin; select from login_sessions for update');
      const running = list(opened);
      await eventually(async () => (await server.database.lockWaiters()).length > 0);
      const stopped = server.running.stop();
      for (const { port } of [server.running.grpcAddress, server.running.httpAddress]) {
        await eventually(() =>
          RawPeer.connect(port).then(
            (peer) => {
              peer.destroy();
              return false;
            },
            ({ code }: NodeJS.ErrnoException) => code === 'ECONNREFUSED',
          ),
        );
      }
      await holder.query('commit');
      expect((await running).sessions).to.have.length(1);
      await stopped;
    } finally {
      await holder.end();
      await server.stop();
    }
  });

  it('leaves nothing running when it cannot start', async () => {
    const test = await createTestDatabase();
    const directory = await mkdtemp(join(tmpdir(), 'pm-server-'));
    const holder = createServer().listen(0, '127.0.0.1');
    await once(holder, 'listening');
    try {
      const config = loadConfig({
        PASSMANAGER_DATABASE_URL: databaseUrl(test),
        PASSMANAGER_DATA_DIR: directory,
        PASSMANAGER_GRPC_PORT: '0',
        PASSMANAGER_HTTP_PORT: `${(holder.address() as { port: number }).port}`,
      });
      const error = await startServer(config, { log: createLogger('silent') }).then(
        () => undefined,
        (thrown: NodeJS.ErrnoException) => thrown,
      );
      expect(error?.code).to.equal('EADDRINUSE');
      const [row] = await test.query(
        "select count(*)::int as n from pg_stat_activity where application_name = 'passmanager' and datname = current_database()",
      );
      expect(row!.n).to.equal(0);
    } finally {
      holder.close();
      await test.drop();
      await rm(directory, { recursive: true, force: true });
    }
  });

  it('logs and traces no secret of a whole run, no id and no address', async function () {
    this.timeout(60_000);
    const collector = await startTraceCollector();
    const database = await createTestDatabase();
    const directory = await mkdtemp(join(tmpdir(), 'pm-secrets-'));
    const texts = { passphrase: randomUUID(), databasePassword: randomUUID(), unknownInvite: randomUUID() };
    const keyFile = join(directory, 'key');
    const server = await startTestServer({
      settings: {
        PASSMANAGER_OTLP_ENDPOINT: collector.endpoint,
        PASSMANAGER_REGISTRATION: 'invite',
        PASSMANAGER_BACKUP_DIR: join(directory, 'backups'),
        PASSMANAGER_BACKUP_PASSPHRASE: texts.passphrase,
        PASSMANAGER_DATABASE_URL: databaseUrl(database).replace('@', `:${texts.databasePassword}@`),
      },
      parts: { readinessMs: 50 },
      shared: { database, keyFile },
    });
    const invite = async (): Promise<string> =>
      JSON.parse((await runCli(['invites', 'create', '--json'], server.settings)).out).code;
    const [inviteCode, unusedInvite] = [await invite(), await invite()];
    const recoveryCode = await server.running.makeRecoveryCode();
    const keyFileText = (await readFile(keyFile, 'utf8')).trim();
    const grpc = createGrpcTransport({ url: `http://${server.grpcAddress}` });
    const account = makeAccount();
    const entry = {
      entryId: randomUUID(),
      entryName: new Uint8Array(randomBytes(93)),
      entryData: new Uint8Array(randomBytes(285)),
    };
    const ids: string[] = [entry.entryId];
    await refusalOf(register(grpc, account, texts.unknownInvite));
    await register(grpc, account, inviteCode);
    const [user] = await server.database.query('select id, username_lookup from users');
    for (const transport of [grpc, createConnectTransport({ baseUrl: server.httpUrl, httpVersion: '1.1' })]) {
      await refusalOf(register(transport, { ...account, srpSalt: new Uint8Array(31) }));
      await refusalOf(logIn(transport, { ...account, srpSecret: new Uint8Array(32) }));
      const started = await startLogin(transport, account.usernameHash);
      const opened = await finishLogin(transport, account, started);
      ids.push(started.ephemeralId, opened.sessionId);
      await opened.call(data.DataService.method.createEntry, data.CreateEntryPayloadSchema, entry);
      await refusalOf(
        opened.call(data.DataService.method.getEntry, data.GetEntryPayloadSchema, { entryId: 'no id' }),
      );
      await list(opened);
    }
    grpc.close();
    // A backup was made, and the database was lost and came back: what failed was logged with its reasons.
    await eventually(
      async () => (await readdir(join(directory, 'backups'))).some((name) => name.endsWith('.pmbackup')),
      20_000,
    );
    await away(database.connection, database.connection.database, true);
    await until(async () => (await fetch(`${server.httpUrl}/readyz`)).status === 503);
    await away(database.connection, database.connection.database, false);
    await server.stop();
    await collector.stop();
    await database.drop();
    await rm(directory, { recursive: true });
    expect(server.logged.join('')).to.include('"err"');
    expect(collector.calls('CreateEntry')).to.have.length(2);
    const payload = Buffer.concat(collector.requests.map(({ body }) => body));
    const outputs = [Buffer.from(server.logged.join('')), payload];
    const secrets = [
      account.usernameHash,
      account.srpSalt,
      account.srpVerifier,
      account.masterKeySalt,
      account.encryptedVaultHeader,
      entry.entryName,
      entry.entryData,
      user!.username_lookup as Buffer,
      ...[...ids, user!.id as string].map((id) => Buffer.from(id.replaceAll('-', ''), 'hex')),
    ].map((bytes) => Buffer.from(bytes));
    for (const output of outputs) {
      for (const secret of secrets)
        for (const form of [secret, secret.toString('hex'), secret.toString('base64')])
          expect(output.includes(form), secret.toString('hex')).to.equal(false);
      for (const id of [...ids, user!.id as string]) expect(output.includes(id), id).to.equal(false);
      for (const text of [...Object.values(texts), inviteCode, unusedInvite, recoveryCode, keyFileText])
        expect(output.includes(text), text).to.equal(false);
    }
    for (const text of ['127.0.0.1', server.database.connection.database, server.database.connection.host])
      expect(payload.includes(text), text).to.equal(false);
  });
});

/** Lets nobody into a database and ends who is in, or lets them in again. */
async function away(admin: { host: string; user: string }, database: string, gone: boolean): Promise<void> {
  const { default: pg } = await import('pg');
  const client = new pg.Client({ ...admin, database: 'postgres' });
  await client.connect();
  await client.query(`alter database ${database} allow_connections ${!gone}`);
  if (gone)
    await client.query('select pg_terminate_backend(pid) from pg_stat_activity where datname = $1', [
      database,
    ]);
  await client.end();
}

async function until(condition: () => Promise<boolean>): Promise<void> {
  for (let attempt = 0; attempt < 100; attempt += 1) {
    if (await condition()) return;
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  throw new Error('it did not come to be');
}
