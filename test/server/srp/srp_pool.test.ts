import { readFileSync } from 'node:fs';
import { expect } from 'chai';
import { bytesToHex, hexToBytes } from '../../../src/protocol/bytes.ts';
import { createLogger } from '../../../src/server/log.ts';
import { SrpPool, SrpQueueFullError, SrpWorkerLostError } from '../../../src/server/srp/srp_pool.ts';

const { logins } = JSON.parse(
  readFileSync(new URL('../../vectors/protocol-v1.json', import.meta.url), 'utf8'),
);
const log = createLogger('silent');
const start = () => ({ verifier: hexToBytes(logins[0].v), privateB: hexToBytes(logins[0].b) });

const errorOf = (promise: Promise<unknown>) =>
  promise.then(
    () => undefined,
    (error: unknown) => error,
  );

describe('the pool of log-in threads', () => {
  let pool: SrpPool;
  afterEach(() => pool.stop());

  it('answers many jobs, each its own', async () => {
    pool = new SrpPool({ workers: 2, queueLimit: 100, log });
    const answers = await Promise.all(
      logins.map((login: Record<string, string>) =>
        pool.startHandshake({ verifier: hexToBytes(login.v!), privateB: hexToBytes(login.b!) }),
      ),
    );
    expect(answers.map(({ publicB }) => bytesToHex(publicB))).to.deep.equal(
      logins.map(({ B }: { B: string }) => B),
    );
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

  it('rejects the job of a thread that dies, and replaces the thread', async () => {
    pool = new SrpPool({ workers: 1, queueLimit: 10, log });
    await pool.startHandshake(start());
    const lost = errorOf(pool.startHandshake(start()));
    await pool.killThreads();
    expect(await lost).to.be.instanceOf(SrpWorkerLostError);
    const { publicB } = await pool.startHandshake(start());
    expect(bytesToHex(publicB)).to.equal(logins[0].B);
  });

  it('rejects what waits and what comes once it is stopped', async () => {
    pool = new SrpPool({ workers: 1, queueLimit: 10, log });
    const waiting = [errorOf(pool.startHandshake(start())), errorOf(pool.startHandshake(start()))];
    await pool.stop();
    for (const error of await Promise.all(waiting)) expect(error).to.be.instanceOf(SrpWorkerLostError);
    expect(await errorOf(pool.startHandshake(start()))).to.be.instanceOf(SrpWorkerLostError);
  });
});
