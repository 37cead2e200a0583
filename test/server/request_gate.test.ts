import { createSecretKey, randomBytes, randomUUID } from 'node:crypto';
import { join } from 'node:path';
import {
  create as createMessage,
  type DescMessage,
  type DescMethodUnary,
  toBinary,
} from '@bufbuild/protobuf';
import { Code, type Transport } from '@connectrpc/connect';
import { createConnectTransport } from '@connectrpc/connect-node';
import { expect } from 'chai';
import fc from 'fast-check';
import pg from 'pg';
import { Access } from '../../gen/passmanager/common/v1/access_pb.ts';
import * as data from '../../gen/passmanager/data/v1/data_service_pb.ts';
import * as session from '../../gen/passmanager/session/v1/session_service_pb.ts';
import { createGrpcTransport } from '../../src/client/grpc_transport.ts';
import type { Database } from '../../src/database/database.ts';
import { ACCOUNT_REVISION } from '../../src/database/entry_statements.ts';
import { DatabaseFault } from '../../src/database/sqlstate.ts';
import { fieldNotFound, type RpcFailure } from '../../src/server/errors.ts';
import { acceptNumber, isReplay, type ReplayWindow } from '../../src/server/replay_window.ts';
import { RequestGate, SealedCall } from '../../src/server/request_gate.ts';
import type { CallContext } from '../../src/server/rpc.ts';
import { SrpQueueFullError } from '../../src/server/srp/srp_pool.ts';
import { eventually } from '../support/eventually.ts';
import { type LossyPostgres, startLossyPostgres } from '../support/lossy_postgres.ts';
import {
  logIn,
  makeAccount,
  RawSession,
  reasons,
  refusalOf,
  register,
  type TestAccount,
} from '../support/raw_client.ts';
import { rejection } from '../support/rejection.ts';
import { StatementWorld } from '../support/statement_world.ts';
import { startTestServer, type TestServer } from '../support/test_server.ts';

const { method } = data.DataService;
const bytes = (length: number) => new Uint8Array(randomBytes(length));
const newEntry = () => ({ entryId: randomUUID() as string, entryName: bytes(93), entryData: bytes(285) });

const CONTEXT: CallContext = {
  requestId: 'x',
  clientAddress: '127.0.0.1',
  signal: new AbortController().signal,
  protocol: 'grpc',
  traceparent: undefined,
};

describe('the request gate', () => {
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

  const list = (requestNumber?: bigint) =>
    opened.call(
      session.SessionService.method.listSessions,
      session.ListSessionsPayloadSchema,
      {},
      requestNumber,
    );
  const create = (entry = newEntry(), requestNumber?: bigint) =>
    opened.call(method.createEntry, data.CreateEntryPayloadSchema, entry, requestNumber);
  const batch = (requestNumber?: bigint) =>
    opened.call(
      method.batchCreateEntries,
      data.BatchCreateEntriesPayloadSchema,
      { entries: [newEntry()] },
      requestNumber,
    );

  const expectClear = async (attempt: Promise<unknown>) => {
    const refusal = await refusalOf(attempt);
    expect(reasons(refusal)).to.deep.equal([[11, 'request']]);
    expect(refusal.sealed).to.equal(false);
  };

  /** A failure in clear of which the server knows no better than its code says. */
  const expectOutage = async (attempt: Promise<unknown>, status: Code, code: number) => {
    const refusal = await refusalOf(attempt);
    expect(refusal.status).to.equal(status);
    expect(refusal.sealed).to.equal(false);
    expect(reasons(refusal)).to.deep.equal([[code, 'server']]);
  };

  it('keeps in SQL the window that the model keeps, for numbers in any order', async () => {
    const numbers = fc.array(
      fc.oneof(
        { weight: 6, arbitrary: fc.bigInt({ min: 0n, max: 200n }) },
        { weight: 1, arbitrary: fc.bigInt({ min: 2n ** 53n - 80n, max: 2n ** 53n - 1n }) },
      ),
      { minLength: 1, maxLength: 25 },
    );
    await fc.assert(
      fc.asyncProperty(numbers, async (sequence) => {
        account = makeAccount();
        await register(transport, account);
        opened = await logIn(transport, account, { maximumRequests: -1n });
        let model: ReplayWindow = { highest: -1n, window: 0n };
        for (const [index, number] of sequence.entries()) {
          const replay = isReplay(model, number);
          // Reads, writes and transactions spend by the same window.
          const call = [list, (n: bigint) => create(newEntry(), n), batch][index % 3]!;
          if (replay) await expectClear(call(number));
          else {
            await call(number);
            model = acceptNumber(model, number);
          }
        }
        const [row] = await server.database.query(
          'select highest_request_number, request_window, request_count from login_sessions where id = $1',
          [opened.sessionId],
        );
        expect(BigInt(row!.highest_request_number as string)).to.equal(model.highest);
        expect(BigInt.asUintN(64, BigInt(row!.request_window as string))).to.equal(model.window);
      }),
      { numRuns: 12 },
    );
  }).timeout(60_000);

  for (const [name, call] of [
    ['a read', (number: bigint) => list(number)],
    ['a write', (number: bigint) => create(newEntry(), number)],
    ['a transaction', (number: bigint) => batch(number)],
  ] as const) {
    it(`lets one of twenty requests with one number through when each is ${name}`, async () => {
      const results = await Promise.allSettled(Array.from({ length: 20 }, () => call(7n)));
      expect(results.filter(({ status }) => status === 'fulfilled')).to.have.length(1);
      const [row] = await server.database.query(
        'select request_count::int as n from login_sessions where id = $1',
        [opened.sessionId],
      );
      expect(row!.n).to.equal(1);
    });
  }

  it('executes a captured request once, whoever sends it how often', async () => {
    const entry = newEntry();
    const path = '/passmanager.data.v1.DataService/CreateEntry';
    const { create: make, toBinary } = await import('@bufbuild/protobuf');
    const secure = await opened.envelope(
      path,
      toBinary(data.CreateEntryPayloadSchema, make(data.CreateEntryPayloadSchema, entry)),
      0n,
    );
    await opened.send(method.createEntry, secure, 0n);
    opened.next = 1n;
    await opened.call(method.deleteEntry, data.DeleteEntryPayloadSchema, { entryId: entry.entryId });
    await expectClear(opened.send(method.createEntry, secure, 0n));
    const refusal = await refusalOf(
      opened.call(method.getEntry, data.GetEntryPayloadSchema, { entryId: entry.entryId }),
    );
    expect(reasons(refusal)).to.deep.equal([[31, 'entry_id']]);
  });

  it('spends the number of a payload that is refused, and of a request that fails', async () => {
    expect((await refusalOf(create({ ...newEntry(), entryId: 'x' }, 0n))).sealed).to.equal(true);
    await expectClear(list(0n));
    const missing = () =>
      opened.call(method.getEntry, data.GetEntryPayloadSchema, { entryId: randomUUID() }, 1n);
    expect(reasons(await refusalOf(missing()))).to.deep.equal([[31, 'entry_id']]);
    await expectClear(missing());
  });

  it('says RQS01 of a dead session before it says what is wrong with the payload', async () => {
    await server.database.query(
      "update login_sessions set expires_at = now() - interval '1 s' where id = $1",
      [opened.sessionId],
    );
    await expectClear(create({ ...newEntry(), entryId: 'x' }));
  });

  it('ends no later because the clock was put back: a session last seen in the future has ended until it is right', async () => {
    await list(0n);
    const seen = (seconds: number) =>
      server.database.query(
        'update login_sessions set last_used_at = clock_timestamp() + make_interval(secs => $2) where id = $1',
        [opened.sessionId, seconds],
      );
    await seen(90);
    for (const call of [() => list(1n), () => create(newEntry(), 1n), () => batch(1n)])
      await expectClear(call());
    // What time servers put right by some seconds ends nothing.
    await seen(30);
    await list(1n);
  });

  describe('when the work of a transaction throws', () => {
    let world: StatementWorld;
    let gate: RequestGate;

    before(async () => {
      world = await StatementWorld.open();
      gate = new RequestGate(world.database);
    });

    after(() => world.close());

    beforeEach(() => world.newUser());

    const sealed = () => {
      const key = createSecretKey(bytes(32));
      const { sessionId, userId } = world;
      return new SealedCall({
        session: { sessionId, userId, kind: 1, clientToServer: key, serverToClient: key },
        requestNumber: 5n,
        access: Access.LOGIN_SESSION,
        path: '/x',
        context: CONTEXT,
      });
    };

    for (const [name, thrown, code] of [
      ['a mistake of the programmer', new Error('mistake'), 20],
      ['a constraint', new DatabaseFault('unique'), 20],
      ['a full queue of log-ins', new SrpQueueFullError(), 13],
      ['a failure', fieldNotFound('entry_id'), 31],
    ] as const) {
      it(`${name}: its effect is gone, its number spent, and the failure may be sealed`, async () => {
        const call = sealed();
        const attempt = gate.transaction(call, async (transaction) => {
          await transaction.execute('update users set entry_count = 9 where id = $1', [world.userId]);
          throw thrown;
        });
        expect(((await rejection(attempt)) as RpcFailure).errors[0]!.code).to.equal(code);
        expect(call.spent).to.equal(true);
        expect((await world.account()).entry_count).to.equal(0);
        const again = gate.transaction(sealed(), async () => 1);
        expect(((await rejection(again)) as RpcFailure).errors[0]!.code).to.equal(11);
      });
    }

    it('what undoes the whole: nothing is spent', async () => {
      const call = sealed();
      const attempt = gate.transaction(call, async () => {
        throw new DatabaseFault('timeout');
      });
      expect(await rejection(attempt)).to.be.instanceOf(DatabaseFault);
      expect(call.spent).to.equal(false);
      expect(await gate.transaction(sealed(), async () => 1)).to.equal(1);
    });
  });

  it('keeps windows in memory while the database cannot write, and drops those that nobody needs any more', async () => {
    const world = await StatementWorld.open();
    await world.newUser();
    const { rows } = await world.database.reads.execute(ACCOUNT_REVISION.unspentText, [
      world.sessionId,
      world.userId,
      0n,
    ]);
    // A database whose updates fail as on a full disk.
    let full = true;
    const execute = async (text: string, parameters: readonly unknown[]) => {
      if (full && text === ACCOUNT_REVISION.text) throw new DatabaseFault('full');
      return world.database.reads.execute(text, parameters);
    };
    const gate = new RequestGate({ reads: { execute } } as unknown as Database);
    const read = (requestNumber: bigint) => {
      const key = createSecretKey(bytes(32));
      return gate.read(
        new SealedCall({
          session: { ...world, kind: 1, clientToServer: key, serverToClient: key },
          requestNumber,
          access: Access.LOGIN_SESSION,
          path: '/x',
          context: CONTEXT,
        }),
        ACCOUNT_REVISION,
        [],
      );
    };
    const refused = async (requestNumber: bigint) =>
      ((await rejection(read(requestNumber))) as RpcFailure).errors[0]!.code === 11;
    try {
      expect(await read(3n)).to.deep.equal(rows);
      await gate.forgetHealed();
      expect(await refused(3n)).to.equal(true);
      full = false;
      await gate.forgetHealed();
      expect(await refused(3n)).to.equal(true);
      // The stored window has moved past all that the one in memory has seen.
      await read(67n);
      await gate.forgetHealed();
      expect(await refused(3n)).to.equal(true);
      expect(await read(4n)).to.have.length(1);
    } finally {
      await world.close();
    }
  });

  describe('when the database', () => {
    /** A lock that holds every write of this user up, by the test's own connection. */
    const holding = async <T>(work: (client: pg.Client) => Promise<T>): Promise<T> => {
      const client = new pg.Client(server.database.connection);
      await client.connect();
      try {
        await client.query('begin');
        await client.query('select from users for update');
        return await work(client);
      } finally {
        await client.end();
      }
    };
    const kill = () =>
      server.database.query(
        "select pg_terminate_backend(pid) from pg_stat_activity where datname = current_database() and application_name = 'passmanager' and wait_event_type = 'Lock'",
      );
    const untilWaiting = () => eventually(async () => (await server.database.lockWaiters()).length > 0);

    for (const [name, call] of [
      ['a write', () => create()],
      ['a transaction', () => batch()],
    ] as const) {
      it(`loses the connection of ${name} that waits, does it once`, async () => {
        const pending = holding(async () => {
          const attempt = call();
          attempt.catch(() => {});
          await untilWaiting();
          await kill();
          await new Promise((resolve) => setTimeout(resolve, 100));
          return { attempt };
        });
        await (await pending).attempt;
        const sync = await opened.call(method.syncEntries, data.SyncEntriesPayloadSchema, {});
        expect(sync.entries).to.have.length(1);
        expect(sync.nextRevision).to.equal(1n);
      });
    }

    for (const [name, call] of [
      ['a write', () => create()],
      ['a transaction', () => batch()],
    ] as const) {
      it(`ends the session of ${name} that waits, nothing is written`, async () => {
        const witness = await logIn(transport, account);
        const { attempt } = await holding(async (client) => {
          const attempt = call();
          attempt.catch(() => {});
          await untilWaiting();
          await client.query('delete from login_sessions where id = $1', [opened.sessionId]);
          await client.query('commit');
          return { attempt };
        });
        await expectClear(attempt);
        const sync = await witness.call(method.syncEntries, data.SyncEntriesPayloadSchema, {});
        expect(sync.nextRevision).to.equal(0n);
      });
    }

    for (const door of ['HTTP', 'gRPC']) {
      for (const [name, rpc, schema, payload] of [
        ['a write', method.createEntry, data.CreateEntryPayloadSchema, newEntry],
        [
          'a transaction',
          method.batchCreateEntries,
          data.BatchCreateEntriesPayloadSchema,
          () => ({ entries: [newEntry()] }),
        ],
      ] as const) {
        it(`holds up ${name} whose caller goes away from the ${door} door, it is done whole and its number is spent`, async () => {
          const grpc = createGrpcTransport({ url: `http://${server.grpcAddress}` });
          const leaving = new AbortController();
          const plaintext = toBinary(schema as DescMessage, createMessage(schema as DescMessage, payload()));
          const number = opened.next++;
          const secure = await opened.envelope(`/${rpc.parent.typeName}/${rpc.name}`, plaintext, number);
          try {
            await holding(async () => {
              const attempt = (door === 'gRPC' ? grpc : transport).unary(
                rpc as DescMethodUnary,
                leaving.signal,
                undefined,
                undefined,
                { secure } as never,
                undefined,
              );
              attempt.catch(() => {});
              await untilWaiting();
              leaving.abort();
              expect((await refusalOf(attempt)).status).to.equal(Code.Canceled);
              // Long enough for the server to notice.
              await new Promise((resolve) => setTimeout(resolve, 100));
            });
            await eventually(async () => {
              const sync = await opened.call(method.syncEntries, data.SyncEntriesPayloadSchema, {});
              return sync.nextRevision === 1n;
            });
            await expectClear(opened.send(rpc, secure, number));
          } finally {
            grpc.close();
          }
        });
      }
    }

    it('cannot write, reading goes on without executing a number twice, writing is SVR01, and it heals', async () => {
      const entry = newEntry();
      await create(entry, 0n);
      const { database } = server.database.connection;
      const admin = new pg.Client({ ...server.database.connection, database: 'postgres' });
      await admin.connect();
      const readOnly = async (on: boolean) => {
        await admin.query(
          `alter database ${database} set default_transaction_read_only = ${on ? 'on' : 'off'}`,
        );
        await admin.query(
          "select pg_terminate_backend(pid) from pg_stat_activity where datname = $1 and application_name = 'passmanager'",
          [database],
        );
        await new Promise((resolve) => setTimeout(resolve, 200));
      };
      const get = (number: bigint) =>
        opened.call(method.getEntry, data.GetEntryPayloadSchema, { entryId: entry.entryId }, number);
      try {
        await readOnly(true);
        expect((await get(1n)).entryId).to.equal(entry.entryId);
        expect((await get(5n)).entryId).to.equal(entry.entryId);
        await expectClear(get(0n));
        await expectClear(get(1n));
        await expectClear(get(5n));
        for (const attempt of [() => create(newEntry(), 6n), () => batch(7n)])
          await expectOutage(attempt(), Code.Unavailable, 21);
        const ready = await fetch(`${server.httpUrl}/readyz`);
        expect(ready.status).to.equal(200);
        expect((await ready.json()).warning).to.include('read-only');
        await readOnly(false);
        await expectClear(get(5n));
        await expectClear(create(newEntry(), 1n));
        expect((await get(8n)).entryId).to.equal(entry.entryId);
        await create(newEntry(), 9n);
      } finally {
        await readOnly(false).catch(() => {});
        await admin.end();
      }
    });

    describe('loses the answer', () => {
      let lossy: LossyPostgres;
      let other: TestServer;
      let through: RawSession;

      before(async () => {
        lossy = await startLossyPostgres(server.database);
        other = await startTestServer({
          shared: { database: server.database, keyFile: join(server.config.dataDir, 'key') },
          settings: { PASSMANAGER_DATABASE_URL: lossy.url },
        });
      });

      after(async () => {
        await other.stop();
        await lossy.close();
      });

      beforeEach(async () => {
        through = new RawSession(
          createConnectTransport({ baseUrl: other.httpUrl, httpVersion: '1.1' }),
          opened.sessionId,
          opened.clientToServer,
          opened.serverToClient,
        );
        await list(0n);
      });

      const entry = newEntry();
      const read = (number: bigint) =>
        through.call(method.getEntry, data.GetEntryPayloadSchema, { entryId: entry.entryId }, number);
      const write = (number: bigint) =>
        through.call(method.createEntry, data.CreateEntryPayloadSchema, entry, number);
      const transaction = (number: bigint) =>
        through.call(
          method.batchCreateEntries,
          data.BatchCreateEntriesPayloadSchema,
          { entries: [entry] },
          number,
        );
      const revision = async () =>
        (await opened.call(method.syncEntries, data.SyncEntriesPayloadSchema, {}, 60n)).nextRevision;

      it('to a read that spent its number: it is read again', async () => {
        await create(entry, 1n);
        lossy.loseCommitOf(entry.entryId);
        expect((await read(2n)).revision).to.equal(1n);
        await expectClear(read(2n));
      });

      it('to a transaction that committed: its number tells, and the answer is the first one', async () => {
        lossy.loseCommitOf(entry.entryId);
        expect((await transaction(1n)).entries[0].revision).to.equal(1n);
        expect(await revision()).to.equal(1n);
      });

      it('to a transaction that was rolled back while a copy of it came another way: SVR03, whatever it would have been', async () => {
        const witness = await logIn(transport, account);
        lossy.keepCommitOf(entry.entryId, async () => {
          const others = { ...newEntry(), entryId: entry.entryId };
          await witness.call(method.createEntry, data.CreateEntryPayloadSchema, others);
          const copy = opened.call(
            method.batchCreateEntries,
            data.BatchCreateEntriesPayloadSchema,
            { entries: [entry] },
            1n,
          );
          expect((await refusalOf(copy)).status).to.equal(Code.AlreadyExists);
        });
        await expectOutage(transaction(1n), Code.Unknown, 23);
        expect(await revision()).to.equal(1n);
      });

      it('to a write that committed: what it wrote is unknown, it is not written twice, and asking again tells', async () => {
        lossy.loseCommitOf(entry.entryId);
        await expectOutage(write(1n), Code.Unknown, 23);
        await expectClear(write(1n));
        expect((await write(2n)).revision).to.equal(1n);
        expect(await revision()).to.equal(1n);
      });

      it('to a write that had nothing to write and was decided once more: it is decided again', async () => {
        await create(entry, 1n);
        lossy.loseCommitOf(entry.entryId, undefined, 1);
        expect((await write(2n)).revision).to.equal(1n);
        expect(await revision()).to.equal(1n);
      });

      it('to such a write and cannot be asked: SVR03 in clear, though the number is spent', async () => {
        await create(entry, 1n);
        lossy.loseCommitOf(entry.entryId, lossy.cut, 1);
        await expectOutage(write(2n), Code.Unknown, 23);
        lossy.restore();
        await expectClear(write(2n));
      });

      for (const [name, call] of [
        ['a write', write],
        ['a transaction', transaction],
      ] as const) {
        it(`to ${name} and cannot be asked: SVR03 in clear, and it happened once`, async () => {
          lossy.loseCommitOf(entry.entryId, lossy.cut);
          await expectOutage(call(1n), Code.Unknown, 23);
          lossy.restore();
          expect(await revision()).to.equal(1n);
        });
      }

      for (const [name, call] of [
        ['a read', read],
        ['a write', write],
        ['a transaction', transaction],
      ] as const) {
        it(`cannot be reached by ${name}: SVR01 in clear, nothing is spent or done, and it heals`, async () => {
          // The key of the session is in the cache, so it is the statement itself that fails.
          await create(entry, 1n);
          await read(2n);
          lossy.cut();
          await expectOutage(call(3n), Code.Unavailable, 21);
          lossy.restore();
          await call(3n);
          expect(await revision()).to.equal(1n);
        });
      }
    });
  });
});
