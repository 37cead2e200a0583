import { randomBytes, randomUUID } from 'node:crypto';
import { Code } from '@connectrpc/connect';
import { createConnectTransport } from '@connectrpc/connect-node';
import { expect } from 'chai';
import pg from 'pg';
import * as data from '../../gen/passmanager/data/v1/data_service_pb.ts';
import { eventually } from '../support/eventually.ts';
import { type PostgresProcess, startPostgres } from '../support/postgres_process.ts';
import { logIn, makeAccount, type RawSession, reasons, refusalOf, register } from '../support/raw_client.ts';
import { startTestServer, type TestServer } from '../support/test_server.ts';

const { method } = data.DataService;
const bytes = (length: number) => new Uint8Array(randomBytes(length));

describe('a server on a PostgreSQL that has a standby', () => {
  let postgres: PostgresProcess;
  let server: TestServer;
  let session: RawSession;
  const entry = { entryId: randomUUID(), entryName: bytes(64), entryData: bytes(128) };

  const create = (entryId = entry.entryId) =>
    session.call(method.createEntry, data.CreateEntryPayloadSchema, { ...entry, entryId });
  const get = () => session.call(method.getEntry, data.GetEntryPayloadSchema, { entryId: entry.entryId });
  const administer = async (...statements: string[]) => {
    const client = new pg.Client(postgres.connection);
    await client.connect();
    try {
      for (const statement of statements.slice(0, -1)) await client.query(statement);
      return (await client.query(statements.at(-1)!)).rows;
    } finally {
      await client.end();
    }
  };
  const isReady = async () => (await fetch(`${server.httpUrl}/readyz`)).status === 200;

  before(async () => {
    postgres = await startPostgres();
    const { host, user, database } = postgres.connection;
    server = await startTestServer({
      settings: {
        PASSMANAGER_DATABASE_URL: `postgres://${user}@localhost/${database}?host=${encodeURIComponent(host)}`,
      },
      parts: { readinessMs: 50 },
    });
    const transport = createConnectTransport({ baseUrl: server.httpUrl, httpVersion: '1.1' });
    const account = makeAccount();
    await register(transport, account);
    session = await logIn(transport, account);
    await create();
  });

  after(async () => {
    await postgres.stop();
    await server.stop();
  });

  it('is not ready where the primary comes back as a standby, answers nothing from what is behind, and serves the same sessions after a promotion', async () => {
    expect((await get()).entryId).to.equal(entry.entryId);
    await postgres.demote();
    await eventually(async () => !(await isReady()));
    for (const call of [get, () => create()]) {
      const refusal = await refusalOf(call());
      expect(refusal.status).to.equal(Code.Unavailable);
      expect(reasons(refusal)).to.deep.equal([[21, 'server']]);
    }
    await administer('select pg_promote()');
    await eventually(isReady);
    expect((await create()).revision).to.equal(1n);
    expect((await get()).entryId).to.equal(entry.entryId);
  });

  it('is not ready where the database hangs, stops all the same, and the call that waits for it gets no answer', async () => {
    postgres.freeze();
    const waiting = refusalOf(get());
    await eventually(async () => !(await isReady()));
    await server.running.stop();
    expect((await waiting).failure).to.equal(undefined);
  });
});
