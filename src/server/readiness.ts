/** Whether the server can serve: what health and readiness answer, and the database that is asked for it at an interval. */
import type { Executor } from '../database/database.ts';
import type { Logger } from './log.ts';

/** Whether the server can serve now; what health and readiness answer. */
export interface Readiness {
  /** True while both doors and the database serve. */
  isServing(): boolean;
  /** What an operator must look after though it serves: a sentence, or undefined. */
  warning(): string | undefined;
  /** More that an operator wants to know, by name; everybody may read it. */
  details(): Readonly<Record<string, unknown>>;
  /** Calls `listener` at every change of isServing(); returns what ends that. */
  onChange(listener: (serving: boolean) => void): () => void;
}

/** For how long a refused write is worth a warning, in milliseconds: on a full disk some writes still find room. */
const WARNING_MS = 60_000;

/** For how many intervals an answer may be waited for: a database that hangs keeps its connections open. */
const INTERVALS_TO_ANSWER = 5;

/** The warning of a database that takes no writes. */
export const WRITES_REFUSED =
  'writes fail: the disk of the database is full, or the database is read-only. Reading goes on';

/** Serving while the database answers; warns while it takes no writes. */
export class DatabaseReadiness implements Readiness {
  readonly #database: Executor;
  readonly #intervalMs: number;
  readonly #warningMs: number;
  readonly #log: Logger;
  readonly #listeners = new Set<(serving: boolean) => void>();
  #serving = false;
  /** When a write was last refused, in the milliseconds of performance.now(). */
  #refusedAt: number | undefined;
  readonly #warnings: (() => string | undefined)[] = [];
  readonly #details = new Map<string, () => unknown>();
  #timer: NodeJS.Timeout | undefined;
  #stopped = true;

  /** `intervalMs`: how often the database is asked; `warningMs`: how long a warning stays. */
  constructor(database: Executor, intervalMs: number, log: Logger, warningMs = WARNING_MS) {
    this.#database = database;
    this.#warningMs = warningMs;
    this.#intervalMs = intervalMs;
    this.#log = log;
  }

  /** Says that a write was refused because the disk is full or the database read-only. */
  refusedWrite(): void {
    if (this.#refusedAt === undefined) this.#log.error(WRITES_REFUSED);
    this.#refusedAt = performance.now();
  }

  /** Has `warning` tell what `source` does, too. Everybody may read it: no paths, no names. */
  alsoWarn(source: () => string | undefined): void {
    this.#warnings.push(source);
  }

  /** Has the details tell what `source` does under a name. Everybody may read it: no paths, no names. */
  alsoTell(name: string, source: () => unknown): void {
    this.#details.set(name, source);
  }

  details(): Readonly<Record<string, unknown>> {
    return Object.fromEntries([...this.#details].map(([name, source]) => [name, source()]));
  }

  warning(): string | undefined {
    const own = this.#refusedAt === undefined ? undefined : WRITES_REFUSED;
    const all = [own, ...this.#warnings.map((source) => source())].filter((text) => text !== undefined);
    return all.length === 0 ? undefined : all.join('; ');
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
    const late = setTimeout(() => this.#set(false), INTERVALS_TO_ANSWER * this.#intervalMs);
    late.unref();
    const answered = await this.#database.execute('select 1 as one', []).then(
      () => true,
      () => false,
    );
    clearTimeout(late);
    if (this.#stopped) return;
    if (this.#refusedAt !== undefined && performance.now() - this.#refusedAt > this.#warningMs) {
      this.#refusedAt = undefined;
      this.#log.info('no write was refused any more');
    }
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
