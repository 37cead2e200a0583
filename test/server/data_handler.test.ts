import { randomBytes, randomUUID } from 'node:crypto';
import type { MessageInitShape } from '@bufbuild/protobuf';
import { Code, type Transport } from '@connectrpc/connect';
import { createConnectTransport } from '@connectrpc/connect-node';
import { expect } from 'chai';
import * as data from '../../gen/passmanager/data/v1/data_service_pb.ts';
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
const bytes = (length: number) => new Uint8Array(randomBytes(length));
const newEntry = (entryId: string = randomUUID()) => ({
  entryId,
  entryName: bytes(93),
  entryData: bytes(285),
});
const hex = (value: Uint8Array) => Buffer.from(value).toString('hex');

/** The calls of DataService by name, in a session. */
class Vault {
  readonly session: RawSession;

  constructor(session: RawSession) {
    this.session = session;
  }

  create = (entry: MessageInitShape<typeof data.CreateEntryPayloadSchema>) =>
    this.session.call(method.createEntry, data.CreateEntryPayloadSchema, entry);
  update = (entry: MessageInitShape<typeof data.UpdateEntryPayloadSchema>) =>
    this.session.call(method.updateEntry, data.UpdateEntryPayloadSchema, entry);
  delete = (entry: MessageInitShape<typeof data.DeleteEntryPayloadSchema>) =>
    this.session.call(method.deleteEntry, data.DeleteEntryPayloadSchema, entry);
  get = (entryId: string) => this.session.call(method.getEntry, data.GetEntryPayloadSchema, { entryId });
  list = (page: MessageInitShape<typeof data.ListEntriesPayloadSchema> = {}) =>
    this.session.call(method.listEntries, data.ListEntriesPayloadSchema, page);
  sync = (from: MessageInitShape<typeof data.SyncEntriesPayloadSchema> = {}) =>
    this.session.call(method.syncEntries, data.SyncEntriesPayloadSchema, from);
  batchCreate = (entries: MessageInitShape<typeof data.CreateEntryPayloadSchema>[]) =>
    this.session.call(method.batchCreateEntries, data.BatchCreateEntriesPayloadSchema, { entries });
  batchUpdate = (entries: MessageInitShape<typeof data.UpdateEntryPayloadSchema>[]) =>
    this.session.call(method.batchUpdateEntries, data.BatchUpdateEntriesPayloadSchema, { entries });
  batchDelete = (entries: MessageInitShape<typeof data.DeleteEntryPayloadSchema>[]) =>
    this.session.call(method.batchDeleteEntries, data.BatchDeleteEntriesPayloadSchema, { entries });
  batchGet = (entryIds: string[]) =>
    this.session.call(method.batchGetEntries, data.BatchGetEntriesPayloadSchema, { entryIds });
  watch = (signal: AbortSignal) =>
    this.session.stream(method.watchEntries, data.WatchEntriesPayloadSchema, {}, { signal });

  /** The user's revision. */
  revision = async (): Promise<bigint> => (await this.sync({ sinceRevision: 2n ** 62n })).nextRevision;
}

describe('DataService', () => {
  let server: TestServer;
  let transport: Transport;
  let account: TestAccount;

  before(async () => {
    server = await startTestServer();
    transport = createConnectTransport({ baseUrl: server.httpUrl, httpVersion: '1.1' });
  });

  after(() => server.stop());

  /** A vault of a new user. */
  const openVault = async (): Promise<Vault> => {
    account = makeAccount();
    await register(transport, account);
    return new Vault(await logIn(transport, account, { maximumRequests: -1n }));
  };

  describe('a field that is not good', () => {
    let vault: Vault;
    before(async () => {
      vault = await openVault();
    });

    const bad = { entryId: 'not-a-uuid', entryName: bytes(29), entryData: bytes(65_566) };
    const calls: [string, () => Promise<unknown>, string[]][] = [
      ['CreateEntry', () => vault.create(bad), ['entry_id', 'entry_name', 'entry_data']],
      [
        'CreateEntry with a name too long',
        () => vault.create({ ...newEntry(), entryName: bytes(1_054) }),
        ['entry_name'],
      ],
      ['CreateEntry in upper case', () => vault.create(newEntry(randomUUID().toUpperCase())), ['entry_id']],
      ['UpdateEntry', () => vault.update(bad), ['entry_id', 'entry_name', 'entry_data']],
      ['DeleteEntry', () => vault.delete({ entryId: '' }), ['entry_id']],
      ['GetEntry', () => vault.get(`{${randomUUID()}}`), ['entry_id']],
      ['ListEntries', () => vault.list({ pageSize: -1, pageToken: 'x' }), ['page_size', 'page_token']],
      ['SyncEntries', () => vault.sync({ pageSize: -1, historyId: bytes(15) }), ['page_size', 'history_id']],
      ['an empty BatchCreateEntries', () => vault.batchCreate([]), ['entries']],
      ['an empty BatchGetEntries', () => vault.batchGet([]), ['entry_ids']],
      [
        'BatchCreateEntries of 501',
        () => vault.batchCreate(Array.from({ length: 501 }, () => ({ ...newEntry(), entryData: bytes(30) }))),
        ['entries'],
      ],
      [
        'BatchUpdateEntries',
        () => vault.batchUpdate([newEntry(), bad]),
        ['entries[1].entry_id', 'entries[1].entry_name', 'entries[1].entry_data'],
      ],
      [
        'BatchDeleteEntries with an id twice',
        () => {
          const entryId = randomUUID();
          return vault.batchDelete([{ entryId }, { entryId: randomUUID() }, { entryId }]);
        },
        ['entries[2].entry_id'],
      ],
      [
        'BatchGetEntries with an id twice',
        () => {
          const id = randomUUID();
          return vault.batchGet([id, id]);
        },
        ['entry_ids[1]'],
      ],
    ];
    for (const [name, call, fields] of calls) {
      it(`is named by ${name}, sealed, with all its fellows, and changes nothing`, async () => {
        const refusal = await refusalOf(call());
        expect(refusal.status).to.equal(Code.InvalidArgument);
        expect(refusal.sealed).to.equal(true);
        expect(reasons(refusal)).to.deep.equal(fields.map((field) => [30, field]));
        expect(await vault.revision()).to.equal(0n);
      });
    }

    it('of a payload of another type is RQS00', async () => {
      const refusal = await refusalOf(
        vault.session.call(method.getEntry, data.GetEntryPayloadSchema, new Uint8Array([0x0a, 0xff])),
      );
      expect(refusal.sealed).to.equal(true);
      expect(reasons(refusal)).to.deep.equal([[10, 'request']]);
    });
  });

  describe('an entry of somebody else', () => {
    it('is not there for any call', async () => {
      const owner = await openVault();
      const entry = newEntry();
      await owner.create(entry);
      const stranger = await openVault();
      const missing = [[31, 'entry_id']];
      expect(reasons(await refusalOf(stranger.get(entry.entryId)))).to.deep.equal(missing);
      expect(reasons(await refusalOf(stranger.update(newEntry(entry.entryId))))).to.deep.equal(missing);
      expect(reasons(await refusalOf(stranger.delete({ entryId: entry.entryId })))).to.deep.equal(missing);
      expect((await stranger.batchGet([entry.entryId])).missingEntryIds).to.deep.equal([entry.entryId]);
      expect(reasons(await refusalOf(stranger.batchUpdate([newEntry(entry.entryId)])))).to.deep.equal([
        [31, 'entries[0].entry_id'],
      ]);
      expect(reasons(await refusalOf(stranger.batchDelete([{ entryId: entry.entryId }])))).to.deep.equal([
        [31, 'entries[0].entry_id'],
      ]);
      expect((await stranger.list()).entries).to.deep.equal([]);
      expect((await stranger.sync()).entries).to.deep.equal([]);
      await stranger.create(newEntry(entry.entryId));
      expect(hex((await owner.get(entry.entryId)).entryData)).to.equal(hex(entry.entryData));
    });
  });

  describe('CreateEntry', () => {
    it('succeeds again with the same bytes and the same answer', async () => {
      const vault = await openVault();
      const entry = newEntry();
      expect(await vault.create(entry)).to.deep.include({ entryId: entry.entryId, revision: 1n });
      await vault.create(newEntry());
      expect((await vault.create(entry)).revision).to.equal(1n);
      expect(await vault.revision()).to.equal(2n);
    });

    it('refuses a known id with other bytes, and the id of a deleted entry with any', async () => {
      const vault = await openVault();
      const entry = newEntry();
      await vault.create(entry);
      const other = await refusalOf(vault.create({ ...entry, entryName: bytes(93) }));
      expect(other.status).to.equal(Code.AlreadyExists);
      expect(reasons(other)).to.deep.equal([[45, 'entry_id']]);
      await vault.delete({ entryId: entry.entryId });
      expect(reasons(await refusalOf(vault.create(entry)))).to.deep.equal([[45, 'entry_id']]);
      expect(await vault.revision()).to.equal(2n);
    });

    it('takes the nil UUID for an id, and lists it', async () => {
      const vault = await openVault();
      const nil = '00000000-0000-0000-0000-000000000000';
      await vault.create(newEntry(nil));
      expect((await vault.list()).entries.map(({ entryId }: { entryId: string }) => entryId)).to.deep.equal([
        nil,
      ]);
    });

    it('takes entries of the smallest and the largest size', async () => {
      const vault = await openVault();
      const largest = { ...newEntry(), entryName: bytes(1_053), entryData: bytes(65_565) };
      await vault.create(largest);
      await vault.create({ ...newEntry(), entryName: bytes(30), entryData: bytes(30) });
      expect(hex((await vault.get(largest.entryId)).entryData)).to.equal(hex(largest.entryData));
    });

    it('gives fifty creations at once fifty revisions in a row', async () => {
      const vault = await openVault();
      const results = await Promise.all(Array.from({ length: 50 }, () => vault.create(newEntry())));
      const revisions = results.map(({ revision }) => Number(revision)).sort((a, b) => a - b);
      expect(revisions).to.deep.equal(Array.from({ length: 50 }, (_, index) => index + 1));
    });

    it('settles the same creation sent ten times at once as one', async () => {
      const vault = await openVault();
      const entry = newEntry();
      const results = await Promise.all(Array.from({ length: 10 }, () => vault.create(entry)));
      expect(new Set(results.map(({ revision }) => revision))).to.deep.equal(new Set([1n]));
      expect(await vault.revision()).to.equal(1n);
    });
  });

  describe('the quota of entries', () => {
    it('refuses one more with RQS03 and without a time to wait, counts deletions, and lets repetitions pass', async () => {
      const small = await startTestServer({ settings: { PASSMANAGER_MAX_ENTRIES_PER_USER: '3' } });
      try {
        transport = createConnectTransport({ baseUrl: small.httpUrl, httpVersion: '1.1' });
        const vault = await openVault();
        const entries = [newEntry(), newEntry(), newEntry()];
        await vault.batchCreate(entries);
        const refusal = await refusalOf(vault.create(newEntry()));
        expect(refusal.status).to.equal(Code.ResourceExhausted);
        expect(reasons(refusal)).to.deep.equal([[13, 'request']]);
        expect(refusal.failure?.retryAfter).to.equal(undefined);
        expect(reasons(await refusalOf(vault.batchCreate([entries[0]!, newEntry()])))).to.deep.equal([
          [13, 'request'],
        ]);
        await vault.create(entries[0]!);
        await vault.delete({ entryId: entries[0]!.entryId });
        await vault.create(newEntry());
      } finally {
        transport = createConnectTransport({ baseUrl: server.httpUrl, httpVersion: '1.1' });
        await small.stop();
      }
    });
  });

  describe('UpdateEntry', () => {
    it('writes with the expected revision and without one', async () => {
      const vault = await openVault();
      const entry = newEntry();
      await vault.create(entry);
      expect((await vault.update({ ...newEntry(entry.entryId), expectedRevision: 1n })).revision).to.equal(
        2n,
      );
      const last = newEntry(entry.entryId);
      expect((await vault.update(last)).revision).to.equal(3n);
      expect(hex((await vault.get(entry.entryId)).entryName)).to.equal(hex(last.entryName));
    });

    it('refuses another expected revision, tells the current one and writes nothing', async () => {
      const vault = await openVault();
      const entry = newEntry();
      await vault.create(entry);
      for (const expectedRevision of [0n, 2n, 2n ** 64n - 1n]) {
        const refusal = await refusalOf(vault.update({ ...newEntry(entry.entryId), expectedRevision }));
        expect(refusal.status).to.equal(Code.Aborted);
        expect(reasons(refusal)).to.deep.equal([[44, 'expected_revision']]);
        expect(refusal.failure?.errorList[0]?.currentRevision).to.equal(1n);
      }
      expect(hex((await vault.get(entry.entryId)).entryName)).to.equal(hex(entry.entryName));
      expect(await vault.revision()).to.equal(1n);
    });

    it('succeeds for bytes that are already there, whatever was expected', async () => {
      const vault = await openVault();
      const entry = newEntry();
      await vault.create(entry);
      expect((await vault.update({ ...entry, expectedRevision: 77n })).revision).to.equal(1n);
      expect((await vault.update(entry)).revision).to.equal(1n);
      expect(await vault.revision()).to.equal(1n);
    });

    it('does not find an unknown entry or a deleted one', async () => {
      const vault = await openVault();
      const entry = newEntry();
      await vault.create(entry);
      await vault.delete({ entryId: entry.entryId });
      for (const target of [newEntry(), newEntry(entry.entryId)]) {
        const refusal = await refusalOf(vault.update(target));
        expect(refusal.status).to.equal(Code.NotFound);
        expect(reasons(refusal)).to.deep.equal([[31, 'entry_id']]);
      }
    });

    it('loses no update of twenty clients that expect what they saw', async () => {
      const vault = await openVault();
      const entry = newEntry();
      await vault.create(entry);
      const results = await Promise.allSettled(
        Array.from({ length: 20 }, () => vault.update({ ...newEntry(entry.entryId), expectedRevision: 1n })),
      );
      expect(results.filter(({ status }) => status === 'fulfilled')).to.have.length(1);
      expect(await vault.revision()).to.equal(2n);
    });
  });

  describe('DeleteEntry', () => {
    it('leaves a tombstone of id and revision alone', async () => {
      const vault = await openVault();
      const entry = newEntry();
      await vault.create(entry);
      expect((await vault.delete({ entryId: entry.entryId })).revision).to.equal(2n);
      expect(reasons(await refusalOf(vault.get(entry.entryId)))).to.deep.equal([[31, 'entry_id']]);
      const [row] = await server.database.query('select * from secure_data where entry_id = $1', [
        entry.entryId,
      ]);
      expect([row!.entry_name, row!.entry_data, row!.new_entry_name, row!.new_entry_data]).to.deep.equal(
        Array(4).fill(null),
      );
    });

    it('succeeds again with the tombstone’s revision, whatever was expected', async () => {
      const vault = await openVault();
      const entry = newEntry();
      await vault.create(entry);
      await vault.delete({ entryId: entry.entryId });
      expect((await vault.delete({ entryId: entry.entryId })).revision).to.equal(2n);
      expect((await vault.delete({ entryId: entry.entryId, expectedRevision: 9n })).revision).to.equal(2n);
      expect(await vault.revision()).to.equal(2n);
    });

    it('refuses another expected revision and an unknown entry', async () => {
      const vault = await openVault();
      const entry = newEntry();
      await vault.create(entry);
      const conflict = await refusalOf(vault.delete({ entryId: entry.entryId, expectedRevision: 7n }));
      expect(reasons(conflict)).to.deep.equal([[44, 'expected_revision']]);
      expect(conflict.failure?.errorList[0]?.currentRevision).to.equal(1n);
      expect(reasons(await refusalOf(vault.delete({ entryId: randomUUID() })))).to.deep.equal([
        [31, 'entry_id'],
      ]);
      await vault.get(entry.entryId);
    });
  });

  describe('a batch', () => {
    it('does all or nothing and names every error', async () => {
      const vault = await openVault();
      const entries = Array.from({ length: 4 }, () => newEntry());
      const created = await vault.batchCreate(entries);
      expect(created.entries.map(({ revision }: { revision: bigint }) => revision)).to.deep.equal([
        1n,
        2n,
        3n,
        4n,
      ]);
      const [a, b, c, d] = entries as [ReturnType<typeof newEntry>, ...ReturnType<typeof newEntry>[]];
      const exists = await refusalOf(
        vault.batchCreate([newEntry(), newEntry(a.entryId), b!, newEntry(c!.entryId)]),
      );
      expect(reasons(exists)).to.deep.equal([
        [45, 'entries[1].entry_id'],
        [45, 'entries[3].entry_id'],
      ]);
      const conflicts = await refusalOf(
        vault.batchUpdate([
          { ...newEntry(a.entryId), expectedRevision: 1n },
          { ...newEntry(b!.entryId), expectedRevision: 9n },
          newEntry(),
          { ...newEntry(d!.entryId), expectedRevision: 9n },
        ]),
      );
      expect(conflicts.status).to.equal(Code.Aborted);
      expect(reasons(conflicts)).to.deep.equal([
        [44, 'entries[1].expected_revision'],
        [31, 'entries[2].entry_id'],
        [44, 'entries[3].expected_revision'],
      ]);
      expect(conflicts.failure?.errorList.map(({ currentRevision }) => currentRevision)).to.deep.equal([
        2n,
        undefined,
        4n,
      ]);
      expect(await vault.revision()).to.equal(4n);
    });

    it('gives each changed entry a revision of its own and leaves what is already so', async () => {
      const vault = await openVault();
      const entries = [newEntry(), newEntry(), newEntry()];
      await vault.batchCreate(entries);
      const changed = newEntry(entries[2]!.entryId);
      const updated = await vault.batchUpdate([entries[0]!, changed, newEntry(entries[1]!.entryId)]);
      expect(updated.entries.map(({ revision }: { revision: bigint }) => revision)).to.deep.equal([
        1n,
        4n,
        5n,
      ]);
      const deleted = await vault.batchDelete(entries.map(({ entryId }) => ({ entryId })));
      expect(deleted.entries.map(({ revision }: { revision: bigint }) => revision)).to.deep.equal([
        6n,
        7n,
        8n,
      ]);
      const again = await vault.batchDelete(
        entries.map(({ entryId }) => ({ entryId, expectedRevision: 1n })),
      );
      expect(again.entries).to.deep.equal(deleted.entries);
      expect(await vault.revision()).to.equal(8n);
      const repeated = await refusalOf(vault.batchUpdate(entries));
      expect(reasons(repeated).map(([code]) => code)).to.deep.equal([31, 31, 31]);
    });

    it('creates the same entries again with the same answer', async () => {
      const vault = await openVault();
      const entries = [newEntry(), newEntry()];
      const first = await vault.batchCreate(entries);
      expect((await vault.batchCreate([...entries, newEntry()])).entries.slice(0, 2)).to.deep.equal(
        first.entries,
      );
    });

    it('gets 500 in request order, tells what is missing and what did not fit', async () => {
      const vault = await openVault();
      const large = Array.from({ length: 60 }, () => ({ ...newEntry(), entryData: bytes(65_565) }));
      await vault.batchCreate(large.slice(0, 30));
      await vault.batchCreate(large.slice(30));
      const asked = [randomUUID(), ...large.map(({ entryId }) => entryId).reverse()];
      const got = await vault.batchGet(asked);
      expect(got.missingEntryIds).to.deep.equal([asked[0]]);
      expect([
        ...got.entries.map(({ entryId }: { entryId: string }) => entryId),
        ...got.remainingEntryIds,
      ]).to.deep.equal(asked.slice(1));
      expect(got.remainingEntryIds).not.to.deep.equal([]);
      const rest = await vault.batchGet(got.remainingEntryIds);
      expect(rest.remainingEntryIds).to.deep.equal([]);
      const byId = new Map(large.map((entry) => [entry.entryId, entry]));
      for (const entry of [...got.entries, ...rest.entries]) {
        expect(hex(entry.entryData)).to.equal(hex(byId.get(entry.entryId)!.entryData));
      }
    });
  });

  describe('ListEntries', () => {
    it('goes through all pages in order, neither skipping nor repeating what stays', async () => {
      const vault = await openVault();
      const entries = Array.from({ length: 25 }, () => newEntry());
      await vault.batchCreate(entries);
      const seen: string[] = [];
      let pageToken = '';
      do {
        const page = await vault.list({ pageSize: 7, pageToken });
        expect(page.entries.length).to.be.at.most(7);
        seen.push(...page.entries.map(({ entryId }: { entryId: string }) => entryId));
        ({ nextPageToken: pageToken } = page);
        await vault.create(newEntry(`00000000${randomUUID().slice(8)}`));
      } while (pageToken !== '');
      const sorted = entries.map(({ entryId }) => entryId).sort();
      expect(seen.filter((id) => sorted.includes(id))).to.deep.equal(sorted);
      expect(new Set(seen).size).to.equal(seen.length);
    });

    it('takes 0 for a hundred and more than a thousand for a thousand', async () => {
      const vault = await openVault();
      for (let batch = 0; batch < 3; batch += 1) {
        await vault.batchCreate(Array.from({ length: 400 }, () => ({ ...newEntry(), entryData: bytes(30) })));
      }
      expect((await vault.list()).entries).to.have.length(100);
      expect((await vault.list({ pageSize: 5_000 })).entries).to.have.length(1_000);
      expect((await vault.sync({ pageSize: 5_000 })).entries).to.have.length(1_000);
    });
  });

  describe('SyncEntries', () => {
    it('tells entries and tombstones in order of revision, page by page, and then nothing', async () => {
      const vault = await openVault();
      const entries = Array.from({ length: 5 }, () => newEntry());
      await vault.batchCreate(entries);
      await vault.update(newEntry(entries[0]!.entryId));
      await vault.delete({ entryId: entries[1]!.entryId });
      const first = await vault.sync({ pageSize: 3 });
      expect(first.reset).to.equal(false);
      expect(first.hasMore).to.equal(true);
      expect(first.historyId).to.have.length(16);
      expect(first.entries.map(({ revision }: { revision: bigint }) => revision)).to.deep.equal([3n, 4n, 5n]);
      expect(first.nextRevision).to.equal(5n);
      const second = await vault.sync({ sinceRevision: 5n, historyId: first.historyId, pageSize: 3 });
      expect(second.hasMore).to.equal(false);
      expect(second.entries.map(({ entryId }: { entryId: string }) => entryId)).to.deep.equal([
        entries[0]!.entryId,
      ]);
      expect(second.deletedEntryIds).to.deep.equal([entries[1]!.entryId]);
      expect(second.nextRevision).to.equal(7n);
      const third = await vault.sync({ sinceRevision: 7n, historyId: first.historyId });
      expect(third).to.deep.include({
        entries: [],
        deletedEntryIds: [],
        hasMore: false,
        reset: false,
        nextRevision: 7n,
      });
    });

    it('begins anew when the history is another one or the revision is ahead', async () => {
      const vault = await openVault();
      await vault.batchCreate([newEntry(), newEntry()]);
      const { historyId } = await vault.sync();
      for (const from of [
        { sinceRevision: 1n, historyId: bytes(16) },
        { sinceRevision: 0n, historyId: bytes(16) },
        { sinceRevision: 1n },
        { sinceRevision: 3n, historyId },
        { sinceRevision: 2n ** 64n - 1n, historyId },
      ]) {
        const answer = await vault.sync(from);
        expect(answer.reset).to.equal(true);
        expect(answer.entries).to.have.length(2);
        expect(answer.nextRevision).to.equal(2n);
      }
      expect((await vault.sync({ sinceRevision: 1n, historyId })).reset).to.equal(false);
    });

    it('ends pages where a message would grow beyond 3 MiB, with at least one entry', async () => {
      const vault = await openVault();
      const large = Array.from({ length: 60 }, () => ({ ...newEntry(), entryData: bytes(65_565) }));
      await vault.batchCreate(large.slice(0, 30));
      await vault.batchCreate(large.slice(30));
      const seen: string[] = [];
      let from: { sinceRevision: bigint; historyId: Uint8Array } = {
        sinceRevision: 0n,
        historyId: new Uint8Array(0),
      };
      for (let more = true; more; ) {
        const page = await vault.sync({ ...from, pageSize: 1_000 });
        const size = page.entries.reduce(
          (sum: number, entry: { entryData: Uint8Array }) => sum + entry.entryData.length,
          0,
        );
        expect(size).to.be.within(1, 3 * 1024 * 1024);
        seen.push(...page.entries.map(({ entryId }: { entryId: string }) => entryId));
        from = { sinceRevision: page.nextRevision, historyId: page.historyId };
        more = page.hasMore;
      }
      expect(seen).to.deep.equal(large.map(({ entryId }) => entryId));
    });
  });

  describe('WatchEntries', () => {
    /** Reads a stream until it ends, and what it was refused with. */
    const drain = async (stream: AsyncGenerator<{ revision: bigint }>) =>
      refusalOf(
        (async () => {
          for await (const _ of stream);
        })(),
      );

    it('tells the revision at once and whenever it moves', async () => {
      const vault = await openVault();
      const stop = new AbortController();
      const stream = vault.watch(stop.signal);
      expect((await stream.next()).value.revision).to.equal(0n);
      await vault.create(newEntry());
      expect((await stream.next()).value.revision).to.equal(1n);
      await vault.batchCreate([newEntry(), newEntry()]);
      expect((await stream.next()).value.revision).to.equal(3n);
      stop.abort();
    });

    it('ends with a sealed RQS01 when its session ends', async () => {
      const vault = await openVault();
      const other = new Vault(await logIn(transport, account));
      const stream = vault.watch(new AbortController().signal);
      await stream.next();
      const { SessionService, DeleteAllSessionsPayloadSchema } = await import(
        '../../gen/passmanager/session/v1/session_service_pb.ts'
      );
      await other.session.call(SessionService.method.deleteAllSessions, DeleteAllSessionsPayloadSchema, {});
      const refusal = await drain(stream);
      expect(refusal.sealed).to.equal(true);
      expect(refusal.status).to.equal(Code.Unauthenticated);
      expect(reasons(refusal)).to.deep.equal([[11, 'request']]);
    });

    it('is refused in clear for a number that was used', async () => {
      const vault = await openVault();
      await vault.list();
      const stream = vault.session.stream(
        method.watchEntries,
        data.WatchEntriesPayloadSchema,
        {},
        { requestNumber: 0n },
      );
      const refusal = await drain(stream);
      expect(refusal.sealed).to.equal(false);
      expect(reasons(refusal)).to.deep.equal([[11, 'request']]);
    });

    it('repeats the revision as a heartbeat and ends with a sealed SVR01 when the server stops', async () => {
      const own = await startTestServer({
        parts: { feedTimes: { heartbeatMs: 50, pollMs: 1_000, debounceMs: 5 } },
      });
      try {
        transport = createConnectTransport({ baseUrl: own.httpUrl, httpVersion: '1.1' });
        const vault = await openVault();
        const stream = vault.watch(new AbortController().signal);
        for (let beat = 0; beat < 3; beat += 1) expect((await stream.next()).value.revision).to.equal(0n);
        const ended = drain(stream);
        await own.running.stop();
        const refusal = await ended;
        expect(refusal.sealed).to.equal(true);
        expect(reasons(refusal)).to.deep.equal([[21, 'server']]);
      } finally {
        transport = createConnectTransport({ baseUrl: server.httpUrl, httpVersion: '1.1' });
        await own.stop();
      }
    });
  });
});
