import { randomBytes } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { expect } from 'chai';
import type { Around } from '../../../src/database/around.ts';
import { bytesToHex, concatBytes, hexToBytes } from '../../../src/protocol/bytes.ts';
import { modexp, padGroupElement, serverPublicB } from '../../../src/protocol/srp.ts';
import { createLogger } from '../../../src/server/log.ts';
import { EphemeralStock } from '../../../src/server/srp/ephemeral_stock.ts';
import { createServerModexp } from '../../../src/server/srp/server_modexp.ts';
import { generatorPowers } from '../../../src/server/srp/srp_arithmetic.ts';
import { SrpPool, SrpQueueFullError, SrpWorkerLostError } from '../../../src/server/srp/srp_pool.ts';
import { eventually } from '../../support/eventually.ts';
import { errorOf } from '../../support/rejection.ts';
import { failingOnce } from '../../support/srp_threads.ts';

const { logins, password_changes } = JSON.parse(
  readFileSync(new URL('../../vectors/protocol-v1.json', import.meta.url), 'utf8'),
);
const log = createLogger('silent');
const random = (length: number) => new Uint8Array(randomBytes(length));
const verifier = padGroupElement(9n);
const { power } = createServerModexp();

/** Everything that was promised so far is done. */
const settled = () => new Promise((resolve) => setImmediate(resolve));

/** Threads that finish a job, or lose it, when the test says so. They are idle or not as the test says. */
class Threads {
  /** Every b that was asked for, in hex. */
  readonly privateBs: string[] = [];
  /** Every buffer that a job was asked with or answered with. */
  readonly buffers: Uint8Array[] = [];
  readonly #underWay: { end(): void; lose(): void }[] = [];
  /** How many b each job was asked with. */
  readonly asked: number[] = [];
  isIdle = true;

  generatorPowers(privateBs: Uint8Array): Promise<Uint8Array> {
    this.asked.push(privateBs.length / 40);
    this.privateBs.push(...bytesToHex(privateBs).match(/.{80}/g)!);
    this.buffers.push(privateBs);
    return new Promise((resolve, reject) => {
      this.#underWay.push({
        end: () => {
          const powers = generatorPowers(privateBs, power);
          this.buffers.push(powers);
          resolve(powers);
        },
        lose: () => reject(new SrpWorkerLostError()),
      });
    });
  }

  async end(): Promise<void> {
    this.#underWay.shift()!.end();
    await settled();
  }

  async lose(): Promise<void> {
    this.#underWay.shift()!.lose();
    await settled();
  }
}

describe('the stock of ephemeral keys', () => {
  let threads: Threads;
  let stock: EphemeralStock;
  const open = () => {
    threads = new Threads();
    stock = new EphemeralStock({ srp: threads, random });
  };
  const take = (count: number) => Array.from({ length: count }, () => stock.take(verifier));

  it('rejects with what a job of its own was lost by, and works afterwards', async () => {
    open();
    await threads.lose();
    const [lost] = take(1).map(errorOf);
    await threads.lose();
    expect(await lost).to.be.instanceOf(SrpWorkerLostError);
    const [next] = take(1);
    await threads.end();
    await next;
    expect(threads.asked).to.deep.equal([8, 1, 1, 8]);
    await threads.end();
    await Promise.all(take(8));
  });

  it('asks for no batch by itself after one was lost', async () => {
    open();
    await threads.lose();
    expect(threads.asked).to.deep.equal([8]);
    const [one] = take(1);
    await threads.end();
    await one;
    expect(threads.asked).to.deep.equal([8, 1, 8]);
  });

  it('rejects with what the randomness failed by, and works afterwards', async () => {
    threads = new Threads();
    const broken = new Error('no randomness');
    let isBroken = true;
    stock = new EphemeralStock({
      srp: threads,
      random: (length) => {
        if (isBroken) throw broken;
        return random(length);
      },
    });
    expect(await errorOf(stock.take(verifier))).to.equal(broken);
    isBroken = false;
    const [next] = take(1);
    await threads.end();
    await next;
  });

  it('rejects who comes once it is stopped', async () => {
    open();
    await threads.end();
    stock.stop();
    expect(await errorOf(stock.take(verifier))).to.be.instanceOf(SrpWorkerLostError);
  });

  it('asks for two batches at the start, one after the other, and for another when half of them is taken', async () => {
    open();
    expect(threads.asked).to.deep.equal([8]);
    await threads.end();
    expect(threads.asked).to.deep.equal([8, 8]);
    await threads.end();
    await Promise.all(take(7));
    expect(threads.asked).to.deep.equal([8, 8]);
    await Promise.all(take(9));
    expect(threads.asked).to.deep.equal([8, 8, 8]);
    await threads.end();
    await Promise.all(take(8));
    expect(threads.asked.filter((count) => count !== 8)).to.deep.equal([]);
  });

  it('asks for no batch while the threads have other work, and has each b made by itself once none is left', async () => {
    open();
    threads.isIdle = false;
    await threads.end();
    await Promise.all(take(8));
    expect(threads.asked).to.deep.equal([8]);
    const callers = take(2);
    expect(threads.asked).to.deep.equal([8, 1, 1]);
    await threads.end();
    await threads.end();
    await Promise.all(callers);
    threads.isIdle = true;
    const [last] = take(1);
    await threads.end();
    await last;
    expect(threads.asked).to.deep.equal([8, 1, 1, 1, 8]);
  });

  it('serves in the order in which callers come, each with a b of its own and the B of its verifier', async () => {
    open();
    const verifiers = Array.from({ length: 24 }, (_, index) => padGroupElement(BigInt(index + 2)));
    const takeAll = (those: Uint8Array[]) => those.map((v) => stock.take(v));
    await threads.end();
    await threads.end();
    const made = takeAll(verifiers.slice(0, 16));
    await threads.end();
    const taken = await Promise.all([...made, ...takeAll(verifiers.slice(16))]);
    const privateBs = taken.map(({ privateB }) => bytesToHex(privateB));
    expect(privateBs).to.deep.equal(threads.privateBs.slice(0, 24));
    expect(new Set(privateBs).size).to.equal(24);
    for (const [index, { privateB, publicB }] of taken.entries())
      expect(bytesToHex(publicB)).to.equal(bytesToHex(serverPublicB(verifiers[index]!, privateB, power)));
  });

  it('keeps nothing of a pair that was taken but the caller’s b', async () => {
    open();
    await threads.end();
    const { privateB } = await stock.take(verifier);
    const [privateBs, powers] = threads.buffers as [Uint8Array, Uint8Array];
    expect(bytesToHex(privateBs.subarray(0, 40))).to.equal(bytesToHex(privateB));
    privateB.fill(0);
    expect(privateBs.subarray(0, 40)).to.deep.equal(new Uint8Array(40));
    expect(powers.subarray(0, 512)).to.deep.equal(new Uint8Array(512));
    expect(powers.subarray(512, 1024)).not.to.deep.equal(new Uint8Array(512));
  });

  it('overwrites a pair whose verifier it refuses', async () => {
    open();
    await threads.end();
    expect(await errorOf(stock.take(new Uint8Array(511)))).to.be.instanceOf(Error);
    expect(threads.buffers[0]!.subarray(0, 40)).to.deep.equal(new Uint8Array(40));
  });

  it('overwrites what is left when it is stopped, and what comes or is lost then', async () => {
    for (const last of ['end', 'lose'] as const) {
      open();
      await threads.end();
      stock.stop();
      await threads[last]();
      expect(threads.asked).to.deep.equal([8, 8]);
      for (const buffer of threads.buffers) expect(buffer.every((byte) => byte === 0)).to.equal(true);
    }
  });

  it('overwrites the b of a batch that is lost', async () => {
    open();
    await threads.lose();
    expect(threads.buffers[0]).to.deep.equal(new Uint8Array(320));
  });

  it('tells of every take, of one that is refused, too', async () => {
    const told: [string, string, boolean][] = [];
    const around: Around = async (kind, detail, run) => {
      const [outcome] = await Promise.allSettled([run()]);
      told.push([kind, detail, outcome.status === 'fulfilled']);
      if (outcome.status === 'rejected') throw outcome.reason;
      return outcome.value;
    };
    threads = new Threads();
    stock = new EphemeralStock({ srp: threads, random, around });
    const callers = [errorOf(stock.take(verifier)), stock.take(verifier)];
    await threads.end();
    await threads.lose();
    await threads.end();
    await Promise.all(callers);
    expect(told).to.deep.equal([
      ['srp', 'start', false],
      ['srp', 'start', true],
    ]);
  });

  describe('on the threads of log-ins', () => {
    let pool: SrpPool;
    afterEach(() => {
      stock.stop();
      return pool.stop();
    });

    it('has the known answers', async () => {
      const handshakes: { v: string; b: string; B: string }[] = [
        ...logins,
        ...password_changes.map(({ current, authenticate }: Record<string, object>) => ({
          ...current,
          ...authenticate,
        })),
      ];
      const known = concatBytes(...handshakes.map(({ b }) => hexToBytes(b)));
      let used = 0;
      const knownFirst = (length: number) => {
        const next = concatBytes(known.subarray(used, used + length), random(length)).slice(0, length);
        used += length;
        return next;
      };
      pool = new SrpPool({ workers: 1, queueLimit: 10, log });
      stock = new EphemeralStock({ srp: pool, random: knownFirst });
      const taken = [];
      for (const { v } of handshakes) {
        await eventually(() => pool.isIdle);
        taken.push(await stock.take(hexToBytes(v)));
      }
      expect(
        taken.map(({ privateB, publicB }) => ({ b: bytesToHex(privateB), B: bytesToHex(publicB) })),
      ).to.deep.equal(handshakes.map(({ b, B }) => ({ b, B })));
      const { privateB, publicB } = await stock.take(verifier);
      expect(bytesToHex(publicB)).to.equal(bytesToHex(serverPublicB(verifier, privateB, modexp)));
    });

    it('serves by the next thread when one died with a batch', async () => {
      let made = 0;
      const thread = failingOnce('process.exit(3)');
      const createWorker = () => {
        made += 1;
        return thread();
      };
      pool = new SrpPool({ workers: 1, queueLimit: 10, log, createWorker });
      stock = new EphemeralStock({ srp: pool, random });
      expect((await stock.take(verifier)).publicB).to.have.length(512);
      expect(made).to.equal(2);
    });

    it('refuses as the queue does when that is full', async () => {
      pool = new SrpPool({ workers: 1, queueLimit: 3, log });
      stock = new EphemeralStock({ srp: pool, random });
      const errors = await Promise.all(take(4).map(errorOf));
      expect(errors.filter((error) => error instanceof SrpQueueFullError)).to.have.length(2);
      expect(errors.filter((error) => error === undefined)).to.have.length(2);
    });
  });
});
