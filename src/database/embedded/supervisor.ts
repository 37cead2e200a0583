/** Keeps a child running: what ends unasked is started again, ever more slowly. */
import { setTimeout as sleep } from 'node:timers/promises';
import type { EventLog } from '../event_log.ts';
import { type Exit, endChild, type GuardedChild } from './guarded_child.ts';

/** What is kept running, and how. */
export interface SupervisorParts {
  /** Starts the child and resolves when it serves. Rejects when it does not; nothing is left running then. */
  readonly launch: (signal: AbortSignal) => Promise<GuardedChild>;
  /** How the child is stopped: signals in turn, with the milliseconds each has. */
  readonly stopSteps: readonly (readonly [NodeJS.Signals, number])[];
  readonly log: EventLog;
  /** Milliseconds before the first restart; doubled with each that fails or does not last. */
  readonly firstDelayMs?: number;
  readonly maximumDelayMs?: number;
  /** Milliseconds after which a run counts as one that lasted. */
  readonly lastingMs?: number;
}

/** Starts one child after another, until it is stopped. */
export class Supervisor {
  readonly #parts: Required<SupervisorParts>;
  readonly #stopping = new AbortController();
  #child: GuardedChild | undefined;
  #watching: Promise<void> = Promise.resolve();
  #stopped: Promise<void> | undefined;

  constructor(parts: SupervisorParts) {
    this.#parts = { firstDelayMs: 100, maximumDelayMs: 10_000, lastingMs: 60_000, ...parts };
  }

  /** Starts the child for the first time. Rejects as `launch` does. */
  async start(): Promise<void> {
    this.#child = await this.#parts.launch(this.#stopping.signal);
    this.#watching = this.#watch(this.#child);
  }

  /** Ends the child and starts it no more. */
  stop(): Promise<void> {
    this.#stopped ??= (async () => {
      this.#stopping.abort();
      if (this.#child !== undefined) await endChild(this.#child, this.#parts.stopSteps);
      await this.#watching;
    })();
    return this.#stopped;
  }

  async #watch(first: GuardedChild): Promise<void> {
    const { firstDelayMs, maximumDelayMs, lastingMs, log } = this.#parts;
    let child = first;
    let delayMs = firstDelayMs;
    for (;;) {
      const since = performance.now();
      const exit = await child.exited;
      if (this.#stopping.signal.aborted) return;
      log.error(describe(exit), 'PostgreSQL ended by itself; it is started again');
      if (performance.now() - since >= lastingMs) delayMs = firstDelayMs;
      const next = await this.#restart(delayMs);
      if (next === undefined) return;
      child = next.child;
      delayMs = Math.min(next.delayMs * 2, maximumDelayMs);
      log.info({}, 'PostgreSQL runs again');
    }
  }

  /** The child that came up in the end and the delay before it, or nothing once it is to stop. */
  async #restart(firstDelayMs: number): Promise<{ child: GuardedChild; delayMs: number } | undefined> {
    const { launch, maximumDelayMs, log, stopSteps } = this.#parts;
    const { signal } = this.#stopping;
    for (let delayMs = firstDelayMs; ; delayMs = Math.min(delayMs * 2, maximumDelayMs)) {
      await sleep(delayMs, undefined, { signal }).catch(() => {});
      if (signal.aborted) return undefined;
      try {
        const child = await launch(signal);
        this.#child = child;
        if (!signal.aborted) return { child, delayMs };
        await endChild(child, stopSteps);
        return undefined;
      } catch (error) {
        if (signal.aborted) return undefined;
        log.error({ err: error }, 'PostgreSQL does not start; it is tried again');
      }
    }
  }
}

function describe({ code, signal }: Exit): object {
  return signal === null ? { code } : { signal };
}
