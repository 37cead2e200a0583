/** Does something again and again, with a pause after each time, until it is stopped. */
export class Rounds {
  readonly #round: () => Promise<void>;
  readonly #pauseMs: number;
  #timer: NodeJS.Timeout | undefined;
  #running: Promise<void> = Promise.resolve();
  #isStopped = false;

  /** `round` never rejects. `pauseMs`: from the end of one to the beginning of the next, in milliseconds. */
  constructor(round: () => Promise<void>, pauseMs: number) {
    this.#round = round;
    this.#pauseMs = pauseMs;
  }

  /** Begins, the first time after `firstMs`. They keep no process alive. */
  start(firstMs = 0): void {
    this.#timer = setTimeout(() => {
      this.#running = this.#round().then(() => {
        if (!this.#isStopped) this.start(this.#pauseMs);
      });
    }, firstMs);
    this.#timer.unref();
  }

  /** Ends the rounds, after the one that runs. */
  async stop(): Promise<void> {
    this.#isStopped = true;
    clearTimeout(this.#timer);
    await this.#running;
  }
}
