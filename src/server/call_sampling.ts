/** Which calls are traced. Callers may ask for it, and what they ask for is bounded. */

/** How many calls a second are traced because their caller asked for it, in each process. */
const ASKED_PER_SECOND = 10;

/** What the choice is made with. */
export interface CallSamplingOptions {
  /** The part of all calls that is traced, from 0 to 1. */
  readonly ratio: number;
  /** From 0 up to, not including, 1. Default: Math.random. */
  readonly random?: () => number;
  /** Milliseconds of a clock that never goes back. Default: performance.now. */
  readonly now?: () => number;
}

/** Chooses call by call. No choice hangs on the trace id, which a caller makes up. */
export class CallSampling {
  readonly #ratio: number;
  readonly #random: () => number;
  readonly #now: () => number;
  #secondBegan = Number.NEGATIVE_INFINITY;
  #asked = 0;

  constructor({ ratio, random = Math.random, now = () => performance.now() }: CallSamplingOptions) {
    this.#ratio = ratio;
    this.#random = random;
    this.#now = now;
  }

  /** Whether to trace a call. `asked`: the caller's own trace has this call in it, or leaves it out; undefined: it says nothing. */
  takes(asked: boolean | undefined): boolean {
    if (asked === false) return false;
    return (asked === true && this.#takesAsked()) || this.#random() < this.#ratio;
  }

  #takesAsked(): boolean {
    const now = this.#now();
    if (now - this.#secondBegan >= 1_000) {
      this.#secondBegan = now;
      this.#asked = 0;
    }
    if (this.#asked === ASKED_PER_SECOND) return false;
    this.#asked += 1;
    return true;
  }
}
