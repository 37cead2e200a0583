import { randomBytes, randomUUID } from 'node:crypto';
import { Code, ConnectError, type Transport } from '@connectrpc/connect';
import { createConnectTransport } from '@connectrpc/connect-node';
import { expect } from 'chai';
import * as data from '../../gen/passmanager/data/v1/data_service_pb.ts';
import * as password from '../../gen/passmanager/password/v1/password_service_pb.ts';
import { createGrpcTransport } from '../../src/client/grpc_transport.ts';
import { beginChange, commitChange, renewed, updateMany } from '../support/password_change.ts';
import {
  logIn,
  makeAccount,
  type RawSession,
  reasons,
  refusalOf,
  register,
  type TestAccount,
} from '../support/raw_client.ts';
import { startTestServer, type TestServer } from '../support/test_server.ts';

const { method } = data.DataService;
const ENTRIES = 10_000;
const BATCH = 500;
const small = (entryId: string = randomUUID()) => ({
  entryId,
  entryName: new Uint8Array(randomBytes(93)),
  entryData: new Uint8Array(randomBytes(285)),
});

describe('a vault of ten thousand entries', function () {
  this.timeout(120_000);
  let server: TestServer;
  let transport: Transport;
  let account: TestAccount;
  let session: RawSession;
  const ids: string[] = [];

  before(async () => {
    server = await startTestServer();
    transport = createConnectTransport({
      baseUrl: server.httpUrl,
      httpVersion: '1.1',
    });
    account = makeAccount();
    await register(transport, account);
    session = await logIn(transport, account, { maximumRequests: -1n });
    for (let done = 0; done < ENTRIES; done += BATCH) {
      const entries = Array.from({ length: BATCH }, () => small());
      ids.push(...entries.map(({ entryId }) => entryId));
      await session.call(method.batchCreateEntries, data.BatchCreateEntriesPayloadSchema, { entries });
    }
    ids.sort();
  });

  after(() => server.stop());

  it('takes not one more', async () => {
    const refusal = await refusalOf(session.call(method.createEntry, data.CreateEntryPayloadSchema, small()));
    expect(reasons(refusal)).to.deep.equal([[13, 'request']]);
  });

  it('is listed and synced in pages, each entry once', async () => {
    const listed: string[] = [];
    let pageToken = '';
    do {
      const page = await session.call(method.listEntries, data.ListEntriesPayloadSchema, {
        pageSize: 1_000,
        pageToken,
      });
      listed.push(...page.entries.map(({ entryId }: { entryId: string }) => entryId));
      pageToken = page.nextPageToken;
    } while (pageToken !== '');
    expect(listed).to.deep.equal(ids);
    const synced: string[] = [];
    let from = { sinceRevision: 0n, historyId: new Uint8Array(0) };
    for (let more = true; more; ) {
      const page = await session.call(method.syncEntries, data.SyncEntriesPayloadSchema, {
        ...from,
        pageSize: 1_000,
      });
      synced.push(...page.entries.map(({ entryId }: { entryId: string }) => entryId));
      from = { sinceRevision: page.nextRevision, historyId: page.historyId };
      more = page.hasMore;
    }
    expect(synced.sort()).to.deep.equal(ids);
    expect(from.sinceRevision).to.equal(BigInt(ENTRIES));
  });

  it('changes its password with every entry, within the requests of a change', async () => {
    const { change, started, announced, opened } = await beginChange(session, account);
    expect(opened.entryIds).to.deep.equal(ids);
    expect(opened.maximumRequests).to.equal(BigInt(4 * ENTRIES + 100));
    const fresh = new Map<string, ReturnType<typeof small>>();
    for (let done = 0; done < ENTRIES; done += BATCH) {
      const entryIds = ids.slice(done, done + BATCH);
      const old = await change.call(
        password.PasswordService.method.batchGetEntries,
        password.BatchGetEntriesPayloadSchema,
        { entryIds },
      );
      expect(old.entries).to.have.length(BATCH);
      const entries = entryIds.map(renewed);
      for (const entry of entries) fresh.set(entry.entryId, entry);
      const { remainingEntries } = await updateMany(change, entries);
      expect(remainingEntries).to.equal(ENTRIES - done - BATCH);
    }
    await commitChange(change, started);
    account = announced;
    session = await logIn(transport, account, { maximumRequests: -1n });
    const got = await session.call(method.batchGetEntries, data.BatchGetEntriesPayloadSchema, {
      entryIds: ids.slice(0, BATCH),
    });
    for (const entry of got.entries) {
      expect(Buffer.compare(entry.entryData, fresh.get(entry.entryId)!.entryData)).to.equal(0);
    }
    const [row] = await server.database.query('select revision from users where entry_count = $1', [ENTRIES]);
    expect(Number(row!.revision)).to.equal(2 * ENTRIES);
  });

  it('takes a message just under 4 MiB on both doors and answers a status to one above, with the connection whole', async () => {
    const other = makeAccount();
    await register(transport, other);
    const grpc = createGrpcTransport({ url: `http://${server.grpcAddress}` });
    try {
      for (const door of [transport, grpc as unknown as Transport]) {
        const opened = await logIn(door, other, { maximumRequests: -1n });
        const large = (count: number) =>
          Array.from({ length: count }, () => ({ ...small(), entryData: new Uint8Array(65_565).fill(1) }));
        const batch = (count: number) =>
          opened.call(method.batchCreateEntries, data.BatchCreateEntriesPayloadSchema, {
            entries: large(count),
          });
        expect((await batch(63)).entries).to.have.length(63);
        const refused = await batch(65).then(
          () => undefined,
          (error: unknown) => error,
        );
        const status =
          refused instanceof ConnectError ? refused.code : (await refusalOf(Promise.reject(refused))).status;
        expect(status).to.equal(Code.ResourceExhausted);
        expect((await batch(1)).entries).to.have.length(1);
      }
    } finally {
      grpc.close();
    }
  });
});
