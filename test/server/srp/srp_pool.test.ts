import { randomFillSync } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { Worker } from 'node:worker_threads';
import { expect } from 'chai';
import type { Around } from '../../../src/database/around.ts';
import { bytesToHex, hexToBytes } from '../../../src/protocol/bytes.ts';
import { createLogger } from '../../../src/server/log.ts';
import {
  createSrpWorker,
  SrpPool,
  SrpQueueFullError,
  SrpWorkerLostError,
} from '../../../src/server/srp/srp_pool.ts';
import { collectingLog } from '../../support/collecting_log.ts';

const { logins, password_changes } = JSON.parse(
  readFileSync(new URL('../../vectors/protocol-v1.json', import.meta.url), 'utf8'),
);
type Hex = Record<string, string>;
const log = createLogger('silent');
const start = (login: Hex = logins[0]) => ({
  verifier: hexToBytes(login.v!),
  privateB: hexToBytes(login.b!),
});
const check = (login: Hex = logins[0]) => ({
  ...start(login),
  publicA: hexToBytes(login.A!),
  publicB: hexToBytes(login.B!),
  srpSalt: hexToBytes(login.srp_salt!),
  context: hexToBytes(login.context!),
  clientProof: hexToBytes(login.M1!),
});

const errorOf = (promise: Promise<unknown>) =>
  promise.then(
    () => undefined,
    (error: unknown) => error,
  );

/** Threads that say they are ready and then do `onJob`; the next ones are real. */
const failingOnce = (onJob: string, times = 1) => {
  let made = 0;
  return () => {
    made += 1;
    if (made > times) return createSrpWorker();
    return new Worker(
      `const { parentPort } = require('node:worker_threads');
       parentPort.postMessage({ kind: 'ready', arithmetic: 'openssl' });
       parentPort.on('message', () => { ${onJob} });`,
      { eval: true },
    );
  };
};

describe('the pool of log-in threads', () => {
  let pool: SrpPool;
  afterEach(() => pool.stop());

  it('tells of a refused job and of one that is done, by its kind', async () => {
    const told: [string, string, boolean][] = [];
    const around: Around = async (kind, detail, run) => {
      const outcome = await Promise.allSettled([run()]);
      told.push([kind, detail, outcome[0].status === 'fulfilled']);
      if (outcome[0].status === 'rejected') throw outcome[0].reason;
      return outcome[0].value;
    };
    pool = new SrpPool({ workers: 1, queueLimit: 1, log, around });
    await pool.startHandshake(start());
    await pool.verifyClientProof(check());
    await pool.stop();
    expect(await errorOf(pool.startHandshake(start()))).to.be.instanceOf(SrpWorkerLostError);
    expect(told).to.deep.equal([
      ['srp', 'start', true],
      ['srp', 'verify', true],
      ['srp', 'start', false],
    ]);
  });

  it('refuses a job at once when its queue is full, and takes jobs again when it is not', async () => {
    pool = new SrpPool({ workers: 1, queueLimit: 3, log });
    await pool.startHandshake(start());
    const results = await Promise.all(
      Array.from({ length: 10 }, () => errorOf(pool.startHandshake(start()))),
    );
    expect(results.filter((error) => error instanceof SrpQueueFullError)).to.have.length(6);
    expect(results.filter((error) => error === undefined)).to.have.length(4);
    await pool.startHandshake(start());
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
      const lost = errorOf(pool.startHandshake(start()));
      const waiting = pool.startHandshake(start());
      expect(await lost).to.be.instanceOf(SrpWorkerLostError);
      expect(bytesToHex((await waiting).publicB)).to.equal(logins[0].B);
      expect(lines.filter((line) => line.includes('died'))).to.have.length(1);
    });
  }

  it('begins with one thread, and starts others when jobs wait, up to its number', async () => {
    let made = 0;
    const createWorker = () => {
      made += 1;
      return createSrpWorker();
    };
    pool = new SrpPool({ workers: 3, queueLimit: 100, log, createWorker });
    for (let round = 0; round < 3; round += 1) await pool.startHandshake(start());
    expect(made).to.equal(1);
    for (let round = 0; round < 3; round += 1) {
      await Promise.all(Array.from({ length: 100 }, () => pool.startHandshake(start())));
    }
    expect(made).to.equal(3);
  });

  it('tries again when a thread cannot be started', async () => {
    let tries = 0;
    const createWorker = () => {
      tries += 1;
      if (tries < 3) throw new Error('no threads left');
      return createSrpWorker();
    };
    pool = new SrpPool({ workers: 1, queueLimit: 10, log, createWorker });
    expect(bytesToHex((await pool.startHandshake(start())).publicB)).to.equal(logins[0].B);
    expect(tries).to.equal(3);
  });

  it('rejects a job that the arithmetic refuses, and goes on with the thread', async () => {
    let made = 0;
    const createWorker = () => {
      made += 1;
      return createSrpWorker();
    };
    pool = new SrpPool({ workers: 1, queueLimit: 10, log, createWorker });
    const short = { ...start(), privateB: new Uint8Array(39) };
    expect(await errorOf(pool.startHandshake(short))).to.be.instanceOf(Error);
    await pool.startHandshake(start());
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
    await errorOf(pool.startHandshake(start()));
    expect(lines.filter((line) => line.includes('slow arithmetic'))).to.have.length(1);
  });

  it('rejects what waits and what comes once it is stopped', async () => {
    pool = new SrpPool({ workers: 1, queueLimit: 10, log });
    const waiting = [errorOf(pool.startHandshake(start())), errorOf(pool.startHandshake(start()))];
    await pool.stop();
    for (const error of await Promise.all(waiting)) expect(error).to.be.instanceOf(SrpWorkerLostError);
    expect(await errorOf(pool.startHandshake(start()))).to.be.instanceOf(SrpWorkerLostError);
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
    const input = start();
    const [started, proof] = [await pool.startHandshake(input), await pool.verifyClientProof(check())];
    expect(posted.map(({ detached }) => detached)).to.deep.equal([true, true]);
    expect(input, 'the caller’s own bytes stay').to.deep.equal(start());
    expect([bytesToHex(started.publicB), proof.ok]).to.deep.equal([logins[0].B, true]);
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
    const starts = await Promise.all(handshakes.map((login) => pool.startHandshake(start(login))));
    expect(starts.map(({ publicB }) => bytesToHex(publicB))).to.deep.equal(handshakes.map(({ B }) => B));
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
