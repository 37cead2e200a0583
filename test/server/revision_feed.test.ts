import { randomUUID } from 'node:crypto';
import { createConnectTransport } from '@connectrpc/connect-node';
import { expect } from 'chai';
import pg from 'pg';
import * as data from '../../gen/passmanager/data/v1/data_service_pb.ts';
import type { Database, Row } from '../../src/database/database.ts';
import { NOTIFY_USERS } from '../../src/database/watch_statements.ts';
import type { RpcFailure } from '../../src/server/errors.ts';
import { createLogger } from '../../src/server/log.ts';
import { CHANNEL, RevisionFeed, WATCHES_PER_SESSION } from '../../src/server/revision_feed.ts';
import type { SessionKeySet } from '../../src/server/session_keys.ts';
import { logIn, makeAccount, register } from '../support/raw_client.ts';
import { startTestServer } from '../support/test_server.ts';

/** A database that knows sessions and hears notifications; shared by feeds, it stands for replicas. */
class Tables {
  readonly sessions = new Map<string, { revision: bigint | null; alive: boolean; change_open: boolean }>();
  readonly listeners = new Set<(payload: string) => void>();
  readonly reconnects = new Set<() => void>();
  readonly notified: string[] = [];
  lookups = 0;
  down = false;
  /** Held back until this settles: answers that were read and are still on their way. */
  onTheWay: Promise<void> = Promise.resolve();

  readonly database = {
    reads: {
      execute: async (text: string, parameters: readonly unknown[]): Promise<{ rows: Row[] }> => {
        if (this.down) throw new Error('out of reach');
        if (text === NOTIFY_USERS) {
          expect(parameters[0]).to.equal(CHANNEL);
          this.notified.push(parameters[1] as string);
          for (const listener of this.listeners) listener(parameters[1] as string);
          return { rows: [] };
        }
        this.lookups += 1;
        const ids = parameters[0] as string[];
        const rows = ids.map((session_id) => ({ session_id, ...this.sessions.get(session_id) }));
        await this.onTheWay;
        return { rows };
      },
    },
    listen: async (_: string, onNotify: (payload: string) => void, onReconnect: () => void) => {
      this.listeners.add(onNotify);
      this.reconnects.add(onReconnect);
      return async () => void this.listeners.delete(onNotify);
    },
  } as unknown as Database;
}

const log = createLogger('silent');
const QUICK = { heartbeatMs: 60_000, pollMs: 60_000, debounceMs: 1 };

describe('the revision feed', () => {
  let tables: Tables;
  let feeds: RevisionFeed[];

  beforeEach(() => {
    tables = new Tables();
    feeds = [];
  });

  afterEach(() => Promise.all(feeds.map((feed) => feed.stop())));

  const makeFeed = async (times = QUICK) => {
    const feed = new RevisionFeed(tables.database, log, times);
    feeds.push(feed);
    await feed.start();
    return feed;
  };

  const session = (userId: string = randomUUID()) => {
    const sessionId = randomUUID();
    tables.sessions.set(sessionId, { revision: 0n, alive: true, change_open: false });
    return { sessionId, userId, kind: 1 } as unknown as SessionKeySet;
  };

  const set = (watched: SessionKeySet, values: object) =>
    Object.assign(tables.sessions.get(watched.sessionId)!, values);

  const codeOf = async (pending: Promise<unknown>) => {
    try {
      await pending;
    } catch (error) {
      return (error as RpcFailure).errors[0]?.code;
    }
    return undefined;
  };

  it('refuses a session one watch too many with RQS03, until one ends, and no other session of the user', async () => {
    const feed = await makeFeed();
    const watched = session();
    const { signal } = new AbortController();
    const streams = Array.from({ length: WATCHES_PER_SESSION }, () => feed.watch(watched, signal));
    await Promise.all(streams.map((stream) => stream.next()));
    expect(await codeOf(feed.watch(watched, signal).next())).to.equal(13);
    streams.push(feed.watch(session(watched.userId), signal));
    expect((await streams.at(-1)!.next()).value).to.equal(0n);
    await streams.shift()!.return(undefined);
    streams.push(feed.watch(watched, signal));
    expect((await streams.at(-1)!.next()).value).to.equal(0n);
    await Promise.all(streams.map((stream) => stream.return(undefined)));
    expect(feed.watcherCount).to.equal(0);
  });

  it('tells the revision at once and each move, also of another replica', async () => {
    const [here, there] = [await makeFeed(), await makeFeed()];
    const watched = session();
    const stream = here.watch(watched, new AbortController().signal);
    expect((await stream.next()).value).to.equal(0n);
    set(watched, { revision: 1n });
    here.touch(watched.userId);
    expect((await stream.next()).value).to.equal(1n);
    set(watched, { revision: 5n });
    there.touch(watched.userId);
    expect((await stream.next()).value).to.equal(5n);
    await stream.return(undefined);
    expect(here.watcherCount).to.equal(0);
  });

  it('gathers what moves together into one notification and one look', async () => {
    const feed = await makeFeed({ ...QUICK, debounceMs: 20 });
    const watched = session();
    const stream = feed.watch(watched, new AbortController().signal);
    await stream.next();
    const before = tables.lookups;
    for (let move = 1n; move <= 50n; move += 1n) {
      set(watched, { revision: move });
      feed.touch(watched.userId);
    }
    expect((await stream.next()).value).to.equal(50n);
    expect(tables.lookups - before).to.be.at.most(2);
    expect(tables.notified).to.deep.equal([watched.userId]);
    await stream.return(undefined);
  });

  it('never goes back to what was read earlier and came later', async () => {
    const feed = await makeFeed({ ...QUICK, heartbeatMs: 30 });
    const watched = session();
    const stream = feed.watch(watched, new AbortController().signal);
    await stream.next();
    let arrive = () => {};
    tables.onTheWay = new Promise((resolve) => {
      arrive = resolve;
    });
    set(watched, { revision: 1n });
    const before = tables.lookups;
    feed.touch(watched.userId);
    while (tables.lookups === before) await new Promise((resolve) => setTimeout(resolve, 1));
    tables.onTheWay = Promise.resolve();
    set(watched, { revision: 2n });
    feed.touch(watched.userId);
    await new Promise((resolve) => setTimeout(resolve, 20));
    arrive();
    const told: (bigint | undefined)[] = [];
    while (told.length < 6) told.push((await stream.next()).value ?? undefined);
    expect(told.at(-1)).to.equal(2n);
    expect(told).to.deep.equal(told.toSorted());
    await stream.return(undefined);
  });

  it('says nothing twice and looks at nobody who is not watched', async () => {
    const feed = await makeFeed();
    const watched = session();
    const stream = feed.watch(watched, new AbortController().signal);
    await stream.next();
    const before = tables.lookups;
    feed.touch(randomUUID());
    await new Promise((resolve) => setTimeout(resolve, 20));
    expect(tables.lookups).to.equal(before);
    feed.touch(watched.userId);
    set(watched, {});
    const next = stream.next();
    const silence = await Promise.race([next, new Promise((resolve) => setTimeout(resolve, 50, 'silence'))]);
    expect(silence).to.equal('silence');
    set(watched, { revision: 3n });
    feed.touch(watched.userId);
    expect((await next).value).to.equal(3n);
    await stream.return(undefined);
  });

  it('announces many users in payloads that NOTIFY takes', async () => {
    const feed = await makeFeed({ ...QUICK, debounceMs: 10 });
    const users = Array.from({ length: 450 }, () => randomUUID());
    for (const userId of users) feed.touch(userId);
    await feed.stop();
    expect(tables.notified.flatMap((payload) => payload.split(','))).to.have.members(users);
    for (const payload of tables.notified) expect(payload.length).to.be.below(8_000);
  });

  it('is told of a write after that was acknowledged, not by its transaction: NOTIFY takes a global lock at commit', async () => {
    const server = await startTestServer({ parts: { feedTimes: { ...QUICK, debounceMs: 60_000 } } });
    const listener = new pg.Client(server.database.connection);
    const heard: (string | undefined)[] = [];
    try {
      await listener.connect();
      listener.on('notification', ({ payload }) => heard.push(payload));
      await listener.query(`listen "${CHANNEL}"`);
      const transport = createConnectTransport({ baseUrl: server.httpUrl, httpVersion: '1.1' });
      const account = makeAccount();
      await register(transport, account);
      const opened = await logIn(transport, account);
      const entry = () => ({
        entryId: randomUUID() as string,
        entryName: new Uint8Array(93),
        entryData: new Uint8Array(285),
      });
      const { method } = data.DataService;
      await opened.call(method.createEntry, data.CreateEntryPayloadSchema, entry());
      await opened.call(method.batchCreateEntries, data.BatchCreateEntriesPayloadSchema, {
        entries: [entry()],
      });
      // What was committed before is told with the answer of the next statement.
      await listener.query('select 1');
      expect(heard).to.deep.equal([]);
      await server.running.stop();
      await listener.query('select 1');
      const [user] = await server.database.query('select id from users');
      expect(heard).to.deep.equal([user!.id]);
    } finally {
      await listener.end();
      await server.stop();
    }
  });

  it('ends with RQS01 with the session, RQS02 with a password change and SVR01 with the server', async () => {
    const feed = await makeFeed();
    for (const [values, code] of [
      [{ alive: false }, 11],
      [{ revision: null, alive: false }, 11],
      [{ change_open: true }, 12],
    ] as const) {
      const watched = session();
      const stream = feed.watch(watched, new AbortController().signal);
      await stream.next();
      const ended = codeOf(stream.next());
      set(watched, values);
      feed.touch(watched.userId);
      expect(await ended).to.equal(code);
    }
    const watched = session();
    const stream = feed.watch(watched, new AbortController().signal);
    await stream.next();
    const ended = codeOf(stream.next());
    await feed.endWatches(1_000);
    expect(await ended).to.equal(21);
    expect(await codeOf(feed.watch(watched, new AbortController().signal).next())).to.equal(21);
  });

  it('ends its wait for the watchers although the peer of one does not read', async () => {
    const feed = await makeFeed();
    const stream = feed.watch(session(), new AbortController().signal);
    await stream.next();
    // The stream is not asked again, so its end does not come.
    await feed.endWatches(30);
    expect(feed.watcherCount).to.equal(1);
  });

  it('repeats the revision as a heartbeat', async () => {
    const feed = await makeFeed({ ...QUICK, heartbeatMs: 5 });
    const stream = feed.watch(session(), new AbortController().signal);
    for (let beat = 0; beat < 4; beat += 1) expect((await stream.next()).value).to.equal(0n);
    await stream.return(undefined);
  });

  it('ends quietly when the caller goes away', async () => {
    const feed = await makeFeed();
    const gone = new AbortController();
    const stream = feed.watch(session(), gone.signal);
    await stream.next();
    const next = stream.next();
    gone.abort();
    expect((await next).done).to.equal(true);
    expect(feed.watcherCount).to.equal(0);
  });

  it('finds by its poll, and after a lost connection, what nobody announced', async () => {
    const polling = await makeFeed({ ...QUICK, pollMs: 10 });
    const watched = session();
    const stream = polling.watch(watched, new AbortController().signal);
    await stream.next();
    set(watched, { revision: 9n });
    expect((await stream.next()).value).to.equal(9n);
    await stream.return(undefined);

    const reconnecting = await makeFeed();
    const other = session();
    const second = reconnecting.watch(other, new AbortController().signal);
    await second.next();
    set(other, { revision: 4n });
    for (const reconnect of tables.reconnects) reconnect();
    expect((await second.next()).value).to.equal(4n);
    await second.return(undefined);
  });

  it('goes on after the database was out of reach', async () => {
    const feed = await makeFeed({ ...QUICK, pollMs: 10 });
    const watched = session();
    const stream = feed.watch(watched, new AbortController().signal);
    await stream.next();
    tables.down = true;
    set(watched, { revision: 2n });
    feed.touch(watched.userId);
    await new Promise((resolve) => setTimeout(resolve, 40));
    tables.down = false;
    expect((await stream.next()).value).to.equal(2n);
    await stream.return(undefined);
  });
});
