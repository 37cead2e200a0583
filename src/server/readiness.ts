/** Whether the database answers, asked at an interval, for health and readiness. */
import type { Executor } from '../database/database.ts';
import type { Readiness } from './rpc.ts';

export class DatabaseReadiness implements Readiness {
  readonly #database: Executor;
  readonly #intervalMs: number;
  readonly #listeners = new Set<(serving: boolean) => void>();
  #serving = false;
  #timer: NodeJS.Timeout | undefined;
  #stopped = true;

  /** `intervalMs`: how often the database is asked. */
  constructor(database: Executor, intervalMs: number) {
    this.#database = database;
    this.#intervalMs = intervalMs;
  }

  /** Asks the database now and then at every interval. */
  async start(): Promise<void> {
    this.#stopped = false;
    await this.#ask();
  }

  /** Not serving from now on. */
  stop(): void {
    this.#stopped = true;
    clearTimeout(this.#timer);
    this.#set(false);
  }

  isServing(): boolean {
    return this.#serving;
  }

  onChange(listener: (serving: boolean) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  async #ask(): Promise<void> {
    const answered = await this.#database.execute('select 1 as one', []).then(
      () => true,
      () => false,
    );
    if (this.#stopped) return;
    this.#set(answered);
    this.#timer = setTimeout(() => void this.#ask(), this.#intervalMs);
    this.#timer.unref();
  }

  #set(serving: boolean): void {
    if (this.#serving === serving) return;
    this.#serving = serving;
    for (const listener of this.#listeners) listener(serving);
  }
}
