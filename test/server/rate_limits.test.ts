import { randomBytes, randomUUID } from 'node:crypto';
import { setTimeout as delay } from 'node:timers/promises';
import { Code, createClient, type Interceptor } from '@connectrpc/connect';
import { createConnectTransport, createGrpcTransport } from '@connectrpc/connect-node';
import { expect } from 'chai';
import { SessionService } from '../../gen/passmanager/session/v1/session_service_pb.ts';
import { type Database, openDatabase } from '../../src/database/database.ts';
import { openServerKeys } from '../../src/database/server_keys.ts';
import { DatabaseFault } from '../../src/database/sqlstate.ts';
import type { RpcFailure } from '../../src/server/errors.ts';
import {
  DatabaseRateLimits,
  FAILURES_PER_NAME,
  FAILURES_PER_NAME_AND_NETWORK,
  FAILURES_PER_NETWORK,
  HANDSHAKES_PER_NETWORK,
} from '../../src/server/rate_limits.ts';
import { v1Header, v2Header } from '../support/proxy_headers.ts';
import { logIn, makeAccount, refusalOf, register, startLogin } from '../support/raw_client.ts';
import { rejection } from '../support/rejection.ts';
import { insertRow, sampleSession, sampleUser } from '../support/sample_rows.ts';
import { TcpProxy } from '../support/tcp_proxy.ts';
import { createTestDatabase, type TestDatabase } from '../support/test_database.ts';
import { startTestServer } from '../support/test_server.ts';

const TOO_MANY = 13;

/** Waits for the next minute where less than `seconds` are left: at its end what was counted begins to fade. */
const roomInTheMinute = async (database: TestDatabase, seconds: number): Promise<void> => {
  const [clock] = await database.query(
    'select 60 - extract(second from clock_timestamp())::float8 as remaining',
  );
  const remaining = clock!.remaining as number;
  if (remaining < seconds) await delay(remaining * 1000 + 50);
};

describe('the rate limits', function () {
  this.timeout(60_000);
  let own: TestDatabase;
  let database: Database;
  let limits: DatabaseRateLimits;
  const lookup = randomBytes(32);
  const keyFile = `/tmp/pm-rate-key-${process.pid}`;

  before(async () => {
    own = await createTestDatabase();
    database = await openDatabase({ connection: own.connection, poolSize: 4 });
    const { rm } = await import('node:fs/promises');
    await rm(keyFile, { force: true });
    const keys = await openServerKeys({ database, keyFile, random: randomBytes });
    limits = new DatabaseRateLimits(database.reads, keys, 8);
  });

  beforeEach(async () => {
    await roomInTheMinute(own, 5);
    await own.query('delete from rate_counters; delete from login_networks');
  });

  after(async () => {
    await database.close();
    await own.drop();
    const { rm } = await import('node:fs/promises');
    await rm(keyFile, { force: true });
  });

  /** As many times as a limit allows, some at once. */
  const times = async (count: number, work: (index: number) => Promise<void>): Promise<void> => {
    for (let done = 0; done < count; done += 20)
      await Promise.all(Array.from({ length: Math.min(20, count - done) }, (_, index) => work(done + index)));
  };
  /** What a log-in of an account leaves, once its session is there. */
  const logInFrom = async (address: string, userId: string): Promise<void> => {
    const session = sampleSession(userId);
    await insertRow(own, 'login_sessions', session);
    for (const { text, values } of limits.succeeded(address, lookup, session.id as string))
      await database.writes.execute(text, values);
  };
  const refused = async (work: Promise<void>): Promise<RpcFailure> => {
    const failure = (await rejection(work)) as RpcFailure;
    expect(failure.errors.map(({ code }) => code)).to.deep.equal([TOO_MANY]);
    expect(failure.retryAfterSeconds).to.be.within(1, 60);
    return failure;
  };

  it('refuse a network after its handshakes of a minute, whatever the names are, and no other network', async () => {
    await times(HANDSHAKES_PER_NETWORK, () => limits.beginHandshake('2001:db8::1', randomBytes(32)));
    await refused(limits.beginHandshake('2001:db8::2', randomBytes(32)));
    await limits.beginHandshake('2001:db8:0:1::1', randomBytes(32));
    await limits.beginHandshake('198.51.100.1', randomBytes(32));
  });

  it('refuse a name from a network after its failures of a minute, at the start and before the proof, and no other name', async () => {
    await times(FAILURES_PER_NAME_AND_NETWORK - 1, () => limits.failed('198.51.100.1', lookup));
    await limits.beginHandshake('198.51.100.1', lookup);
    await limits.beforeProof('198.51.100.1', lookup);
    await limits.failed('198.51.100.1', lookup);
    await refused(limits.beginHandshake('198.51.100.1', lookup));
    await refused(limits.beforeProof('198.51.100.1', lookup));
    await limits.beginHandshake('198.51.100.1', randomBytes(32));
    await limits.beginHandshake('198.51.100.2', lookup);
  });

  it('refuse a network after its failures of a minute, whatever the names are, and no other network', async () => {
    await times(FAILURES_PER_NETWORK - 1, () => limits.failed('2001:db8::1', randomBytes(32)));
    await limits.beforeProof('2001:db8::2', lookup);
    await limits.failed('2001:db8::2', randomBytes(32));
    await refused(limits.beforeProof('2001:db8::3', lookup));
    await refused(limits.beginHandshake('2001:db8::3', lookup));
    await limits.beforeProof('2001:db8:0:1::1', lookup);
    await limits.beforeProof('198.51.100.1', lookup);
  });

  it('let a network have a quarter of the queue under way, and refuse it no more once they are done', async () => {
    let end = () => {};
    const step = () =>
      new Promise<void>((resolve) => {
        end = resolve;
      });
    const first = limits.inTurn('2001:db8::1', step);
    const failed = rejection(limits.inTurn('2001:db8::2', () => Promise.reject(new Error('failed'))));
    await refused(limits.inTurn('2001:db8::3', async () => {}));
    await limits.inTurn('198.51.100.1', async () => {});
    expect(((await failed) as Error).message).to.equal('failed');
    await limits.inTurn('2001:db8::3', async () => {});
    end();
    await first;
  });

  it('keep an attacked name open for networks that it knows, however many strangers attack', async () => {
    const user = sampleUser();
    await insertRow(own, 'users', user);
    await logInFrom('203.0.113.5', user.id as string);
    await times(FAILURES_PER_NAME, (index) => limits.failed(`198.51.100.${index % 250}`, lookup));
    await refused(limits.beginHandshake('192.0.2.1', lookup));
    await refused(limits.beforeProof('192.0.2.1', lookup));
    await limits.beginHandshake('203.0.113.5', lookup);
    await limits.beforeProof('203.0.113.5', lookup);
    // A network that one name knows is a stranger to another.
    await limits.beginHandshake('203.0.113.5', randomBytes(32));
  });

  it('count in a minute that slides, and forget', async () => {
    await times(HANDSHAKES_PER_NETWORK, () => limits.beginHandshake('198.51.100.1', lookup));
    const age = (minutes: number) => own.query('update rate_counters set minute = minute - $1', [minutes]);
    await age(1);
    const [clock] = await own.query('select extract(second from clock_timestamp())::float8 / 60 as part');
    // Of a minute ago as much counts as lies within the last sixty seconds.
    if ((clock!.part as number) < 0.9) {
      await times(Math.ceil(HANDSHAKES_PER_NETWORK * (clock!.part as number) + 40), () =>
        limits.beginHandshake('198.51.100.1', lookup).catch(() => {}),
      );
      await refused(limits.beginHandshake('198.51.100.1', lookup));
    }
    await age(2);
    await limits.beginHandshake('198.51.100.1', lookup);
    const [row] = await own.query('select count, previous from rate_counters');
    expect(row).to.deep.equal({ count: 1, previous: 0 });
  });

  it('are counted once for all replicas, by many at once', async () => {
    const other = await openDatabase({ connection: own.connection, poolSize: 4 });
    const keys = await openServerKeys({ database: other, keyFile, random: randomBytes });
    const replica = new DatabaseRateLimits(other.reads, keys, 8);
    await times(HANDSHAKES_PER_NETWORK, (index) =>
      (index % 2 === 0 ? limits : replica).beginHandshake('198.51.100.1', randomBytes(32)),
    );
    await refused(replica.beginHandshake('198.51.100.1', lookup));
    await other.close();
  });

  it('remember a bounded number of networks of an account, the newest', async () => {
    const user = sampleUser();
    await insertRow(own, 'users', user);
    for (let index = 0; index < 40; index += 1) await logInFrom(`198.51.100.${index}`, user.id as string);
    expect(await own.query('select from login_networks')).to.have.length(32);
    await times(FAILURES_PER_NAME, (index) => limits.failed(`192.0.2.${index % 250}`, lookup));
    await limits.beginHandshake('198.51.100.39', lookup);
    await refused(limits.beginHandshake('198.51.100.0', lookup));
    await own.query('delete from users');
    expect(await own.query('select from login_networks')).to.have.length(0);
  });

  it('write no address and no name', async () => {
    await limits.beginHandshake('198.51.100.1', lookup);
    await limits.failed('198.51.100.1', lookup);
    const rows = await own.query('select key from rate_counters');
    expect(rows).to.have.length(4);
    for (const { key } of rows) {
      expect(key).to.have.length(16);
      expect(lookup.includes(key as Buffer)).to.equal(false);
    }
  });

  it('let calls pass where the database does not count: what follows says why', async () => {
    const broken = {
      execute: async () => {
        throw new DatabaseFault('full', { sqlState: '53100' });
      },
    };
    const keys = await openServerKeys({ database, keyFile, random: randomBytes });
    const none = new DatabaseRateLimits(broken, keys, 8);
    await none.beginHandshake('198.51.100.1', lookup);
    await none.beforeProof('198.51.100.1', lookup);
    await none.failed('198.51.100.1', lookup);
  });

  describe('of a server', () => {
    it('count failures of both doors together, tell known from unknown names by nothing, and spare sealed calls', async () => {
      const server = await startTestServer({ settings: { PASSMANAGER_RATE_LIMIT: 'on' } });
      const http = createConnectTransport({ baseUrl: server.httpUrl, httpVersion: '1.1' });
      const grpc = createGrpcTransport({ baseUrl: `http://${server.grpcAddress}` });
      const account = makeAccount();
      await register(http, account);
      const session = await logIn(grpc, account, { maximumRequests: -1n });
      expect(await server.database.query('select from login_networks')).to.have.length(1);
      const stranger = makeAccount();
      await roomInTheMinute(own, 20);
      const wrong = { ...account, srpSecret: makeAccount('x', 'another').srpSecret };
      for (const name of [wrong, stranger]) {
        for (let index = 0; index < FAILURES_PER_NAME_AND_NETWORK; index += 1) {
          const refusal = await refusalOf(logIn(index % 2 === 0 ? http : grpc, name));
          expect(refusal.status, `${index}`).to.equal(Code.Unauthenticated);
        }
        for (const transport of [http, grpc]) {
          const refusal = await refusalOf(startLogin(transport, name.usernameHash));
          expect(refusal.status).to.equal(Code.ResourceExhausted);
        }
      }
      const data = await import('../../gen/passmanager/data/v1/data_service_pb.ts');
      for (let index = 0; index < 350; index += 1)
        await session.call(data.DataService.method.syncEntries, data.SyncEntriesPayloadSchema, {});
      await server.stop();
    });

    it('refuse proofs for log-ins that nobody began, before they cost arithmetic', async () => {
      const server = await startTestServer({ settings: { PASSMANAGER_RATE_LIMIT: 'on' } });
      const { authenticateSession } = createClient(
        SessionService,
        createConnectTransport({ baseUrl: server.httpUrl, httpVersion: '1.1' }),
      );
      await roomInTheMinute(own, 20);
      const statuses: Code[] = [];
      await times(FAILURES_PER_NETWORK + 40, async () => {
        const proof = {
          usernameHash: randomBytes(32),
          ephemeralId: randomUUID(),
          ephPublicA: Buffer.alloc(512, 1),
          clientProofM1: randomBytes(32),
        };
        statuses.push((await refusalOf(authenticateSession(proof))).status);
      });
      expect(statuses.slice(0, FAILURES_PER_NETWORK)).to.deep.equal(
        Array(FAILURES_PER_NETWORK).fill(Code.Unauthenticated),
      );
      // Those that were under way together when it was the last one's turn pass.
      expect(statuses.slice(FAILURES_PER_NETWORK + 20)).to.deep.equal(Array(20).fill(Code.ResourceExhausted));
      await server.stop();
    });

    it('believe the header of a trusted proxy on both doors, and of nobody else', async () => {
      for (const [trusted, expected] of [
        ['127.0.0.1', 2],
        ['192.0.2.0/24', 1],
      ] as const) {
        const server = await startTestServer({
          settings: { PASSMANAGER_RATE_LIMIT: 'on', PASSMANAGER_TRUSTED_PROXIES: trusted },
        });
        const name = makeAccount().usernameHash;
        for (const [index, make] of [
          () =>
            createConnectTransport({
              baseUrl: server.httpUrl,
              httpVersion: '1.1',
              interceptors: [named('198.51.100.1')],
            }),
          () =>
            createGrpcTransport({
              baseUrl: `http://${server.grpcAddress}`,
              interceptors: [named('198.51.100.2')],
            }),
        ].entries()) {
          await startLogin(make(), name);
          expect(index).to.be.lessThan(2);
        }
        // One counter for each network that the handshakes came from.
        expect(await server.database.query('select from rate_counters')).to.have.length(expected);
        await server.stop();
      }
    });

    it('count those whom a trusted proxy tells by the PROXY protocol on both doors, and of no headers beside it', async () => {
      const server = await startTestServer({
        settings: {
          PASSMANAGER_RATE_LIMIT: 'on',
          PASSMANAGER_TRUSTED_PROXIES: '127.0.0.1',
          PASSMANAGER_PROXY_HEADER: 'proxy-protocol',
        },
      });
      const name = makeAccount().usernameHash;
      for (const [header, forged] of [
        [v1Header('198.51.100.1'), '203.0.113.1'],
        [v2Header('198.51.100.1'), '203.0.113.2'],
        [v2Header('2001:db8:1:1::1'), '203.0.113.3'],
        [v1Header('2001:db8:1:1::2'), '203.0.113.4'],
      ] as const) {
        const interceptors = [named(forged)];
        const [http, grpc] = await Promise.all(
          [server.running.httpAddress, server.running.grpcAddress].map(({ port }) =>
            TcpProxy.open(port, header, 'together'),
          ),
        );
        const baseUrl = `http://127.0.0.1:${http!.port}`;
        await startLogin(createConnectTransport({ baseUrl, httpVersion: '1.1', interceptors }), name);
        await startLogin(
          createGrpcTransport({ baseUrl: `http://127.0.0.1:${grpc!.port}`, interceptors }),
          name,
        );
        http!.close();
        grpc!.close();
      }
      // An IPv4 address and a /64 of IPv6.
      expect(await server.database.query('select from rate_counters')).to.have.length(2);
      await server.stop();
    });
  });
});

const named =
  (address: string): Interceptor =>
  (next) =>
  (request) => {
    request.header.set('x-forwarded-for', address);
    return next(request);
  };
