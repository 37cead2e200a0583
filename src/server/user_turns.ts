/**
 * Lets the calls of one user run a few at a time: the others wait here, where they hold no connection to the database. So
 * whoever sends many calls at once waits for himself, and nobody else does.
 */
import { tooManyRequests } from './errors.ts';

/**
 * How many calls of a user run at a time: fewer than there are connections for reads by default. Reads of a session wait for
 * the writes of it, and would hold all of them meanwhile.
 */
const AT_ONCE = 4;

/** How many wait for that: several sessions with as many in flight as the protocol allows each. */
export const WAITING = 256;

/** The calls of a user. */
interface Turns {
  running: number;
  /** The longest waiting first. */
  readonly waiting: (() => void)[];
}

/** The turns of one process, for all its users. */
export class UserTurns {
  readonly #users = new Map<string, Turns>();

  /**
   * Runs a call when it is its turn. Throws RQS03 where too many wait, or where its caller goes away before: what a request
   * holds counts for no budget of a door then. Throws what the call throws. `caller`: asked for its signal when it waits.
   */
  async run<T>(userId: string, caller: { readonly signal: AbortSignal }, call: () => Promise<T>): Promise<T> {
    let turns = this.#users.get(userId);
    if (turns === undefined) {
      turns = { running: 0, waiting: [] };
      this.#users.set(userId, turns);
    }
    if (turns.running < AT_ONCE) turns.running += 1;
    else await inLine(turns.waiting, caller.signal);
    try {
      return await call();
    } finally {
      this.#end(userId, turns);
    }
  }

  /** Hands the turn on, or gives it up. */
  #end(userId: string, turns: Turns): void {
    const next = turns.waiting.shift();
    if (next !== undefined) {
      next();
      return;
    }
    turns.running -= 1;
    if (turns.running === 0) this.#users.delete(userId);
  }
}

/**
 * Waits at the end of a line until what is put there is called. Throws RQS03 where WAITING wait already, or once the caller
 * has gone away, who leaves the line then.
 */
export function inLine(waiting: (() => void)[], signal: AbortSignal): Promise<void> {
  if (waiting.length >= WAITING || signal.aborted) throw tooManyRequests(1);
  return new Promise((resolve, reject) => {
    const begin = (): void => {
      signal.removeEventListener('abort', leave);
      resolve();
    };
    const leave = (): void => {
      waiting.splice(waiting.indexOf(begin), 1);
      reject(tooManyRequests(1));
    };
    waiting.push(begin);
    signal.addEventListener('abort', leave, { once: true });
  });
}
