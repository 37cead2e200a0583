import { randomBytes, randomUUID } from 'node:crypto';
import { Code, type Transport } from '@connectrpc/connect';
import { createConnectTransport } from '@connectrpc/connect-node';
import { expect } from 'chai';
import pg from 'pg';
import * as data from '../../gen/passmanager/data/v1/data_service_pb.ts';
import * as password from '../../gen/passmanager/password/v1/password_service_pb.ts';
import * as session from '../../gen/passmanager/session/v1/session_service_pb.ts';
import * as user from '../../gen/passmanager/user/v1/user_service_pb.ts';
import { GROUP, padGroupElement } from '../../src/protocol/srp.ts';
import { eventually } from '../support/eventually.ts';
import {
  abortChange,
  announce,
  beginChange,
  commitChange,
  createEntries,
  openChange,
  proveCurrent,
  renewed,
  startChange,
  updateMany,
  updateOne,
} from '../support/password_change.ts';
import {
  finishLogin,
  logIn,
  makeAccount,
  type RawSession,
  reasons,
  refusalOf,
  register,
  startLogin,
  type TestAccount,
} from '../support/raw_client.ts';
import { startTestServer, type TestServer } from '../support/test_server.ts';

const { method } = password.PasswordService;
const bytes = (length: number) => new Uint8Array(randomBytes(length));
const hex = (value: Uint8Array) => Buffer.from(value).toString('hex');
const CHANGE = [[12, 'request']];
/** Connections for reads of a test server. */
const READS = 3;

const list = (opened: RawSession) =>
  opened.call(session.SessionService.method.listSessions, session.ListSessionsPayloadSchema, {});
const getData = (opened: RawSession, entryId: string) =>
  opened.call(data.DataService.method.getEntry, data.GetEntryPayloadSchema, { entryId });
const getOld = (change: RawSession, entryId: string) =>
  change.call(method.getEntry, password.GetEntryPayloadSchema, { entryId });

/** Every RPC that belongs into a change session. */
const changeCalls = (opened: RawSession, entryId: string) => [
  () => getOld(opened, entryId),
  () => updateOne(opened, renewed(entryId)),
  () => updateMany(opened, [renewed(entryId)]),
  () => opened.call(method.batchGetEntries, password.BatchGetEntriesPayloadSchema, { entryIds: [entryId] }),
  () =>
    opened.call(method.commitPasswordChange, password.CommitPasswordChangePayloadSchema, {
      newEphPublicA: padGroupElement(5n),
      newClientProofM1: bytes(32),
    }),
];

describe('PasswordService', () => {
  let server: TestServer;
  let transport: Transport;
  let account: TestAccount;
  let opened: RawSession;

  before(async () => {
    server = await startTestServer();
    transport = createConnectTransport({ baseUrl: server.httpUrl, httpVersion: '1.1' });
  });

  after(() => server.stop());

  beforeEach(async () => {
    account = makeAccount();
    await register(transport, account);
    opened = await logIn(transport, account, { maximumRequests: -1n });
  });

  const expectSealed = async (attempt: Promise<unknown>, expected: unknown) => {
    const refusal = await refusalOf(attempt);
    expect(reasons(refusal)).to.deep.equal(expected);
    expect(refusal.sealed).to.equal(true);
  };

  describe('StartPasswordChange', () => {
    it('names every invalid field', async () => {
      await expectSealed(
        opened.call(method.startPasswordChange, password.StartPasswordChangePayloadSchema, {}),
        ['srp_salt', 'srp_verifier', 'master_key_salt', 'kdf', 'encrypted_vault_header'].map((field) => [
          30,
          field,
        ]),
      );
    });

    it('answers the current salts and blocks nothing', async () => {
      const { result } = await startChange(opened, announce(account, 'new'));
      expect(hex(result.srpSalt)).to.equal(hex(account.srpSalt));
      expect(hex(result.masterKeySalt)).to.equal(hex(account.masterKeySalt));
      expect(hex(result.ephPublicB)).not.to.equal(hex(result.newEphPublicB));
      await list(opened);
    });

    it('is replaced by the next start of the same session, and by no other session’s', async () => {
      const other = await logIn(transport, account);
      const first = await startChange(opened, announce(account, 'one'));
      await startChange(other, announce(account, 'two'));
      const second = await startChange(opened, announce(account, 'three'));
      await expectSealed(openChange(opened, account, first), [[11, 'request']]);
      await openChange(opened, account, second);
    });
  });

  it('waits for the log-in threads without holding up others: too many at once are RQS03, and writes go on', async () => {
    const stranger = makeAccount();
    await register(transport, stranger);
    const writer = await logIn(transport, stranger);
    // A user's own calls wait for one another.
    const sessions: RawSession[] = [];
    for (let index = 0; index < 20; index += 1) {
      const one = makeAccount();
      await register(transport, one);
      sessions.push(await logIn(transport, one));
    }
    // Those whose turn it is wait for this.
    const lock = new pg.Client(server.database.connection);
    await lock.connect();
    await lock.query('begin');
    const owners = 'select user_id from login_sessions where id = any($1)';
    await lock.query(`select from users where id in (${owners}) for update`, [
      sessions.map(({ sessionId }) => sessionId),
    ]);
    const announced = announce(account, 'new');
    const refused: unknown[] = [];
    const flood = Promise.all(
      Array.from({ length: 4 * sessions.length }, (_, index) =>
        startChange(sessions[index % sessions.length]!, announced).catch((error) => refused.push(error)),
      ),
    );
    await eventually(() => refused.length === 14);
    await createEntries(writer, 1);
    expect((await server.database.lockWaiters()).length).to.equal(2);
    await lock.end();
    await flood;
    expect(refused).to.have.length(14);
    const refusal = await refusalOf(Promise.reject(refused[0]));
    expect(reasons(refusal)).to.deep.equal([[13, 'request']]);
    expect(refusal.sealed).to.equal(false);
  });

  describe('AuthenticatePasswordChange', () => {
    it('names every invalid field and consumes nothing', async () => {
      const started = await startChange(opened, announce(account, 'new'));
      await expectSealed(
        openChange(opened, account, started, {
          ephemeralId: 'x',
          ephPublicA: bytes(511),
          clientProofM1: bytes(31),
        }),
        ['ephemeral_id', 'eph_public_a', 'client_proof_m1'].map((field) => [30, field]),
      );
      await openChange(opened, account, started);
    });

    it('refuses a wrong proof with a sealed RQS01 and consumes the attempt', async () => {
      const started = await startChange(opened, announce(account, 'new'));
      await expectSealed(openChange(opened, account, started, { clientProofM1: bytes(32) }), [
        [11, 'request'],
      ]);
      await expectSealed(openChange(opened, account, started), [[11, 'request']]);
      await list(opened);
    });

    for (const [name, element] of [
      ['0', padGroupElement(0n)],
      ['N', padGroupElement(GROUP.N)],
    ] as const) {
      it(`refuses ${name} for A like a wrong proof`, async () => {
        const started = await startChange(opened, announce(account, 'new'));
        await expectSealed(openChange(opened, account, started, { ephPublicA: element }), [[11, 'request']]);
        await expectSealed(openChange(opened, account, started), [[11, 'request']]);
      });
    }

    it('refuses guesses from one session as it does those of log-ins, and no other session’s proof', async () => {
      const limited = await startTestServer({ settings: { PASSMANAGER_RATE_LIMIT: 'on' } });
      const way = createConnectTransport({ baseUrl: limited.httpUrl, httpVersion: '1.1' });
      const account = makeAccount();
      await register(way, account);
      const [stolen, own] = [
        await logIn(way, account, { maximumRequests: -1n }),
        await logIn(way, account, { maximumRequests: -1n }),
      ];
      const guess = async () => {
        const started = await startChange(stolen, announce(account, 'another password'));
        return refusalOf(openChange(stolen, account, started, { clientProofM1: randomBytes(32) }));
      };
      let refusal = await guess();
      for (let guesses = 1; refusal.status === Code.Unauthenticated && guesses < 80; guesses += 1)
        refusal = await guess();
      expect(refusal.status).to.equal(Code.ResourceExhausted);
      expect(refusal.sealed).to.equal(true);
      expect(Number(refusal.failure?.retryAfter?.seconds)).to.be.within(1, 60);
      await beginChange(own, account);
      await limited.stop();
    });

    it('counts guesses where others hold every connection for reads', async () => {
      const limited = await startTestServer({ settings: { PASSMANAGER_RATE_LIMIT: 'on' } });
      const way = createConnectTransport({ baseUrl: limited.httpUrl, httpVersion: '1.1' });
      const [account, other] = [makeAccount(), makeAccount()];
      await register(way, account);
      await register(way, other);
      const [guesser, reader] = [await logIn(way, account), await logIn(way, other)];
      const started = await startChange(guesser, announce(account, 'another password'));
      await refusalOf(openChange(guesser, account, started, { clientProofM1: bytes(32) }));
      await limited.database.query('update rate_counters set count = 1000');
      const again = await startChange(guesser, announce(account, 'another password'));
      await list(reader);
      const lock = new pg.Client(limited.database.connection);
      await lock.connect();
      await lock.query('begin');
      await lock.query('select from login_sessions where id = $1 for update', [reader.sessionId]);
      const reads = Array.from({ length: READS }, () => list(reader));
      await eventually(async () => (await limited.database.lockWaiters()).length === READS);
      const refusal = await refusalOf(openChange(guesser, account, again, { clientProofM1: bytes(32) }));
      await lock.end();
      await Promise.all(reads);
      await limited.stop();
      expect(reasons(refusal)).to.deep.equal([[13, 'request']]);
      expect(refusal.sealed).to.equal(true);
    });

    it('refuses an attempt that is unknown, expired, another session’s or a log-in’s', async () => {
      const unknown = await startChange(opened, announce(account, 'new'));
      await expectSealed(openChange(opened, account, unknown, { ephemeralId: randomUUID() }), [
        [11, 'request'],
      ]);
      const other = await logIn(transport, account);
      const foreign = await startChange(other, announce(account, 'new'));
      await expectSealed(openChange(opened, account, foreign), [[11, 'request']]);
      const expired = await startChange(opened, announce(account, 'new'));
      await server.database.query(
        "update auth_ephemerals set expires_at = now() - interval '1 s' where id = $1",
        [expired.result.ephemeralId],
      );
      await expectSealed(openChange(opened, account, expired), [[11, 'request']]);
      const login = await startLogin(transport, account.usernameHash);
      const started = await startChange(opened, announce(account, 'new'));
      await expectSealed(openChange(opened, account, started, { ephemeralId: login.ephemeralId }), [
        [11, 'request'],
      ]);
      await finishLogin(transport, account, login);
    });

    it('refuses a proof that is about other announced credentials', async () => {
      const started = await startChange(opened, announce(account, 'new'));
      const swapped = { ...started, pending: bytes(32) };
      await expectSealed(openChange(opened, account, swapped), [[11, 'request']]);
    });

    it('answers the ids of all live entries, the revision and the limits', async () => {
      const entries = await createEntries(opened, 5);
      await opened.call(data.DataService.method.deleteEntry, data.DeleteEntryPayloadSchema, {
        entryId: entries[0]!.entryId,
      });
      const { opened: result } = await beginChange(opened, account);
      expect([...result.entryIds].sort()).to.deep.equal(
        entries
          .slice(1)
          .map(({ entryId }) => entryId)
          .sort(),
      );
      expect(result).to.deep.include({ revision: 6n, maximumRequests: 116n, expirySeconds: 300n });
    });

    it('lists every entry whose creation succeeded before it, however they race', async () => {
      const started = await startChange(opened, announce(account, 'new'));
      const writer = await logIn(transport, account, { maximumRequests: -1n });
      const writing = Array.from({ length: 30 }, async () => {
        const entry = renewed(randomUUID());
        await writer.call(data.DataService.method.createEntry, data.CreateEntryPayloadSchema, entry);
        return entry.entryId;
      });
      const [{ result }, written] = await Promise.all([
        openChange(opened, account, started),
        Promise.allSettled(writing),
      ]);
      const created = written.flatMap((outcome) => (outcome.status === 'fulfilled' ? [outcome.value] : []));
      expect([...result.entryIds].sort()).to.deep.equal(created.sort());
    });
  });

  describe('while a change is open', () => {
    it('refuses every other sealed request of the user, and lets log-ins in', async () => {
      const [entry] = await createEntries(opened, 1);
      const other = await logIn(transport, account, { maximumRequests: -1n });
      const prepared = await startChange(other, announce(account, 'prepared'));
      await beginChange(opened, account);
      const fresh = await logIn(transport, account);
      const { entryId } = entry!;
      for (const call of [
        () => list(opened),
        () => list(other),
        () => getData(fresh, entryId),
        () =>
          other.call(
            data.DataService.method.createEntry,
            data.CreateEntryPayloadSchema,
            renewed(randomUUID()),
          ),
        () =>
          other.call(data.DataService.method.updateEntry, data.UpdateEntryPayloadSchema, renewed(entryId)),
        () => other.call(data.DataService.method.deleteEntry, data.DeleteEntryPayloadSchema, { entryId }),
        () => other.call(data.DataService.method.listEntries, data.ListEntriesPayloadSchema, {}),
        () => other.call(data.DataService.method.syncEntries, data.SyncEntriesPayloadSchema, {}),
        () =>
          other.call(data.DataService.method.batchGetEntries, data.BatchGetEntriesPayloadSchema, {
            entryIds: [entryId],
          }),
        () =>
          other.call(data.DataService.method.batchCreateEntries, data.BatchCreateEntriesPayloadSchema, {
            entries: [renewed(randomUUID())],
          }),
        () =>
          other.call(data.DataService.method.batchUpdateEntries, data.BatchUpdateEntriesPayloadSchema, {
            entries: [renewed(entryId)],
          }),
        () =>
          other.call(data.DataService.method.batchDeleteEntries, data.BatchDeleteEntriesPayloadSchema, {
            entries: [{ entryId }],
          }),
        () => other.stream(data.DataService.method.watchEntries, data.WatchEntriesPayloadSchema, {}).next(),
        () =>
          other.call(session.SessionService.method.deleteSession, session.DeleteSessionPayloadSchema, {
            sessionId: opened.sessionId,
          }),
        () =>
          other.call(
            session.SessionService.method.deleteAllSessions,
            session.DeleteAllSessionsPayloadSchema,
            {},
          ),
        () => other.call(user.UserService.method.deleteUser, user.DeleteUserPayloadSchema, {}),
        () =>
          other.call(user.UserService.method.changeUsername, user.ChangeUsernamePayloadSchema, {
            newUsernameHash: bytes(32),
          }),
        () => startChange(other, announce(account, 'other')),
        () => openChange(other, account, prepared),
        ...changeCalls(other, entryId),
        ...changeCalls(opened, entryId),
      ]) {
        await expectSealed(call(), CHANGE);
      }
    });

    it('names what is wrong with a request before it says so', async () => {
      await beginChange(opened, account);
      await expectSealed(getData(opened, 'x'), [[30, 'entry_id']]);
    });

    it('ends a watch with a sealed RQS02', async () => {
      const watcher = await logIn(transport, account);
      const stream = watcher.stream(data.DataService.method.watchEntries, data.WatchEntriesPayloadSchema, {});
      await stream.next();
      const ended = refusalOf(stream.next());
      await beginChange(opened, account);
      const refusal = await ended;
      expect(refusal.sealed).to.equal(true);
      expect(reasons(refusal)).to.deep.equal(CHANGE);
    });

    it('refuses the change session any other service', async () => {
      const { change } = await beginChange(opened, account);
      await expectSealed(list(change), CHANGE);
      await expectSealed(getData(change, randomUUID()), CHANGE);
      await expectSealed(startChange(change, announce(account, 'x')), CHANGE);
    });
  });

  it('refuses the RPCs of a change to a session that has none', async () => {
    for (const call of changeCalls(opened, randomUUID())) {
      await expectSealed(call(), CHANGE);
    }
  });

  describe('in the change session', () => {
    it('Get always answers the old bytes, also in batches', async () => {
      const [entry, other] = await createEntries(opened, 2);
      const { change } = await beginChange(opened, account);
      await updateOne(change, renewed(entry!.entryId));
      expect(hex((await getOld(change, entry!.entryId)).entryData)).to.equal(hex(entry!.entryData));
      const unknown = randomUUID();
      const batch = await change.call(method.batchGetEntries, password.BatchGetEntriesPayloadSchema, {
        entryIds: [other!.entryId, unknown, entry!.entryId],
      });
      expect(batch.entries.map(({ entryId }: { entryId: string }) => entryId)).to.deep.equal([
        other!.entryId,
        entry!.entryId,
      ]);
      expect(batch.missingEntryIds).to.deep.equal([unknown]);
      await expectSealed(getOld(change, unknown), [[31, 'entry_id']]);
    });

    it('Update takes the same bytes again, refuses others, and counts what is left', async () => {
      const [one, two, three] = await createEntries(opened, 3);
      const { change } = await beginChange(opened, account);
      const update = renewed(one!.entryId);
      expect((await updateOne(change, update)).remainingEntries).to.equal(2);
      expect((await updateOne(change, update)).remainingEntries).to.equal(2);
      await expectSealed(updateOne(change, renewed(one!.entryId)), [[43, 'entry_id']]);
      await expectSealed(updateOne(change, renewed(randomUUID())), [[31, 'entry_id']]);
      await expectSealed(
        updateMany(change, [renewed(two!.entryId), renewed(one!.entryId), renewed(randomUUID())]),
        [
          [43, 'entries[1].entry_id'],
          [31, 'entries[2].entry_id'],
        ],
      );
      expect((await updateMany(change, [update])).remainingEntries).to.equal(2);
      expect(
        (await updateMany(change, [update, renewed(two!.entryId), renewed(three!.entryId)])).remainingEntries,
      ).to.equal(0);
    });

    it('ends with 4n + 100 requests', async () => {
      const { change } = await beginChange(opened, account);
      await server.database.query('update login_sessions set request_count = 99 where id = $1', [
        change.sessionId,
      ]);
      await abortlessGet(change);
      const refusal = await refusalOf(getOld(change, randomUUID()));
      expect(refusal.sealed).to.equal(false);
      expect(reasons(refusal)).to.deep.equal([[11, 'request']]);
      // Nothing can finish the change now, so it stands in nobody's way.
      await list(opened);
    });

    it('ends with its last request when that one’s payload is refused, too', async () => {
      const { change } = await beginChange(opened, account);
      await server.database.query('update login_sessions set request_count = 99 where id = $1', [
        change.sessionId,
      ]);
      expect(reasons(await refusalOf(getOld(change, 'x')))).to.deep.equal([[30, 'entry_id']]);
      await list(opened);
    });

    it('is committed by its last request like by any other', async () => {
      const { change, started } = await beginChange(opened, account);
      await server.database.query('update login_sessions set request_count = 99 where id = $1', [
        change.sessionId,
      ]);
      await commitChange(change, started);
    });

    it('is renewed by every accepted request, up to an hour in all', async () => {
      const { change } = await beginChange(opened, account);
      const expiry = async () =>
        (
          await server.database.query(
            'select extract(epoch from change_expires_at - clock_timestamp())::int as idle, extract(epoch from change_expires_at - change_opened_at)::int as total from users where change_session_id = $1',
            [change.sessionId],
          )
        )[0]!;
      await server.database.query(
        "update users set change_expires_at = clock_timestamp() + interval '9 s' where change_session_id = $1",
        [change.sessionId],
      );
      await abortlessGet(change);
      expect((await expiry()).idle).to.be.within(295, 300);
      await server.database.query(
        "update users set change_opened_at = clock_timestamp() - interval '3500 s' where change_session_id = $1",
        [change.sessionId],
      );
      await abortlessGet(change);
      expect((await expiry()).total).to.equal(3_600);
    });

    /** A request that is accepted and finds nothing. */
    async function abortlessGet(change: RawSession): Promise<void> {
      await expectSealed(getOld(change, randomUUID()), [[31, 'entry_id']]);
    }
  });

  describe('CommitPasswordChange', () => {
    it('is refused while an entry misses its new bytes, and the change stays open', async () => {
      const [one, two] = await createEntries(opened, 2);
      const { change, started } = await beginChange(opened, account);
      await updateOne(change, renewed(one!.entryId));
      const refusal = await refusalOf(commitChange(change, started));
      expect(refusal.status).to.equal(Code.FailedPrecondition);
      expect(reasons(refusal)).to.deep.equal([[42, 'entries']]);
      await updateOne(change, renewed(two!.entryId));
      await commitChange(change, started);
    });

    it('is refused without proof of the new password, and may be repeated', async () => {
      const { change, started } = await beginChange(opened, account);
      for (const spoil of [{ newClientProofM1: bytes(32) }, { newEphPublicA: padGroupElement(0n) }]) {
        await expectSealed(commitChange(change, started, spoil), [[42, 'new_client_proof_m1']]);
      }
      await expectSealed(
        commitChange(change, started, { newEphPublicA: bytes(5), newClientProofM1: bytes(5) }),
        [
          [30, 'new_eph_public_a'],
          [30, 'new_client_proof_m1'],
        ],
      );
      await commitChange(change, started);
    });

    it('puts credentials, header and entries in force, and ends every session and attempt', async () => {
      const entries = await createEntries(opened, 4);
      const gone = entries[3]!.entryId;
      await opened.call(data.DataService.method.deleteEntry, data.DeleteEntryPayloadSchema, {
        entryId: gone,
      });
      const underWay = await startLogin(transport, account.usernameHash);
      const { change, started, announced } = await beginChange(opened, account);
      const during = await logIn(transport, account);
      const fresh = entries.slice(0, 3).map(({ entryId }) => renewed(entryId));
      await updateMany(change, fresh);
      await commitChange(change, started);

      for (const dead of [opened, during, change]) {
        const refusal = await refusalOf(list(dead));
        expect(refusal.sealed).to.equal(false);
        expect(reasons(refusal)).to.deep.equal([[11, 'request']]);
      }
      expect((await refusalOf(finishLogin(transport, account, underWay))).status).to.equal(
        Code.Unauthenticated,
      );
      expect((await refusalOf(logIn(transport, account))).status).to.equal(Code.Unauthenticated);
      const after = await logIn(transport, announced);
      expect(hex(after.result.encryptedVaultHeader)).to.equal(hex(announced.encryptedVaultHeader));
      const sync = await after.call(data.DataService.method.syncEntries, data.SyncEntriesPayloadSchema, {});
      expect(sync.nextRevision).to.equal(8n);
      expect(sync.entries.map(({ revision }: { revision: bigint }) => revision)).to.deep.equal([6n, 7n, 8n]);
      expect(sync.deletedEntryIds).to.deep.equal([gone]);
      const byId = new Map(fresh.map((entry) => [entry.entryId, entry]));
      for (const entry of sync.entries) {
        expect(hex(entry.entryName)).to.equal(hex(byId.get(entry.entryId)!.entryName));
        expect(hex(entry.entryData)).to.equal(hex(byId.get(entry.entryId)!.entryData));
      }
      for (const table of ['users where change_session_id', 'secure_data where new_change_session_id']) {
        expect(
          await server.database.query(`select 1 from ${table} = $1`, [change.sessionId]),
          table,
        ).to.deep.equal([]);
      }
    });

    it('works for a vault without entries, and for the same password', async () => {
      const { change, started, announced } = await beginChange(opened, account, 'password');
      await commitChange(change, started);
      await logIn(transport, announced);
    });

    it('happens once when it is sent five times at once', async () => {
      await createEntries(opened, 3);
      const { change, started, opened: result, announced } = await beginChange(opened, account);
      await updateMany(change, result.entryIds.map(renewed));
      const results = await Promise.allSettled(
        Array.from({ length: 5 }, () => commitChange(change, started)),
      );
      expect(results.filter(({ status }) => status === 'fulfilled')).to.have.length(1);
      const after = await logIn(transport, announced);
      const sync = await after.call(data.DataService.method.syncEntries, data.SyncEntriesPayloadSchema, {});
      expect(sync.nextRevision).to.equal(6n);
    });
  });

  describe('AbortPasswordChange', () => {
    it('puts everything back, byte for byte', async () => {
      const entries = await createEntries(opened, 3);
      const { change } = await beginChange(opened, account);
      await updateMany(
        change,
        entries.slice(0, 2).map(({ entryId }) => renewed(entryId)),
      );
      await abortChange(change);
      for (const entry of entries) {
        const got = await getData(opened, entry.entryId);
        expect(hex(got.entryName) + hex(got.entryData)).to.equal(hex(entry.entryName) + hex(entry.entryData));
      }
      const refusal = await refusalOf(getOld(change, entries[0]!.entryId));
      expect(refusal.sealed).to.equal(false);
      await logIn(transport, account);
    });

    it('is taken from the session that began it and from one opened later, not from an older one', async () => {
      const older = await logIn(transport, account, { maximumRequests: -1n });
      await beginChange(opened, account);
      await expectSealed(abortChange(older), CHANGE);
      const newer = await logIn(transport, account);
      await abortChange(newer);
      await list(older);
      await beginChange(opened, account);
      await abortChange(opened);
      await list(older);
    });

    it('succeeds with no change open, and drops the start of this session alone', async () => {
      const other = await logIn(transport, account);
      const started = await startChange(opened, announce(account, 'x'));
      const kept = await startChange(other, announce(account, 'y'));
      await abortChange(opened);
      await expectSealed(openChange(opened, account, started), [[11, 'request']]);
      expect(proveCurrent(other, account, kept).m1).to.have.length(32);
      await openChange(other, account, kept);
    });
  });

  describe('a change that runs out of time', () => {
    it('is as if it had never been: its session is gone, old bytes hold, its new bytes count as absent', async () => {
      const entries = await createEntries(opened, 2);
      const { change, started } = await beginChange(opened, account);
      await updateMany(
        change,
        entries.map(({ entryId }) => renewed(entryId)),
      );
      await server.database.query(
        "update users set change_expires_at = clock_timestamp() - interval '1 s' where change_session_id = $1",
        [change.sessionId],
      );
      const refusal = await refusalOf(commitChange(change, started));
      expect(refusal.sealed).to.equal(false);
      expect(reasons(refusal)).to.deep.equal([[11, 'request']]);
      expect(hex((await getData(opened, entries[0]!.entryId)).entryData)).to.equal(
        hex(entries[0]!.entryData),
      );

      const again = await beginChange(opened, account, 'third password');
      expect(reasons(await refusalOf(commitChange(again.change, again.started)))).to.deep.equal([
        [42, 'entries'],
      ]);
      expect((await updateOne(again.change, renewed(entries[0]!.entryId))).remainingEntries).to.equal(1);
      expect((await updateOne(again.change, renewed(entries[1]!.entryId))).remainingEntries).to.equal(0);
      await commitChange(again.change, again.started);
      await logIn(transport, again.announced);
    });
  });

  it('meets every other request, on both sides of its commit, without a deadlock', async () => {
    const entries = await createEntries(opened, 20);
    const others = await Promise.all(
      Array.from({ length: 6 }, () => logIn(transport, account, { maximumRequests: -1n })),
    );
    const seen = new Set<string>();
    let running = true;
    const busy = others.map(async (other, index) => {
      for (let turn = index; running; turn += 1) {
        const { entryId } = entries[turn % entries.length]!;
        const call = [
          () => list(other),
          () => getData(other, entryId),
          () =>
            other.call(data.DataService.method.updateEntry, data.UpdateEntryPayloadSchema, renewed(entryId)),
          () =>
            other.call(data.DataService.method.batchUpdateEntries, data.BatchUpdateEntriesPayloadSchema, {
              entries: entries.slice(turn % 10).map((entry) => renewed(entry.entryId)),
            }),
        ][turn % 4]!;
        await call().then(
          () => seen.add('success'),
          async (error) => seen.add(String(reasons(await refusalOf(Promise.reject(error)))[0])),
        );
      }
    });
    const { change, started, announced, opened: result } = await beginChange(opened, account);
    await updateMany(change, result.entryIds.map(renewed));
    await commitChange(change, started);
    await logIn(transport, announced);
    await eventually(() => seen.has('11,request'));
    running = false;
    await Promise.all(busy);
    expect([...seen].sort()).to.deep.equal(['11,request', '12,request', 'success']);
    // A connection that ends reports its counters.
    await server.database.query(
      "select pg_terminate_backend(pid, 5000) from pg_stat_activity where datname = current_database() and application_name = 'passmanager'",
    );
    expect(
      await server.database.query(
        'select deadlocks::int from pg_stat_database where datname = current_database()',
      ),
    ).to.deep.equal([{ deadlocks: 0 }]);
  });

  it('gives a password change to the owner and to nobody else: a stolen session alone opens none', async () => {
    const thief = await logIn(transport, account);
    const wrong = { ...account, srpSecret: bytes(32) };
    const started = await startChange(thief, announce(account, 'mine now'));
    await expectSealed(openChange(thief, wrong, started), [[11, 'request']]);
    await logIn(transport, account);
  });
});
