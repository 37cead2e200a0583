import { randomBytes } from 'node:crypto';
import { createConnectTransport } from '@connectrpc/connect-node';
import { expect } from 'chai';
import * as data from '../../gen/passmanager/data/v1/data_service_pb.ts';
import { openDatabase } from '../../src/database/database.ts';
import { Housekeeping } from '../../src/server/housekeeping.ts';
import { createLogger } from '../../src/server/log.ts';
import { RequestGate } from '../../src/server/request_gate.ts';
import type { SessionKeys } from '../../src/server/session_keys.ts';
import { beginChange, createEntries, renewed, updateMany } from '../support/password_change.ts';
import { logIn, makeAccount, type RawSession, register, startLogin } from '../support/raw_client.ts';
import { insertRow, sampleAttempt } from '../support/sample_rows.ts';
import { startTestServer, type TestServer } from '../support/test_server.ts';

describe('housekeeping', () => {
  let server: TestServer;
  const forgotten: string[] = [];

  before(async () => {
    server = await startTestServer({ parts: { housekeepingMs: 3_600_000 } });
  });

  after(() => server.stop());

  const open = async (work: (housekeeping: Housekeeping) => Promise<void>, intervalMs = 3_600_000) => {
    const database = await openDatabase({ connection: server.database.connection, poolSize: 3 });
    try {
      await work(
        new Housekeeping({
          database,
          gate: new RequestGate(database),
          sessionKeys: { forget: (id: string) => void forgotten.push(id) } as unknown as SessionKeys,
          random: (bytes) => new Uint8Array(randomBytes(bytes)),
          log: createLogger('silent'),
          intervalMs,
        }),
      );
    } finally {
      await database.close();
    }
  };

  const account = makeAccount();
  const transport = () => createConnectTransport({ baseUrl: server.httpUrl, httpVersion: '1.1' });
  const sync = (session: RawSession) =>
    session.call(data.DataService.method.syncEntries, data.SyncEntriesPayloadSchema, {});
  const hex = (bytes: Uint8Array) => Buffer.from(bytes).toString('hex');

  it('drops what has expired and forgets the keys of sessions, and leaves what lives', async () => {
    await register(transport(), account);
    const live = await logIn(transport(), account);
    const dead = await logIn(transport(), account);
    await startLogin(transport(), account.usernameHash);
    await startLogin(transport(), new Uint8Array(randomBytes(32)));
    await server.database.query(
      "update login_sessions set expires_at = now() - interval '1 s' where id = $1",
      [dead.sessionId],
    );
    await server.database.query("update auth_ephemerals set expires_at = now() - interval '1 s'");
    await open((housekeeping) => housekeeping.run());
    expect(await server.database.query('select id from auth_ephemerals')).to.deep.equal([]);
    expect(forgotten).to.include(dead.sessionId);
    await sync(live);
  });

  it('puts an expired password change back, byte for byte, with four replicas at it at once', async () => {
    const session = await logIn(transport(), account, { maximumRequests: -1n });
    const entries = await createEntries(session, 20);
    const { change } = await beginChange(session, account);
    await updateMany(
      change,
      entries.map(({ entryId }) => renewed(entryId)),
    );
    await server.database.query(
      "update users set change_expires_at = now() - interval '1 s' where change_session_id is not null",
    );
    await Promise.all(Array.from({ length: 4 }, () => open((housekeeping) => housekeeping.run())));
    expect(forgotten.filter((id) => id === change.sessionId)).to.have.length(1);
    const [left] = await server.database.query(
      'select count(*)::int as n from secure_data where new_change_session_id is not null',
    );
    expect(left!.n).to.equal(0);
    expect(await server.database.query('select id from login_sessions where kind = 2')).to.deep.equal([]);
    const { entries: after } = await sync(session);
    const byId = new Map(entries.map((entry) => [entry.entryId, entry]));
    for (const entry of after) expect(hex(entry.entryData)).to.equal(hex(byId.get(entry.entryId)!.entryData));
  });

  it('purges tombstones older than a year and gives the account another history, once a year', async () => {
    const session = await logIn(transport(), account, { maximumRequests: -1n });
    const [entry] = await createEntries(session, 1);
    await session.call(data.DataService.method.deleteEntry, data.DeleteEntryPayloadSchema, {
      entryId: entry!.entryId,
    });
    const before = await sync(session);
    expect(before.deletedEntryIds).to.include(entry!.entryId);
    const age = async () => {
      await server.database.query(
        "update secure_data set updated_at = now() - interval '2 years' where entry_name is null",
      );
    };
    await age();
    await open((housekeeping) => housekeeping.run());
    expect(hex((await sync(session)).historyId)).to.equal(hex(before.historyId));
    await server.database.query("update users set created_at = now() - interval '2 years'");
    await open((housekeeping) => housekeeping.run());
    const after = await sync(session);
    expect(after.deletedEntryIds).to.deep.equal([]);
    expect(hex(after.historyId)).not.to.equal(hex(before.historyId));
    expect(after.nextRevision).to.equal(before.nextRevision);
  });

  it('stops between two bites, and leaves the rest to the next start', async () => {
    const attempts = Array.from({ length: 1200 }, () => sampleAttempt());
    for (const attempt of attempts) await insertRow(server.database, 'auth_ephemerals', attempt);
    await open(async (housekeeping) => {
      housekeeping.start();
      await new Promise((resolve) => setTimeout(resolve, 1));
      await housekeeping.stop();
      const [row] = await server.database.query('select count(*)::int as left from auth_ephemerals');
      expect(row!.left).to.equal(700);
    });
    await open((housekeeping) => housekeeping.run());
    expect(await server.database.query('select id from auth_ephemerals')).to.deep.equal([]);
  });

  it('goes round at its interval until it is stopped, whatever a round meets', async () => {
    await open(async (housekeeping) => {
      let rounds = 0;
      housekeeping.run = async () => {
        rounds += 1;
        throw new Error('this round failed');
      };
      housekeeping.start();
      for (let attempt = 0; attempt < 200 && rounds < 3; attempt += 1)
        await new Promise((r) => setTimeout(r, 5));
      await housekeeping.stop();
      const seen = rounds;
      expect(seen).to.be.at.least(3);
      await new Promise((resolve) => setTimeout(resolve, 30));
      expect(rounds).to.equal(seen);
    }, 5);
  });
});
