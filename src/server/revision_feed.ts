/**
 * Tells watchers when a user's revision moves, a password change opens or their session ends, whichever replica did it.
 * A commit is announced to the other replicas by NOTIFY, debounced and outside the transaction (inside, it takes a lock
 * on the whole database); a slow poll cures announcements that were lost. What is told always comes from the tables.
 */
import type { Database, Row } from '../database/database.ts';
import { NOTIFY_USERS, WATCHED_SESSIONS } from '../database/watch_statements.ts';
import { notDecrypted, passwordChangeInProgress, temporaryOutage, tooManyRequests } from './errors.ts';
import type { Logger } from './log.ts';
import type { SessionKeySet } from './session_keys.ts';

/** The channel of NOTIFY; its payload is user ids with commas between. */
export const CHANNEL = 'passmanager_users';

/** Settings in milliseconds. */
export interface FeedTimes {
  /** How often a watcher hears the revision when nothing moves. */
  readonly heartbeatMs: number;
  /** How often all watched sessions are looked at without being announced. */
  readonly pollMs: number;
  /** How long announcements are gathered before they are sent and looked up. */
  readonly debounceMs: number;
}

/** Heartbeats are what the contract says; clients count on them. */
export const DEFAULT_FEED_TIMES: FeedTimes = { heartbeatMs: 30_000, pollMs: 5_000, debounceMs: 50 };

/**
 * Watches of one session in one process, each of which takes some 50 KB: a client needs one, and those whose connection died
 * unnoticed are found within RETRY_SECONDS.
 */
export const WATCHES_PER_SESSION = 16;
const RETRY_SECONDS = 60;

/** NOTIFY takes less than 8,000 bytes; an id and its comma take 37. */
const IDS_PER_NOTIFY = 200;

/** How a watched session stands. */
interface Standing extends Row {
  readonly session_id: string;
  readonly revision: bigint | null;
  readonly change_open: boolean;
  readonly alive: boolean;
}

/** One stream. */
interface Watcher {
  readonly session: SessionKeySet;
  standing: Standing | undefined;
  /** Told when `standing` is new, the feed stops, or the watcher has waited long enough. */
  wake: () => void;
}

/** The feed of one process, for all its streams. */
export class RevisionFeed {
  readonly #database: Database;
  readonly #log: Logger;
  readonly #times: FeedTimes;
  readonly #watchers = new Map<string, Set<Watcher>>();
  /** Users to look up here, and to announce to the other replicas. */
  readonly #touched = new Set<string>();
  readonly #announced = new Set<string>();
  #flush: NodeJS.Timeout | undefined;
  #poll: NodeJS.Timeout | undefined;
  #flushing: Promise<void> = Promise.resolve();
  #unlisten: (() => Promise<void>) | undefined;
  #stopped = false;
  #onLastWatchEnded: () => void = () => {};

  constructor(database: Database, log: Logger, times: FeedTimes = DEFAULT_FEED_TIMES) {
    this.#database = database;
    this.#log = log;
    this.#times = times;
  }

  /** Begins to listen to the other replicas. */
  async start(): Promise<void> {
    const onNotify = (payload: string): void => {
      for (const userId of payload.split(',')) this.#look(userId);
    };
    // After a lost connection anything may have been missed.
    this.#unlisten = await this.#database.listen(CHANNEL, onNotify, () => this.#lookAtAll());
    this.#poll = setInterval(() => this.#lookAtAll(), this.#times.pollMs);
    this.#poll.unref();
  }

  /**
   * Ends every watch with SVR01, those that begin from now on too. Resolves when all have ended, or after `deadlineMs`
   * where a peer does not read.
   */
  async endWatches(deadlineMs: number): Promise<void> {
    this.#stopped = true;
    for (const watchers of this.#watchers.values()) for (const watcher of watchers) watcher.wake();
    if (this.#watchers.size === 0) return;
    await new Promise<void>((resolve) => {
      const timer = setTimeout(resolve, deadlineMs);
      this.#onLastWatchEnded = () => {
        clearTimeout(timer);
        resolve();
      };
    });
  }

  /** Ends every watch, announces what is left and stops. */
  async stop(): Promise<void> {
    await this.endWatches(0);
    clearInterval(this.#poll);
    clearTimeout(this.#flush);
    await this.#flushing;
    await this.#flushNow();
    await this.#unlisten?.();
  }

  /** How many streams are open. */
  get watcherCount(): number {
    let count = 0;
    for (const watchers of this.#watchers.values()) count += watchers.size;
    return count;
  }

  /** Says that something of a user changed and is committed. */
  touch(userId: string): void {
    this.#announced.add(userId);
    this.#look(userId);
    this.#schedule();
  }

  /**
   * The user's revision at once, whenever it moves, and every heartbeat. Ends by a throw: RQS01 with the session, RQS02
   * when a password change opens, RQS03 at once where the session has too many, SVR01 when the server stops. Returns when `signal` is aborted.
   */
  async *watch(session: SessionKeySet, signal: AbortSignal): AsyncGenerator<bigint> {
    const watcher: Watcher = { session, standing: undefined, wake: () => {} };
    const ofUser = this.#watchers.get(session.userId) ?? new Set();
    const ofSession = [...ofUser].filter((other) => other.session.sessionId === session.sessionId);
    if (ofSession.length >= WATCHES_PER_SESSION) throw tooManyRequests(RETRY_SECONDS);
    this.#watchers.set(session.userId, ofUser.add(watcher));
    const onAbort = (): void => watcher.wake();
    signal.addEventListener('abort', onAbort);
    try {
      this.#look(session.userId);
      let told: bigint | undefined;
      let heartbeat = false;
      while (!signal.aborted) {
        if (this.#stopped) throw temporaryOutage();
        const { standing } = watcher;
        if (standing !== undefined) {
          if (!standing.alive || standing.revision === null) throw notDecrypted();
          if (standing.change_open) throw passwordChangeInProgress();
          if (told === undefined || standing.revision > told || heartbeat) {
            told = standing.revision;
            yield told;
            if (signal.aborted || this.#stopped) continue;
          }
        }
        heartbeat = standing === watcher.standing && (await this.#sleep(watcher));
      }
    } finally {
      signal.removeEventListener('abort', onAbort);
      ofUser.delete(watcher);
      if (ofUser.size === 0 && this.#watchers.get(session.userId) === ofUser)
        this.#watchers.delete(session.userId);
      if (this.#watchers.size === 0) this.#onLastWatchEnded();
    }
  }

  /** True when nothing woke the watcher for a heartbeat. */
  #sleep(watcher: Watcher): Promise<boolean> {
    return new Promise((resolve) => {
      const timer = setTimeout(() => resolve(true), this.#times.heartbeatMs);
      watcher.wake = () => {
        clearTimeout(timer);
        resolve(false);
      };
    });
  }

  #look(userId: string): void {
    if (!this.#watchers.has(userId)) return;
    this.#touched.add(userId);
    this.#schedule();
  }

  #lookAtAll(): void {
    for (const userId of this.#watchers.keys()) this.#look(userId);
  }

  #schedule(): void {
    if (this.#flush !== undefined) return;
    this.#flush = setTimeout(() => {
      this.#flush = undefined;
      // One after the other: an answer that was read earlier must not replace a later one.
      this.#flushing = this.#flushing.then(() => this.#flushNow());
    }, this.#times.debounceMs);
  }

  async #flushNow(): Promise<void> {
    const announced = [...this.#announced];
    const touched = [...this.#touched];
    this.#announced.clear();
    this.#touched.clear();
    try {
      for (let start = 0; start < announced.length; start += IDS_PER_NOTIFY) {
        const payload = announced.slice(start, start + IDS_PER_NOTIFY).join(',');
        await this.#database.reads.execute(NOTIFY_USERS, [CHANNEL, payload]);
      }
      await this.#lookUp(touched.flatMap((userId) => [...(this.#watchers.get(userId) ?? [])]));
    } catch (error) {
      // The next poll finds what was missed; until then heartbeats repeat what was last known.
      this.#log.warn({ err: error }, 'watched revisions could not be read');
    }
  }

  async #lookUp(watchers: readonly Watcher[]): Promise<void> {
    if (watchers.length === 0) return;
    const sessionIds = watchers.map(({ session }) => session.sessionId);
    const { rows } = await this.#database.reads.execute(WATCHED_SESSIONS, [sessionIds]);
    const standings = new Map((rows as Standing[]).map((standing) => [standing.session_id, standing]));
    for (const watcher of watchers) {
      const standing = standings.get(watcher.session.sessionId);
      const known = watcher.standing;
      if (
        known !== undefined &&
        standing?.revision === known.revision &&
        standing.alive === known.alive &&
        standing.change_open === known.change_open
      ) {
        continue;
      }
      watcher.standing = standing;
      watcher.wake();
    }
  }
}
