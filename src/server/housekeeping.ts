/** Cleans up what has expired, in small bites, on as many replicas at once as there are. */
import { DELETE_OLD_EVENTS } from '../database/audit_log.ts';
import type { Database } from '../database/database.ts';
import {
  DELETE_EXPIRED_ATTEMPTS,
  DELETE_EXPIRED_SESSIONS,
  DELETE_SPENT_SESSIONS,
  LOCK_EXPIRED_CHANGES,
  LOCK_OLD_TOMBSTONES,
  NEW_HISTORY,
  PURGE_TOMBSTONES,
} from '../database/housekeeping_statements.ts';
import { closeChange } from '../database/password_changes.ts';
import { DELETE_OLD_COUNTERS, DELETE_OLD_NETWORKS } from '../database/rate_statements.ts';
import type { RandomBytes } from '../protocol/bytes.ts';
import { HISTORY_ID_BYTES } from '../protocol/sizes.ts';
import type { Logger } from './log.ts';
import type { RequestGate } from './request_gate.ts';
import { Rounds } from './rounds.ts';
import type { SessionKeys } from './session_keys.ts';

/** How many rows one statement cleans, so that none holds locks for long. */
const BITE = 500;

/** Cleans up at an interval. */
export class Housekeeping {
  readonly #database: Database;
  readonly #gate: RequestGate;
  readonly #sessionKeys: SessionKeys;
  readonly #random: RandomBytes;
  readonly #log: Logger;
  readonly #rounds: Rounds;
  #stopping = false;

  constructor(parts: {
    database: Database;
    gate: RequestGate;
    sessionKeys: SessionKeys;
    random: RandomBytes;
    log: Logger;
    intervalMs: number;
  }) {
    this.#database = parts.database;
    this.#gate = parts.gate;
    this.#sessionKeys = parts.sessionKeys;
    this.#random = parts.random;
    this.#log = parts.log;
    this.#rounds = new Rounds(
      () =>
        this.run().catch((error: unknown) =>
          this.#log.warn({ err: error }, 'clean-up failed; the next round tries again'),
        ),
      parts.intervalMs,
    );
  }

  /** Cleans now and then at every interval. */
  start(): void {
    this.#rounds.start();
  }

  /** Ends the rounds, after the bite that runs. */
  stop(): Promise<void> {
    this.#stopping = true;
    return this.#rounds.stop();
  }

  /** One round. */
  async run(): Promise<void> {
    await this.#inBites(() => this.#deleted(DELETE_EXPIRED_ATTEMPTS));
    await this.#inBites(() => this.#deletedSessions(DELETE_EXPIRED_SESSIONS));
    await this.#inBites(() => this.#deletedSessions(DELETE_SPENT_SESSIONS));
    await this.#inBites(() => this.#closeExpiredChange());
    await this.#inBites(() => this.#purgeTombstones());
    await this.#inBites(() => this.#deleted(DELETE_OLD_COUNTERS));
    await this.#inBites(() => this.#deleted(DELETE_OLD_NETWORKS));
    await this.#inBites(() => this.#deleted(DELETE_OLD_EVENTS));
    await this.#gate.forgetHealed();
  }

  async #inBites(clean: () => Promise<boolean>): Promise<void> {
    while (!this.#stopping && (await clean()));
  }

  async #deleted(statement: string): Promise<boolean> {
    const { rows } = await this.#database.writes.execute(statement, [BITE]);
    return rows.length === BITE;
  }

  async #deletedSessions(statement: string): Promise<boolean> {
    const { rows } = await this.#database.writes.execute(statement, [BITE]);
    for (const { id } of rows) this.#sessionKeys.forget(id as string);
    return rows.length === BITE;
  }

  /** Drops all new material of one change that ran out of time. False when there was none. */
  async #closeExpiredChange(): Promise<boolean> {
    return this.#database.transaction(async (transaction) => {
      const { rows } = await transaction.execute(LOCK_EXPIRED_CHANGES, [1]);
      const user = rows[0];
      if (user === undefined) return false;
      for (const id of await closeChange(transaction, user.id as string)) this.#sessionKeys.forget(id);
      return true;
    });
  }

  /** A client that was away for longer must not believe that what was purged still lives: its history ends here. */
  async #purgeTombstones(): Promise<boolean> {
    return this.#database.transaction(async (transaction) => {
      const { rows } = await transaction.execute(LOCK_OLD_TOMBSTONES, [1]);
      const user = rows[0];
      if (user === undefined) return false;
      await transaction.execute(PURGE_TOMBSTONES, [user.id]);
      await transaction.execute(NEW_HISTORY, [user.id, this.#random(HISTORY_ID_BYTES)]);
      return true;
    });
  }
}
