import { createConnectTransport } from '@connectrpc/connect-node';
import { expect } from 'chai';
import pg from 'pg';
import { BulkTurns, LONGEST_REST_MS } from '../../src/server/bulk_turns.ts';
import type { RpcFailure } from '../../src/server/errors.ts';
import { WAITING } from '../../src/server/user_turns.ts';
import { eventually } from '../support/eventually.ts';
import { abortChange, beginChange, createEntries, renewed, updateOne } from '../support/password_change.ts';
import { logIn, makeAccount, reasons, refusalOf, register } from '../support/raw_client.ts';
import { rejection } from '../support/rejection.ts';
import { startTestServer, type TestServer } from '../support/test_server.ts';

describe('BulkTurns', () => {
  let now: number;
  /** Rests that last, with what ends each. */
  let rests: { endsAt: number; end: () => void }[];
  let bulk: BulkTurns;
  /** Pieces that run, by what they were named, with what ends each. */
  let running: Map<string, { succeed: () => void; fail: () => void }>;

  beforeEach(() => {
    now = 0;
    rests = [];
    running = new Map();
    bulk = new BulkTurns({
      now: () => now,
      after: (milliseconds, end) => void rests.push({ endsAt: now + milliseconds, end }),
    });
  });

  const here = { signal: new AbortController().signal };
  const settled = () => new Promise((resolve) => setImmediate(resolve));
  const begin = (userId: string, name: string, caller = here) =>
    bulk.run(userId, caller, () =>
      new Promise<string>((resolve, reject) => {
        running.set(name, { succeed: () => resolve(name), fail: () => reject(new Error(name)) });
      }).finally(() => running.delete(name)),
    );
  /** Has time go by, and what is due then happen. */
  const pass = async (milliseconds: number) => {
    now += milliseconds;
    const due = rests.filter(({ endsAt }) => endsAt <= now);
    rests = rests.filter(({ endsAt }) => endsAt > now);
    for (const { end } of due) end();
    await settled();
  };
  const end = async (name: string) => {
    running.get(name)!.succeed();
    await settled();
  };
  /** Somebody's short call. */
  const other = () => {
    bulk.otherBegins();
    bulk.otherEnds();
  };
  /** A piece of some milliseconds during which somebody else called. */
  const disturbed = async (userId: string, name: string, milliseconds: number) => {
    const piece = begin(userId, name);
    await settled();
    other();
    await pass(milliseconds);
    await end(name);
    await piece;
  };
  const names = () => [...running.keys()];
  const codes = (refusal: unknown) => (refusal as RpcFailure).errors.map(({ code }) => code);

  it('refuse what is more than may wait with RQS03, and what comes after that is none', async () => {
    const pieces = Array.from({ length: 1 + WAITING }, (_, index) => begin('one', `${index}`));
    const refusal = await rejection(begin('one', 'one too many'));
    expect(codes(refusal)).to.deep.equal([13]);
    expect((refusal as RpcFailure).retryAfterSeconds).to.equal(1);
    for (let index = 0; index <= WAITING; index += 1) await end(`${index}`);
    expect(await Promise.all(pieces)).to.have.length(1 + WAITING);
    const again = begin('one', 'again');
    await end('again');
    expect(await again).to.equal('again');
  });

  it('let go of pieces whose callers go away while they wait or rest, and begin none of them', async () => {
    await disturbed('one', 'before', 40);
    const leaving = new AbortController();
    const left = [rejection(begin('one', 'left', leaving)), rejection(begin('one', 'left, too', leaving))];
    const stays = begin('one', 'stays');
    leaving.abort();
    for (const refusal of await Promise.all(left)) expect(codes(refusal)).to.deep.equal([13]);
    expect(codes(await rejection(begin('one', 'late', leaving)))).to.deep.equal([13]);
    expect(names()).to.deep.equal([]);
    await pass(120);
    expect(names()).to.deep.equal(['stays']);
    await end('stays');
    expect(await stays).to.equal('stays');
  });

  it('forget a user whose last piece was left while it rested', async () => {
    await disturbed('one', 'before', 40);
    const leaving = new AbortController();
    const left = rejection(begin('one', 'left', leaving));
    leaving.abort();
    await left;
    await pass(120);
    expect(bulk.size).to.equal(0);
    expect(rests).to.deep.equal([]);
  });

  it('rest after a piece that failed, too, and hand its error on', async () => {
    const fails = rejection(begin('one', 'fails'));
    await settled();
    other();
    await pass(10);
    running.get('fails')!.fail();
    expect(((await fails) as Error).message).to.equal('fails');
    const next = begin('one', 'next');
    await pass(29);
    expect(names()).to.deep.equal([]);
    await pass(1);
    expect(names()).to.deep.equal(['next']);
    await end('next');
    await next;
  });

  it('run one piece of a user at a time, in order, and nobody else waits for that', async () => {
    const pieces = ['a', 'b', 'c'].map((name) => begin('one', name));
    pieces.push(begin('other', 'theirs'));
    await settled();
    expect(names()).to.deep.equal(['a', 'theirs']);
    await end('a');
    pieces.push(begin('one', 'd'));
    for (const name of ['b', 'c', 'd']) {
      expect(names()).to.deep.equal(['theirs', name]);
      await end(name);
    }
    await end('theirs');
    await Promise.all(pieces);
    expect(bulk.size).to.equal(0);
  });

  it('have no rest where nobody else called, however long a piece took and whoever else has pieces', async () => {
    other();
    const pieces = [begin('one', 'a'), begin('one', 'b'), begin('other', 'theirs')];
    await pass(10_000);
    await end('a');
    other();
    expect(names()).to.deep.equal(['theirs', 'b']);
    expect(rests).to.deep.equal([]);
    await end('theirs');
    await end('b');
    await Promise.all(pieces);
  });

  it('rest three times as long as the piece took, from its end, and no answer waits for that', async () => {
    await disturbed('one', 'a', 45);
    await pass(30);
    const next = begin('one', 'b');
    await pass(104);
    expect(names()).to.deep.equal([]);
    await pass(1);
    expect(names()).to.deep.equal(['b']);
    await end('b');
    await next;
  });

  it('rest for those who called before the piece and were still there, or came and stayed', async () => {
    bulk.otherBegins();
    const first = begin('one', 'first');
    await pass(10);
    bulk.otherEnds();
    await end('first');
    await first;
    expect(rests).to.have.length(1);
    await pass(30);
    const second = begin('one', 'second');
    await settled();
    bulk.otherBegins();
    await pass(10);
    await end('second');
    await second;
    expect(rests).to.have.length(1);
    bulk.otherEnds();
  });

  it('rest for half a second at most, and not at all after a piece of less than two milliseconds', async () => {
    await disturbed('one', 'long', 10_000);
    expect(rests.map(({ endsAt }) => endsAt - now)).to.deep.equal([LONGEST_REST_MS]);
    await pass(LONGEST_REST_MS);
    await disturbed('one', 'short', 1.9);
    expect(rests).to.deep.equal([]);
    expect(bulk.size).to.equal(0);
  });

  it('keep a user as long as a piece runs or rests, and no longer', async () => {
    await disturbed('one', 'a', 20);
    await disturbed('other', 'b', 10);
    expect(bulk.size).to.equal(2);
    await pass(30);
    expect(bulk.size).to.equal(1);
    await pass(20);
    expect(bulk.size).to.equal(0);
  });

  it('count time by themselves where no clock is given', async () => {
    const own = new BulkTurns();
    const order: string[] = [];
    const piece = (name: string) =>
      own.run('one', here, async () => {
        own.otherBegins();
        await new Promise((resolve) => setTimeout(resolve, 5));
        own.otherEnds();
        order.push(name);
      });
    await Promise.all([piece('a'), piece('b')]);
    expect(order).to.deep.equal(['a', 'b']);
    expect(own.size).to.equal(1);
    await eventually(() => own.size === 0);
  });
});

describe('a password change that asks for many things at once', () => {
  let server: TestServer;

  before(async () => {
    server = await startTestServer();
  });

  after(() => server.stop());

  it('has one of them at the database, and does not keep its user from aborting it', async () => {
    const transport = createConnectTransport({ baseUrl: server.httpUrl, httpVersion: '1.1' });
    const account = makeAccount();
    await register(transport, account);
    const session = await logIn(transport, account);
    const entries = await createEntries(session, 8);
    const { change } = await beginChange(session, account);
    const lock = new pg.Client(server.database.connection);
    await lock.connect();
    await lock.query('begin');
    const owner = 'select user_id from login_sessions where id = $1';
    await lock.query(`select from users where id = (${owner}) for update`, [session.sessionId]);
    const waiting = async () => (await server.database.lockWaiters()).length;
    const updates = Promise.allSettled(entries.map(({ entryId }) => updateOne(change, renewed(entryId))));
    await eventually(async () => (await waiting()) === 1);
    const aborted = abortChange(session);
    await eventually(async () => (await waiting()) > 1);
    expect(await waiting()).to.equal(2);
    await lock.end();
    await aborted;
    for (const update of await updates)
      if (update.status === 'rejected')
        expect(reasons(await refusalOf(Promise.reject(update.reason)))).to.deep.equal([[11, 'request']]);
  });
});
