/**
 * The server's ephemeral keys, made ahead of the log-ins that take them: g^b does not depend on the account, so the threads
 * compute it for several b in one job, and a log-in adds its k*v here. A job for each log-in would cost it some 6 % more.
 *
 * Every b is fresh, and serves one attempt. At most 16 wait, in the memory of the process alone; they are overwritten when
 * they are taken, and all of them when the server stops.
 */
import type { Around } from '../../database/around.ts';
import type { RandomBytes } from '../../protocol/bytes.ts';
import { GROUP_ELEMENT_BYTES, PRIVATE_EXPONENT_BYTES } from '../../protocol/sizes.ts';
import { serverPublicBOf } from '../../protocol/srp.ts';
import { type SrpPool, SrpQueueFullError, SrpWorkerLostError } from './srp_pool.ts';

/** How many g^b a job computes: some 6 ms, which is what a proof may have to wait longer for its thread. */
const BATCH = 8;

/** With so many left, or fewer, the next batch is asked for. */
const LOW_WATER = 8;

/** What the server keeps of an attempt and what it shows of it. */
export interface Ephemeral {
  /** b, 40 bytes: the caller's to overwrite. */
  readonly privateB: Uint8Array;
  /** B, 512 bytes. */
  readonly publicB: Uint8Array;
}

interface Pair {
  readonly privateB: Uint8Array;
  /** g^b mod N, 512 bytes. */
  readonly power: Uint8Array;
}

interface Caller {
  readonly resolve: (pair: Pair) => void;
  readonly reject: (error: unknown) => void;
}

/** Pairs of b and g^b. The first batch is asked for at once, so that the first log-in need not wait for all of it. */
export class EphemeralStock {
  readonly #srp: Pick<SrpPool, 'generatorPowers'>;
  readonly #random: RandomBytes;
  readonly #waitingLimit: number;
  readonly #around: Around | undefined;
  readonly #pairs: Pair[] = [];
  /** Empty while there are pairs; otherwise the batches under way are enough for all of them. */
  readonly #waiting: Caller[] = [];
  #batchesUnderWay = 0;
  #stopped = false;

  /** `waitingLimit`: how many callers may wait for a batch. `around` is told of every take; by default nobody is. */
  constructor(parts: {
    srp: Pick<SrpPool, 'generatorPowers'>;
    random: RandomBytes;
    waitingLimit: number;
    around?: Around;
  }) {
    this.#srp = parts.srp;
    this.#random = parts.random;
    this.#waitingLimit = parts.waitingLimit;
    this.#around = parts.around;
    this.#ask();
  }

  /** A b that nobody else gets, and its B for a verifier (512 bytes). Rejects with SrpQueueFullError or SrpWorkerLostError. */
  take(verifier: Uint8Array): Promise<Ephemeral> {
    const run = () => this.#take(verifier);
    return this.#around === undefined ? run() : this.#around('srp', 'start', run);
  }

  /** How many wait for a batch. */
  get waiting(): number {
    return this.#waiting.length;
  }

  /** Overwrites what is left. Who waits or comes is rejected. */
  stop(): void {
    this.#stopped = true;
    this.#overwritePairs();
    for (const { reject } of this.#waiting.splice(0)) reject(new SrpWorkerLostError());
  }

  async #take(verifier: Uint8Array): Promise<Ephemeral> {
    const { privateB, power } = await this.#nextPair();
    try {
      return { privateB, publicB: serverPublicBOf(verifier, power) };
    } catch (error) {
      privateB.fill(0);
      throw error;
    } finally {
      power.fill(0);
    }
  }

  #nextPair(): Promise<Pair> | Pair {
    if (this.#stopped) throw new SrpWorkerLostError();
    const pair = this.#pairs.shift();
    if (pair !== undefined) {
      this.#ask();
      return pair;
    }
    if (this.#waiting.length >= this.#waitingLimit) throw new SrpQueueFullError();
    return new Promise((resolve, reject) => {
      this.#waiting.push({ resolve, reject });
      this.#ask();
    });
  }

  /** Asks for as many batches as those who wait need, and for one where few pairs are left. */
  #ask(): void {
    const isLow = this.#pairs.length <= LOW_WATER;
    const needed = Math.max(Math.ceil(this.#waiting.length / BATCH), isLow ? 1 : 0);
    while (this.#batchesUnderWay < needed) {
      this.#batchesUnderWay += 1;
      this.#makeBatch().then(
        (batch) => this.#receive(batch),
        (error: unknown) => this.#failed(error),
      );
    }
  }

  async #makeBatch(): Promise<Pair[]> {
    const privateBs = this.#random(BATCH * PRIVATE_EXPONENT_BYTES);
    try {
      const powers = await this.#srp.generatorPowers(privateBs);
      return Array.from({ length: BATCH }, (_, index) => ({
        privateB: partOf(privateBs, index, PRIVATE_EXPONENT_BYTES),
        power: partOf(powers, index, GROUP_ELEMENT_BYTES),
      }));
    } catch (error) {
      privateBs.fill(0);
      throw error;
    }
  }

  #receive(batch: readonly Pair[]): void {
    this.#batchesUnderWay -= 1;
    for (const pair of batch) {
      const caller = this.#waiting.shift();
      if (caller === undefined) this.#pairs.push(pair);
      else caller.resolve(pair);
    }
    if (this.#stopped) this.#overwritePairs();
    else this.#ask();
  }

  /** Rejects those whom the other batches will not serve. The next caller asks again: here it would fail again at once. */
  #failed(error: unknown): void {
    this.#batchesUnderWay -= 1;
    for (const { reject } of this.#waiting.splice(BATCH * this.#batchesUnderWay)) reject(error);
  }

  #overwritePairs(): void {
    for (const { privateB, power } of this.#pairs.splice(0)) {
      privateB.fill(0);
      power.fill(0);
    }
  }
}

const partOf = (bytes: Uint8Array, index: number, length: number): Uint8Array =>
  bytes.subarray(index * length, (index + 1) * length);
