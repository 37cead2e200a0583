/** Worker threads for SRP's arithmetic, so that log-ins do not hold up the event loop. */
import { extname } from 'node:path';
import { Worker } from 'node:worker_threads';
import type { Around } from '../../database/around.ts';
import type { LogFields, Logger } from '../log.ts';
import type { ProofCheck, ProofResult } from './srp_arithmetic.ts';
import { type Job, type Outcome, packJob, unpackOutcome } from './srp_messages.ts';
import type { Answer } from './srp_worker.ts';

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

/** What a pool is made with. */
export interface SrpPoolOptions {
  /** How many threads at most. One is there from the start, the others once several jobs wait: each takes some 14 MB. */
  readonly workers: number;
  /** How many jobs may wait beside those that run. */
  readonly queueLimit: number;
  readonly log: Logger;
  /** Starts a thread that speaks as srp_worker.ts does. */
  readonly createWorker?: () => Worker;
  /** Told of every proof. Default: nobody is. */
  readonly around?: Around;
}

interface Pending {
  /** The job, packed; empty once it is with its thread. */
  readonly job: ArrayBuffer;
  readonly resolve: (outcome: Outcome) => void;
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

/** The module of a thread lies beside this one, as source or as built. */
const WORKER_MODULE = new URL(`./srp_worker${extname(import.meta.url)}`, import.meta.url);

/**
 * A thread that sees neither the environment, which may hold a database's password, nor the flags of the process. Its
 * young generation is small, for what it computes lives outside of the heap: 3 MB instead of 10.
 */
export const createSrpWorker = (): Worker =>
  new Worker(WORKER_MODULE, {
    name: 'srp',
    env: {},
    execArgv: [],
    resourceLimits: { maxYoungGenerationSizeMb: 2 },
  });

/** Jobs in the order in which they come, on as many threads as are free. */
export class SrpPool {
  readonly #workers: number;
  readonly #queueLimit: number;
  readonly #log: Logger;
  readonly #createWorker: () => Worker;
  readonly #around: Around | undefined;
  readonly #threads = new Set<Thread>();
  readonly #queue: Pending[] = [];
  readonly #restarts = new Set<NodeJS.Timeout>();
  #delayMs = FIRST_DELAY_MS;
  #stopped = false;

  constructor({ workers, queueLimit, log, createWorker = createSrpWorker, around }: SrpPoolOptions) {
    this.#workers = workers;
    this.#queueLimit = queueLimit;
    this.#log = log;
    this.#createWorker = createWorker;
    this.#around = around;
    this.#startThread();
  }

  /** g^b of several b, as generatorPowers has them. Rejects with SrpQueueFullError or SrpWorkerLostError. */
  async generatorPowers(privateBs: Uint8Array): Promise<Uint8Array> {
    const { powers } = (await this.#run({ kind: 'powers', privateBs })) as { powers: Uint8Array };
    return powers;
  }

  /** Whether M1 is right, and then K and M2. Rejects with SrpQueueFullError or SrpWorkerLostError. */
  verifyClientProof(input: ProofCheck): Promise<ProofResult> {
    const run = () => this.#run({ kind: 'verify', input }) as Promise<ProofResult>;
    return this.#around === undefined ? run() : this.#around('srp', 'verify', run);
  }

  /** Whether no job waits or runs. */
  get isIdle(): boolean {
    const { queued, busy } = this.load();
    return queued === 0 && busy === 0;
  }

  /** Jobs that wait, threads that work and threads there are, and the most there may be. */
  load(): { queued: number; busy: number; threads: number; most: number } {
    const busy = [...this.#threads].filter(({ pending }) => pending !== undefined).length;
    return { queued: this.#queue.length, busy, threads: this.#threads.size, most: this.#workers };
  }

  /** Ends the threads; jobs that wait or run are rejected. */
  async stop(): Promise<void> {
    this.#stopped = true;
    for (const timer of this.#restarts) clearTimeout(timer);
    for (const { job, reject } of this.#queue.splice(0)) {
      new Uint8Array(job).fill(0);
      reject(new SrpWorkerLostError());
    }
    await Promise.all([...this.#threads].map(({ worker }) => worker.terminate()));
  }

  #run(job: Job): Promise<Outcome> {
    if (this.#stopped) return Promise.reject(new SrpWorkerLostError());
    if (this.#queue.length >= this.#queueLimit) return Promise.reject(new SrpQueueFullError());
    return new Promise((resolve, reject) => {
      this.#queue.push({ job: packJob(job), resolve, reject });
      this.#dispatch();
    });
  }

  #dispatch(): void {
    for (const thread of this.#threads) {
      if (this.#queue.length === 0) return;
      if (!thread.ready || thread.pending !== undefined) continue;
      const pending = this.#queue.shift()!;
      thread.pending = pending;
      // Moved, not copied: no b stays behind here.
      thread.worker.postMessage(pending.job, [pending.job]);
    }
    // One job alone may wait behind a batch for the stock, which is no reason for another thread.
    if (this.#queue.length > 1 && this.#mayGrow()) this.#startThread();
  }

  /** One more thread, when all that there are have work and none is on its way. */
  #mayGrow(): boolean {
    const isStarting = this.#restarts.size > 0 || [...this.#threads].some(({ ready }) => !ready);
    return !isStarting && this.#threads.size < this.#workers;
  }

  #startThread(): void {
    let worker: Worker;
    try {
      worker = this.#createWorker();
    } catch (error) {
      this.#replaceLater({ err: error });
      return;
    }
    const thread: Thread = { worker, ready: false, pending: undefined };
    this.#threads.add(thread);
    worker.unref();
    worker.on('message', (answer: Answer) => this.#onAnswer(thread, answer));
    worker.on('messageerror', () => void worker.terminate());
    // Both are told of a death, in either order; the first settles the job.
    worker.on('error', (error) => this.#onDeath(thread, { err: error }));
    worker.on('exit', (exitCode) => this.#onDeath(thread, { exitCode }));
  }

  #onAnswer(thread: Thread, answer: Answer): void {
    if (!(answer instanceof ArrayBuffer) && answer.kind === 'ready') {
      thread.ready = true;
      this.#delayMs = FIRST_DELAY_MS;
      if (answer.arithmetic === 'bigint') {
        this.#log.warn('log-ins use the slow arithmetic: OpenSSL failed its check');
      }
    } else {
      const pending = thread.pending;
      thread.pending = undefined;
      if (answer instanceof ArrayBuffer) pending?.resolve(unpackOutcome(answer));
      else pending?.reject(new Error(answer.message));
    }
    this.#dispatch();
  }

  #onDeath(thread: Thread, why: LogFields): void {
    if (!this.#threads.delete(thread)) return;
    thread.pending?.reject(new SrpWorkerLostError());
    if (!this.#stopped) this.#replaceLater(why);
  }

  #replaceLater(why: LogFields): void {
    this.#log.error(why, 'a log-in thread died and is replaced');
    const timer = setTimeout(() => {
      this.#restarts.delete(timer);
      this.#startThread();
    }, this.#delayMs);
    this.#restarts.add(timer);
    this.#delayMs = Math.min(2 * this.#delayMs, LONGEST_DELAY_MS);
  }
}
