/**
 * The server's ephemeral keys, made ahead of the log-ins that take them: g^b does not depend on the account, so while the
 * threads have nothing else to do they compute it for several b in one job, and a log-in adds its k*v here. A job for each
 * log-in costs it some 6 % more; that is what it costs while there are so many of them that the threads are never idle.
 *
 * Every b is fresh, and serves one attempt. At most 16 wait, in the memory of the process alone. g^b is overwritten
 * when it is taken, b by who took it, and what is left when the server stops.
 */
import type { Around } from '../../database/around.ts';
import type { RandomBytes } from '../../protocol/bytes.ts';
import { GROUP_ELEMENT_BYTES, PRIVATE_EXPONENT_BYTES } from '../../protocol/sizes.ts';
import { serverPublicBOf } from '../../protocol/srp.ts';
import { type SrpPool, SrpWorkerLostError } from './srp_pool.ts';

/** How many g^b a job for the stock computes: some 6 ms, which is what a proof that comes meanwhile may wait for its thread. */
const BATCH = 8;

/** With so many left, or fewer, a batch is asked for. */
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

/** Pairs of b and g^b. The first batch is asked for at once, so that it is there when the first log-in comes, as a rule. */
export class EphemeralStock {
  readonly #srp: Pick<SrpPool, 'generatorPowers' | 'isIdle'>;
  readonly #random: RandomBytes;
  readonly #around: Around | undefined;
  readonly #pairs: Pair[] = [];
  #isFilling = false;
  #stopped = false;

  /** `around` is told of every take; by default nobody is. */
  constructor(parts: {
    srp: Pick<SrpPool, 'generatorPowers' | 'isIdle'>;
    random: RandomBytes;
    around?: Around;
  }) {
    this.#srp = parts.srp;
    this.#random = parts.random;
    this.#around = parts.around;
    this.#fill();
  }

  /**
   * A b that nobody else gets, and its B for a verifier (512 bytes). Rejects with SrpQueueFullError or SrpWorkerLostError,
   * as a job of its own does.
   */
  take(verifier: Uint8Array): Promise<Ephemeral> {
    const run = () => this.#take(verifier);
    return this.#around === undefined ? run() : this.#around('srp', 'start', run);
  }

  /** Overwrites what is left. Who comes then is rejected. */
  stop(): void {
    this.#stopped = true;
    this.#overwrite();
  }

  async #take(verifier: Uint8Array): Promise<Ephemeral> {
    if (this.#stopped) throw new SrpWorkerLostError();
    const { privateB, power } = this.#pairs.shift() ?? (await this.#make(1))[0]!;
    try {
      return { privateB, publicB: serverPublicBOf(verifier, power) };
    } catch (error) {
      privateB.fill(0);
      throw error;
    } finally {
      power.fill(0);
      this.#fill();
    }
  }

  /** Asks for a batch where few pairs are left and nobody's proof would wait for it. */
  #fill(): void {
    if (this.#isFilling || this.#stopped || this.#pairs.length > LOW_WATER || !this.#srp.isIdle) return;
    this.#isFilling = true;
    this.#make(BATCH).then(
      (batch) => {
        this.#isFilling = false;
        this.#pairs.push(...batch);
        if (this.#stopped) this.#overwrite();
        else this.#fill();
      },
      () => {
        // The next take asks again: here it might fail for ever.
        this.#isFilling = false;
      },
    );
  }

  async #make(count: number): Promise<Pair[]> {
    const privateBs = this.#random(count * PRIVATE_EXPONENT_BYTES);
    try {
      const powers = await this.#srp.generatorPowers(privateBs);
      return Array.from({ length: count }, (_, index) => ({
        privateB: partOf(privateBs, index, PRIVATE_EXPONENT_BYTES),
        power: partOf(powers, index, GROUP_ELEMENT_BYTES),
      }));
    } catch (error) {
      privateBs.fill(0);
      throw error;
    }
  }

  #overwrite(): void {
    for (const { privateB, power } of this.#pairs.splice(0)) {
      privateB.fill(0);
      power.fill(0);
    }
  }
}

const partOf = (bytes: Uint8Array, index: number, length: number): Uint8Array =>
  bytes.subarray(index * length, (index + 1) * length);
