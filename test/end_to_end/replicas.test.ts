import { randomBytes, randomUUID } from 'node:crypto';
import { join } from 'node:path';
import type { Transport } from '@connectrpc/connect';
import { createConnectTransport } from '@connectrpc/connect-node';
import { expect } from 'chai';
import * as data from '../../gen/passmanager/data/v1/data_service_pb.ts';
import {
  abortChange,
  announce,
  beginChange,
  commitChange,
  openChange,
  renewed,
  startChange,
  updateOne,
} from '../support/password_change.ts';
import {
  finishLogin,
  logIn,
  makeAccount,
  RawSession,
  reasons,
  refusalOf,
  register,
  startLogin,
} from '../support/raw_client.ts';
import { startTestServer, type TestServer } from '../support/test_server.ts';

const { method } = data.DataService;
const bytes = (length: number) => new Uint8Array(randomBytes(length));
const newEntry = (entryId: string = randomUUID()) => ({
  entryId,
  entryName: bytes(93),
  entryData: bytes(285),
});

describe('two servers on one database', () => {
  let servers: TestServer[];
  let here: Transport;
  let there: Transport;

  before(async () => {
    const first = await startTestServer();
    const shared = { database: first.database, keyFile: join(first.config.dataDir, 'key') };
    servers = [first, await startTestServer({ shared })];
    [here, there] = servers.map(({ httpUrl }) =>
      createConnectTransport({ baseUrl: httpUrl, httpVersion: '1.1' }),
    ) as [Transport, Transport];
  });

  after(async () => {
    for (const server of servers.reverse()) await server.stop();
  });

  /** The same session, spoken to through another server. */
  const through = (session: RawSession, transport: Transport) =>
    new RawSession(transport, session.sessionId, session.clientToServer, session.serverToClient);
  const create = (session: RawSession, entry = newEntry(), number?: bigint) =>
    session.call(method.createEntry, data.CreateEntryPayloadSchema, entry, number);

  it('are one service to a client: register here, half a log-in each, a session at both', async () => {
    const account = makeAccount();
    await register(here, account);
    const started = await startLogin(there, account.usernameHash);
    const session = await finishLogin(here, account, started);
    await create(session, newEntry(), 0n);
    await create(through(session, there), newEntry(), 1n);
  });

  it('execute a number once, however they race for it', async () => {
    const account = makeAccount();
    await register(here, account);
    const session = await logIn(here, account, { maximumRequests: -1n });
    const other = through(session, there);
    for (let number = 0n; number < 10n; number += 1n) {
      const results = await Promise.allSettled(
        [session, other, session, other].map((each) => create(each, newEntry(), number)),
      );
      expect(results.filter(({ status }) => status === 'fulfilled')).to.have.length(1);
    }
    const sync = await session.call(method.syncEntries, data.SyncEntriesPayloadSchema, {}, 10n);
    expect(sync.nextRevision).to.equal(10n);
  });

  it('lose no update of one entry that both get', async () => {
    const account = makeAccount();
    await register(here, account);
    const sessions = [await logIn(here, account), await logIn(there, account)];
    const entry = newEntry();
    await create(sessions[0]!, entry);
    const results = await Promise.allSettled(
      Array.from({ length: 20 }, (_, index) =>
        sessions[index % 2]!.call(method.updateEntry, data.UpdateEntryPayloadSchema, {
          ...newEntry(entry.entryId),
          expectedRevision: 1n,
        }),
      ),
    );
    expect(results.filter(({ status }) => status === 'fulfilled')).to.have.length(1);
  });

  it('tell watchers of what the other one wrote', async () => {
    const account = makeAccount();
    await register(here, account);
    const watcher = await logIn(here, account);
    const writer = await logIn(there, account);
    const stream = watcher.stream(method.watchEntries, data.WatchEntriesPayloadSchema, {});
    expect((await stream.next()).value.revision).to.equal(0n);
    await create(writer);
    expect((await stream.next()).value.revision).to.equal(1n);
    await stream.return(undefined);
  });

  it('hold a password change together: opened here, felt there, finished there', async () => {
    const account = makeAccount();
    await register(here, account);
    const session = await logIn(here, account, { maximumRequests: -1n });
    const other = await logIn(there, account, { maximumRequests: -1n });
    const entry = newEntry();
    await create(session, entry);
    const underWay = await startLogin(there, account.usernameHash);
    const { change, started, announced } = await beginChange(session, account);
    expect(reasons(await refusalOf(create(other)))).to.deep.equal([[12, 'request']]);
    const changeThere = through(change, there);
    await updateOne(changeThere, renewed(entry.entryId));
    await commitChange(changeThere, started);
    // Both had the sessions' keys in their caches.
    for (const dead of [session, other, through(session, there), through(other, here)]) {
      dead.next = 60n;
      expect(reasons(await refusalOf(create(dead)))).to.deep.equal([[11, 'request']]);
    }
    expect(reasons(await refusalOf(finishLogin(here, account, underWay)))).to.deep.equal([[11, 'request']]);
    await logIn(here, announced);
  });

  it('open one of two changes that are proved at once', async () => {
    const account = makeAccount();
    await register(here, account);
    const sessions = [await logIn(here, account), await logIn(there, account)];
    const starts = await Promise.all(
      sessions.map((session) => startChange(session, announce(account, 'new'))),
    );
    const results = await Promise.allSettled(
      sessions.map((session, index) => openChange(session, account, starts[index]!)),
    );
    const opened = results.filter(({ status }) => status === 'fulfilled');
    expect(opened).to.have.length(1);
    const winner = results[0]!.status === 'fulfilled' ? sessions[0]! : sessions[1]!;
    await abortChange(winner);
    await create(sessions[0]!);
    await create(sessions[1]!);
  });
});
