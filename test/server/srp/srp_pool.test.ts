import { randomFillSync } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { Worker } from 'node:worker_threads';
import { expect } from 'chai';
import type { Around } from '../../../src/database/around.ts';
import { bytesToHex, concatBytes, hexToBytes } from '../../../src/protocol/bytes.ts';
import { serverPublicBOf } from '../../../src/protocol/srp.ts';
import { createLogger } from '../../../src/server/log.ts';
import {
  createSrpWorker,
  SrpPool,
  SrpQueueFullError,
  SrpWorkerLostError,
} from '../../../src/server/srp/srp_pool.ts';
import { collectingLog } from '../../support/collecting_log.ts';
import { errorOf } from '../../support/rejection.ts';
import { failingOnce } from '../../support/srp_threads.ts';

const { logins, password_changes } = JSON.parse(
  readFileSync(new URL('../../vectors/protocol-v1.json', import.meta.url), 'utf8'),
);
type Hex = Record<string, string>;
const log = createLogger('silent');
const privateB = (login: Hex = logins[0]) => hexToBytes(login.b!);
const publicB = (power: Uint8Array, login: Hex = logins[0]) =>
  bytesToHex(serverPublicBOf(hexToBytes(login.v!), power));
const check = (login: Hex = logins[0]) => ({
  verifier: hexToBytes(login.v!),
  privateB: privateB(login),
  publicA: hexToBytes(login.A!),
  publicB: hexToBytes(login.B!),
  srpSalt: hexToBytes(login.srp_salt!),
  context: hexToBytes(login.context!),
  clientProof: hexToBytes(login.M1!),
});

describe('the pool of log-in threads', () => {
  let pool: SrpPool;
  afterEach(() => pool.stop());

  it('tells of proofs alone, of one that is refused and of one that is done', async () => {
    const told: [string, string, boolean][] = [];
    const around: Around = async (kind, detail, run) => {
      const outcome = await Promise.allSettled([run()]);
      told.push([kind, detail, outcome[0].status === 'fulfilled']);
      if (outcome[0].status === 'rejected') throw outcome[0].reason;
      return outcome[0].value;
    };
    pool = new SrpPool({ workers: 1, queueLimit: 1, log, around });
    await pool.generatorPowers(privateB());
    await pool.verifyClientProof(check());
    await pool.stop();
    expect(await errorOf(pool.verifyClientProof(check()))).to.be.instanceOf(SrpWorkerLostError);
    expect(told).to.deep.equal([
      ['srp', 'verify', true],
      ['srp', 'verify', false],
    ]);
  });

  it('refuses a job at once when its queue is full, and takes jobs again when it is not', async () => {
    pool = new SrpPool({ workers: 1, queueLimit: 3, log });
    await pool.generatorPowers(privateB());
    const results = await Promise.all(
      Array.from({ length: 10 }, () => errorOf(pool.generatorPowers(privateB()))),
    );
    expect(results.filter((error) => error instanceof SrpQueueFullError)).to.have.length(6);
    expect(results.filter((error) => error === undefined)).to.have.length(4);
    await pool.generatorPowers(privateB());
  });

  for (const [death, onJob] of [
    ['exits', 'process.exit(3)'],
    ['throws', `throw new Error('broken')`],
  ] as const) {
    it(`rejects the job of a thread that ${death}, keeps those that wait, and replaces the thread`, async () => {
      const { log: collecting, lines } = collectingLog();
      pool = new SrpPool({
        workers: 1,
        queueLimit: 10,
        log: collecting,
        createWorker: failingOnce(onJob),
      });
      const lost = errorOf(pool.generatorPowers(privateB()));
      const waiting = pool.generatorPowers(privateB());
      expect(await lost).to.be.instanceOf(SrpWorkerLostError);
      expect(publicB(await waiting)).to.equal(logins[0].B);
      expect(lines.filter((line) => line.includes('died'))).to.have.length(1);
    });
  }

  it('begins with one thread, and starts others when several jobs wait, up to its number', async () => {
    let made = 0;
    const createWorker = () => {
      made += 1;
      return createSrpWorker();
    };
    pool = new SrpPool({ workers: 3, queueLimit: 100, log, createWorker });
    for (let round = 0; round < 3; round += 1)
      await Promise.all([pool.generatorPowers(privateB()), pool.generatorPowers(privateB())]);
    expect(made).to.equal(1);
    for (let round = 0; round < 3; round += 1) {
      await Promise.all(Array.from({ length: 100 }, () => pool.generatorPowers(privateB())));
    }
    expect(made).to.equal(3);
  });

  it('is idle while no job waits or runs', async () => {
    pool = new SrpPool({ workers: 1, queueLimit: 10, log });
    expect(pool.isIdle).to.equal(true);
    const first = pool.generatorPowers(privateB());
    const second = pool.generatorPowers(privateB());
    expect(pool.isIdle).to.equal(false);
    await first;
    expect(pool.isIdle).to.equal(false);
    await second;
    expect(pool.isIdle).to.equal(true);
  });

  it('tries again when a thread cannot be started', async () => {
    let tries = 0;
    const createWorker = () => {
      tries += 1;
      if (tries < 3) throw new Error('no threads left');
      return createSrpWorker();
    };
    pool = new SrpPool({ workers: 1, queueLimit: 10, log, createWorker });
    expect(publicB(await pool.generatorPowers(privateB()))).to.equal(logins[0].B);
    expect(tries).to.equal(3);
  });

  it('rejects a job that the arithmetic refuses, and goes on with the thread', async () => {
    let made = 0;
    const createWorker = () => {
      made += 1;
      return createSrpWorker();
    };
    pool = new SrpPool({ workers: 1, queueLimit: 10, log, createWorker });
    expect(await errorOf(pool.generatorPowers(new Uint8Array(39)))).to.be.instanceOf(Error);
    await pool.generatorPowers(privateB());
    expect(made).to.equal(1);
  });

  it('warns when a thread falls back to the slow arithmetic', async () => {
    const { log: collecting, lines } = collectingLog();
    const createWorker = () =>
      new Worker(
        `const { parentPort } = require('node:worker_threads');
         parentPort.postMessage({ kind: 'ready', arithmetic: 'bigint' });
         parentPort.on('message', () => parentPort.postMessage({ kind: 'failed', message: 'x' }));`,
        { eval: true },
      );
    pool = new SrpPool({ workers: 1, queueLimit: 10, log: collecting, createWorker });
    await errorOf(pool.generatorPowers(privateB()));
    expect(lines.filter((line) => line.includes('slow arithmetic'))).to.have.length(1);
  });

  it('rejects what waits and what comes once it is stopped', async () => {
    pool = new SrpPool({ workers: 1, queueLimit: 10, log });
    const waiting = [errorOf(pool.generatorPowers(privateB())), errorOf(pool.generatorPowers(privateB()))];
    await pool.stop();
    for (const error of await Promise.all(waiting)) expect(error).to.be.instanceOf(SrpWorkerLostError);
    expect(await errorOf(pool.generatorPowers(privateB()))).to.be.instanceOf(SrpWorkerLostError);
  });

  it('moves a job to its thread, and keeps nothing of it', async () => {
    const thread = createSrpWorker();
    const posted: ArrayBuffer[] = [];
    const postMessage = thread.postMessage.bind(thread);
    thread.postMessage = (message: ArrayBuffer, transfer) => {
      posted.push(message);
      postMessage(message, transfer as ArrayBuffer[]);
    };
    pool = new SrpPool({ workers: 1, queueLimit: 10, log, createWorker: () => thread });
    const input = privateB();
    const [power, proof] = [await pool.generatorPowers(input), await pool.verifyClientProof(check())];
    expect(posted.map(({ detached }) => detached)).to.deep.equal([true, true]);
    expect(input, 'the caller’s own bytes stay').to.deep.equal(privateB());
    expect([publicB(power), proof.ok]).to.deep.equal([logins[0].B, true]);
  });

  it('answers many jobs, each its own', async () => {
    pool = new SrpPool({ workers: 2, queueLimit: 100, log });
    const handshakes = [
      ...logins,
      ...password_changes.map(({ current, authenticate }: Record<string, Hex>) => ({
        ...current,
        ...authenticate,
      })),
    ];
    const powers = await Promise.all(handshakes.map((login) => pool.generatorPowers(privateB(login))));
    expect(powers.map((power, index) => publicB(power, handshakes[index]))).to.deep.equal(
      handshakes.map(({ B }) => B),
    );
    expect(await pool.generatorPowers(concatBytes(...handshakes.map(privateB)))).to.deep.equal(
      concatBytes(...powers),
    );
    const proofs = await Promise.all(handshakes.map((login) => pool.verifyClientProof(check(login))));
    for (const [index, proof] of proofs.entries()) {
      if (!proof.ok) throw new Error('the proof was refused');
      expect(bytesToHex(proof.sessionKey)).to.equal(handshakes[index].K);
      expect(bytesToHex(proof.serverProof)).to.equal(handshakes[index].M2);
    }
    const wrong = { ...check(), clientProof: randomFillSync(new Uint8Array(32)) };
    expect(await pool.verifyClientProof(wrong)).to.deep.equal({ ok: false });
  });
});
