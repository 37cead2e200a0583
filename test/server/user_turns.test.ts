import { setTimeout as delay } from 'node:timers/promises';
import { create } from '@bufbuild/protobuf';
import { createConnectTransport, createGrpcTransport } from '@connectrpc/connect-node';
import { expect } from 'chai';
import pg from 'pg';
import { DataService, WatchEntriesPayloadSchema } from '../../gen/passmanager/data/v1/data_service_pb.ts';
import {
  ListSessionsPayloadSchema,
  SessionService,
} from '../../gen/passmanager/session/v1/session_service_pb.ts';
import type { RpcFailure } from '../../src/server/errors.ts';
import { UserTurns, WAITING } from '../../src/server/user_turns.ts';
import { eventually } from '../support/eventually.ts';
import { logIn, makeAccount, type RawSession, register } from '../support/raw_client.ts';
import { rejection } from '../support/rejection.ts';
import { startTestServer, type TestServer } from '../support/test_server.ts';

const AT_ONCE = 4;

describe('UserTurns', () => {
  let turns: UserTurns;
  /** Calls that run, by what they were named, with what ends each. */
  let running: Map<string, () => void>;

  beforeEach(() => {
    turns = new UserTurns();
    running = new Map();
  });

  const here = { signal: new AbortController().signal };
  const call = (userId: string, name: string, caller = here) =>
    turns.run(
      userId,
      caller,
      () =>
        new Promise<string>((resolve) => {
          running.set(name, () => {
            running.delete(name);
            resolve(name);
          });
        }),
    );
  const settled = () => new Promise((resolve) => setImmediate(resolve));
  const endAll = async () => {
    while (running.size > 0) {
      for (const end of [...running.values()]) end();
      await settled();
    }
  };

  it('refuse what is more than may wait with RQS03, and what comes after that is none', async () => {
    const calls = Array.from({ length: AT_ONCE + WAITING }, (_, index) => call('one', `${index}`));
    const refusal = (await rejection(call('one', 'one too many'))) as RpcFailure;
    expect(refusal.errors.map(({ code }) => code)).to.deep.equal([13]);
    expect(refusal.retryAfterSeconds).to.equal(1);
    await endAll();
    expect(await Promise.all(calls)).to.have.length(AT_ONCE + WAITING);
    const again = call('one', 'again');
    await endAll();
    expect(await again).to.equal('again');
  });

  it('let go of calls whose callers went away, and of no turn', async () => {
    const calls = Array.from({ length: AT_ONCE }, (_, index) => call('one', `${index}`));
    const leaving = Array.from({ length: WAITING - 1 }, () => new AbortController());
    const left = leaving.map((caller) => rejection(call('one', 'left', caller)));
    const stays = call('one', 'stays');
    for (const caller of leaving) caller.abort();
    for (const refusal of (await Promise.all(left)) as RpcFailure[])
      expect(refusal.errors.map(({ code }) => code)).to.deep.equal([13]);
    const late = (await rejection(call('one', 'late', leaving[0]))) as RpcFailure;
    expect(late.errors.map(({ code }) => code)).to.deep.equal([13]);
    await endAll();
    expect(await stays).to.equal('stays');
    await Promise.all(calls);
    const again = Array.from({ length: AT_ONCE + 1 }, (_, index) => call('one', `again ${index}`));
    await settled();
    expect(running.size).to.equal(AT_ONCE);
    await endAll();
    await Promise.all(again);
  });

  it('run a call whose caller went away when its turn had come', async () => {
    const leaving = new AbortController();
    const calls = Array.from({ length: AT_ONCE + 1 }, (_, index) => call('one', `${index}`, leaving));
    await settled();
    running.get('0')!();
    await settled();
    leaving.abort();
    await endAll();
    expect(await Promise.all(calls)).to.have.length(AT_ONCE + 1);
  });

  it('have a user wait for himself, in order, and nobody else', async () => {
    const calls = Array.from({ length: AT_ONCE + 2 }, (_, index) => call('one', `${index}`));
    calls.push(call('other', 'other'));
    await settled();
    expect([...running.keys()]).to.deep.equal(['0', '1', '2', '3', 'other']);
    running.get('3')!();
    await settled();
    expect([...running.keys()].at(-1)).to.equal('4');
    await endAll();
    await Promise.all(calls);
  });

  it('go on after a call that failed', async () => {
    const failures = Array.from({ length: AT_ONCE + 1 }, () =>
      rejection(turns.run('one', here, () => Promise.reject(new Error('failed')))),
    );
    for (const failure of await Promise.all(failures)) expect((failure as Error).message).to.equal('failed');
    const last = call('one', 'last');
    await endAll();
    expect(await last).to.equal('last');
  });
});

describe('the calls of one user', () => {
  let server: TestServer;

  before(async () => {
    server = await startTestServer({ settings: { PASSMANAGER_DATABASE_POOL_SIZE: '10' } });
  });

  after(() => server.stop());

  const list = (session: RawSession) =>
    session.call(SessionService.method.listSessions, ListSessionsPayloadSchema, {});

  /** Until its first message. */
  const watch = async (session: RawSession) => {
    const leaving = new AbortController();
    const { watchEntries } = DataService.method;
    const messages = session.stream(watchEntries, WatchEntriesPayloadSchema, {}, { signal: leaving.signal });
    await messages.next();
    leaving.abort();
  };

  /** Has all reads of a session wait in the database; as many as there are turns have come there. Returns what ends that. */
  async function heldUp(
    session: RawSession,
    reads: number,
    read: (session: RawSession) => Promise<unknown> = list,
  ) {
    const lock = new pg.Client(server.database.connection);
    await lock.connect();
    await lock.query('begin');
    await lock.query('select from login_sessions where id = $1 for update', [session.sessionId]);
    const running = Array.from({ length: reads }, () => read(session));
    await eventually(async () => (await server.database.lockWaiters()).length >= AT_ONCE);
    return async () => {
      await lock.end();
      await Promise.all(running);
    };
  }

  for (const door of ['gRPC', 'HTTP'] as const) {
    const sessionOf = async () => {
      const transport =
        door === 'gRPC'
          ? createGrpcTransport({ baseUrl: `http://${server.grpcAddress}` })
          : createConnectTransport({ baseUrl: server.httpUrl, httpVersion: '1.1' });
      const account = makeAccount();
      await register(transport, account);
      return logIn(transport, account);
    };

    it(`are not done through the ${door} door where a caller leaves before his turn`, async () => {
      const session = await sessionOf();
      const letGo = await heldUp(session, AT_ONCE);
      const leaving = new AbortController();
      const method = SessionService.method.listSessions;
      const path = `/${SessionService.typeName}/${method.name}`;
      const secure = await session.envelope(path, new Uint8Array(), session.next++);
      const message = create(method.input, { secure } as never);
      const left = rejection(session.transport.unary(method, leaving.signal, undefined, undefined, message));
      await delay(100);
      leaving.abort();
      await left;
      await delay(100);
      await letGo();
      await list(session);
      const [row] = await server.database.query('select request_count from login_sessions where id = $1', [
        session.sessionId,
      ]);
      expect(Number(row!.request_count)).to.equal(AT_ONCE + 1);
    });

    it(`leave connections for reads to others through the ${door} door, however many wait in the database`, async () => {
      const [session, other] = [await sessionOf(), await sessionOf()];
      for (const read of [list, watch]) {
        const letGo = await heldUp(session, 12, read);
        expect((await list(other)).sessions).to.have.length(1);
        await letGo();
      }
    });
  }
});
