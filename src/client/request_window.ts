/**
 * Numbers requests and keeps them inside the server's anti-replay window (RFC 4303 §3.4.3): n is not given out while a
 * request ≤ n − 64 is still unanswered and not given up, so that no request can fall out of the window on its way.
 */
import { REPLAY_WINDOW_NUMBERS, REQUEST_NUMBER_LIMIT } from '../protocol/sizes.ts';

/** The numbers of one session. */
export class RequestWindow {
  #next = 0n;
  readonly #limit: bigint;
  readonly #unanswered = new Set<bigint>();
  readonly #waiting: (() => void)[] = [];

  /** `maximumRequests` is how many numbers there are in all; -1n: as many as the protocol has. */
  constructor(maximumRequests: bigint) {
    const isBeyond = maximumRequests === -1n || maximumRequests > REQUEST_NUMBER_LIMIT;
    this.#limit = isBeyond ? REQUEST_NUMBER_LIMIT : maximumRequests;
  }

  /** Whether every number was given out. */
  get isSpent(): boolean {
    return this.#next >= this.#limit;
  }

  /** The next number, as soon as the window allows it, in the order of asking; undefined when there is none left. */
  async take(signal?: AbortSignal): Promise<bigint | undefined> {
    while (!this.isSpent && this.#isFull()) await this.#turn(signal);
    signal?.throwIfAborted();
    if (this.isSpent) {
      this.#wake();
      return undefined;
    }
    const number = this.#next;
    this.#next += 1n;
    this.#unanswered.add(number);
    return number;
  }

  /** The request with this number was answered or given up. */
  settle(number: bigint): void {
    this.#unanswered.delete(number);
    this.#wake();
  }

  #isFull(): boolean {
    // The set keeps the order of insertion, and numbers only rise: its first is the lowest.
    const [lowest] = this.#unanswered;
    return lowest !== undefined && lowest <= this.#next - REPLAY_WINDOW_NUMBERS;
  }

  #turn(signal: AbortSignal | undefined): Promise<void> {
    return new Promise((resolve, reject) => {
      const wake = () => {
        signal?.removeEventListener('abort', abort);
        resolve();
      };
      const abort = () => {
        this.#waiting.splice(this.#waiting.indexOf(wake), 1);
        reject(signal!.reason);
      };
      if (signal?.aborted) return reject(signal.reason);
      signal?.addEventListener('abort', abort, { once: true });
      this.#waiting.push(wake);
    });
  }

  #wake(): void {
    for (const wake of this.#waiting.splice(0)) wake();
  }
}
