/** Worker threads for SRP's arithmetic, so that log-ins do not hold up the event loop. */
import { Worker } from 'node:worker_threads';
import type { Logger } from '../log.ts';
import type { HandshakeStart, ProofCheck, ProofResult } from './srp_arithmetic.ts';
import type { Answer, Job } from './srp_worker.ts';

/** More jobs wait than the queue takes. */
export class SrpQueueFullError extends Error {
  constructor() {
    super('too many log-ins at once');
    this.name = 'SrpQueueFullError';
  }
}

/** The thread that had the job died, or the pool was stopped. */
export class SrpWorkerLostError extends Error {
  constructor() {
    super('the arithmetic of a log-in was interrupted');
    this.name = 'SrpWorkerLostError';
  }
}

interface Pending {
  readonly job: Job;
  readonly resolve: (output: never) => void;
  readonly reject: (error: Error) => void;
}

interface Thread {
  readonly worker: Worker;
  ready: boolean;
  pending: Pending | undefined;
}

/** Back-off before a dead thread is replaced, in milliseconds. */
const FIRST_DELAY_MS = 100;
const LONGEST_DELAY_MS = 10_000;

export class SrpPool {
  readonly #queueLimit: number;
  readonly #log: Logger;
  readonly #threads = new Set<Thread>();
  readonly #queue: Pending[] = [];
  readonly #restarts = new Set<NodeJS.Timeout>();
  #delayMs = FIRST_DELAY_MS;
  #stopped = false;

  /** `workers`: how many threads; `queueLimit`: how many jobs may wait beside those that run. */
  constructor({ workers, queueLimit, log }: { workers: number; queueLimit: number; log: Logger }) {
    this.#queueLimit = queueLimit;
    this.#log = log;
    for (let count = 0; count < workers; count += 1) this.#startThread();
  }

  /** B of a log-in. Rejects with SrpQueueFullError or SrpWorkerLostError. */
  startHandshake(input: HandshakeStart): Promise<{ publicB: Uint8Array }> {
    return this.#run({ kind: 'start', input });
  }

  /** Whether M1 is right, and then K and M2. Rejects with SrpQueueFullError or SrpWorkerLostError. */
  verifyClientProof(input: ProofCheck): Promise<ProofResult> {
    return this.#run({ kind: 'verify', input });
  }

  /** How many jobs wait. */
  get queued(): number {
    return this.#queue.length;
  }

  /** Ends the threads; jobs that wait or run are rejected. */
  async stop(): Promise<void> {
    this.#stopped = true;
    for (const timer of this.#restarts) clearTimeout(timer);
    for (const { reject } of this.#queue.splice(0)) reject(new SrpWorkerLostError());
    await this.killThreads();
  }

  /** Ends every thread as if it had crashed; each is replaced. For tests of just that. */
  async killThreads(): Promise<void> {
    await Promise.all([...this.#threads].map(({ worker }) => worker.terminate()));
  }

  #run<T>(job: Job): Promise<T> {
    if (this.#stopped) return Promise.reject(new SrpWorkerLostError());
    if (this.#queue.length >= this.#queueLimit) return Promise.reject(new SrpQueueFullError());
    return new Promise<T>((resolve, reject) => {
      this.#queue.push({ job, resolve: resolve as (output: never) => void, reject });
      this.#dispatch();
    });
  }

  #dispatch(): void {
    for (const thread of this.#threads) {
      if (this.#queue.length === 0) return;
      if (!thread.ready || thread.pending !== undefined) continue;
      thread.pending = this.#queue.shift();
      thread.worker.postMessage(thread.pending!.job);
    }
  }

  #startThread(): void {
    const thread: Thread = {
      worker: new Worker(new URL('./srp_worker.ts', import.meta.url)),
      ready: false,
      pending: undefined,
    };
    this.#threads.add(thread);
    thread.worker.unref();
    thread.worker.on('message', (answer: Answer) => this.#onAnswer(thread, answer));
    // Both are told of a death, in either order; the first settles the job.
    thread.worker.on('error', (error) => this.#onDeath(thread, error));
    thread.worker.on('exit', () => this.#onDeath(thread, undefined));
  }

  #onAnswer(thread: Thread, answer: Answer): void {
    if (answer.kind === 'ready') {
      thread.ready = true;
      this.#delayMs = FIRST_DELAY_MS;
      if (answer.arithmetic === 'bigint')
        this.#log.warn('log-ins use the slow arithmetic: OpenSSL failed its check');
    } else {
      const pending = thread.pending;
      thread.pending = undefined;
      if (answer.kind === 'done') pending?.resolve(answer.output as never);
      else pending?.reject(new Error(answer.message));
    }
    this.#dispatch();
  }

  #onDeath(thread: Thread, error: unknown): void {
    if (!this.#threads.delete(thread)) return;
    thread.pending?.reject(new SrpWorkerLostError());
    if (this.#stopped) return;
    this.#log.error({ err: error }, 'a log-in thread died and is replaced');
    const timer = setTimeout(() => {
      this.#restarts.delete(timer);
      this.#startThread();
    }, this.#delayMs);
    this.#restarts.add(timer);
    this.#delayMs = Math.min(2 * this.#delayMs, LONGEST_DELAY_MS);
  }
}
