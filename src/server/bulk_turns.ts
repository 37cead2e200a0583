/**
 * Has bulk work give way, as the re-encryption of a vault is. One user's runs a piece at a time, and where others called
 * meanwhile, his next piece begins after a rest: it is served before that piece, so no answer is late for it and the last
 * piece has none. docs/adr/0010-a-password-change-gives-way.md has the reasons.
 */
import { inLine } from './user_turns.ts';

/** How long a rest is for each millisecond of the piece before it: at most a quarter of the time is bulk work. */
const REST_PER_PIECE = 3;

/** The longest rest, in milliseconds: no call waits long for its user's own piece, and a server that stops neither. */
export const LONGEST_REST_MS = 500;

/** A shorter piece needs no rest: it hardly holds up anybody, and timers count whole milliseconds. */
const SHORT_PIECE_MS = 2;

/** What rests are measured by. */
export interface BulkTurnsOptions {
  /** Milliseconds of a clock that never goes back. Default: performance.now. */
  readonly now?: () => number;
  /** Does something after a number of milliseconds. Default: by a timer that keeps no process alive. */
  readonly after?: (milliseconds: number, then: () => void) => void;
}

/** The bulk work of one process, for all its users. */
export class BulkTurns {
  readonly #now: () => number;
  readonly #after: (milliseconds: number, then: () => void) => void;
  /** Who waits, of each user of whom a piece runs or rests: a user is here no longer than that. */
  readonly #users = new Map<string, (() => void)[]>();
  #othersBegun = 0;
  #othersEnded = 0;

  constructor({ now = () => performance.now(), after = afterTimer }: BulkTurnsOptions = {}) {
    this.#now = now;
    this.#after = after;
  }

  /** A call that is no bulk work begins, anybody's. It ends by `otherEnds`. */
  otherBegins(): void {
    this.#othersBegun += 1;
  }

  otherEnds(): void {
    this.#othersEnded += 1;
  }

  /** Users of whom a piece runs or rests. */
  get size(): number {
    return this.#users.size;
  }

  /**
   * Runs a piece when those of the user that came before are over and the last of them has rested. Throws RQS03 where too
   * many wait, or where its caller goes away before, as UserTurns does. Throws what the piece throws.
   */
  async run<T>(
    userId: string,
    caller: { readonly signal: AbortSignal },
    piece: () => Promise<T>,
  ): Promise<T> {
    const waiting = this.#users.get(userId);
    if (waiting === undefined) this.#users.set(userId, []);
    else await inLine(waiting, caller.signal);
    const begun = this.#now();
    const endedBefore = this.#othersEnded;
    try {
      return await piece();
    } finally {
      const tookMs = this.#now() - begun;
      const othersWereThere = this.#othersBegun > endedBefore;
      if (othersWereThere && tookMs >= SHORT_PIECE_MS)
        this.#after(Math.min(REST_PER_PIECE * tookMs, LONGEST_REST_MS), () => this.#next(userId));
      else this.#next(userId);
    }
  }

  #next(userId: string): void {
    const next = this.#users.get(userId)!.shift();
    if (next === undefined) this.#users.delete(userId);
    else next();
  }
}

function afterTimer(milliseconds: number, then: () => void): void {
  setTimeout(then, milliseconds).unref();
}
