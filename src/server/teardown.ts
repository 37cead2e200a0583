/** What has to be ended of what was started, in reverse. */
import type { Logger } from './log.ts';

/** Collects how parts are ended while they are started. */
export class Teardown {
  readonly #log: Logger;
  readonly #steps: (() => Promise<unknown> | unknown)[] = [];
  #hasBegun = false;

  constructor(log: Logger) {
    this.#log = log;
  }

  /** Whether run() was called. */
  get hasBegun(): boolean {
    return this.#hasBegun;
  }

  /** Has run() do `step` before those that were added earlier. */
  add(step: () => Promise<unknown> | unknown): void {
    this.#steps.push(step);
  }

  /** Does each step once, the last one first. What a step throws is logged, and the others are done all the same. Never rejects. */
  async run(): Promise<void> {
    this.#hasBegun = true;
    for (let step = this.#steps.pop(); step !== undefined; step = this.#steps.pop()) {
      try {
        await step();
      } catch (error) {
        this.#log.error({ err: error }, 'a part did not stop cleanly');
      }
    }
  }
}
