import { once } from 'node:events';
import { readdirSync, readFileSync } from 'node:fs';
import { getPriority } from 'node:os';
import type { Worker } from 'node:worker_threads';
import { expect } from 'chai';
import { bytesToHex, hexToBytes } from '../../../src/protocol/bytes.ts';
import { serverPublicBOf } from '../../../src/protocol/srp.ts';
import { packJob, unpackOutcome } from '../../../src/server/srp/srp_messages.ts';
import { createSrpWorker } from '../../../src/server/srp/srp_pool.ts';

const { logins } = JSON.parse(
  readFileSync(new URL('../../vectors/protocol-v1.json', import.meta.url), 'utf8'),
);

describe('a log-in thread', () => {
  let worker: Worker;
  const priority = getPriority(process.pid);
  let ready: unknown;

  before(async () => {
    worker = createSrpWorker();
    [ready] = await once(worker, 'message');
  });

  after(() => worker.terminate());

  const answerTo = async (job: unknown) => {
    worker.postMessage(job);
    const [answer] = await once(worker, 'message');
    return answer;
  };

  it('reports a job that fails', async () => {
    const job = packJob({ kind: 'powers', privateBs: new Uint8Array(39) });
    expect((await answerTo(job)).kind).to.equal('failed');
  });

  it('says that it is ready with OpenSSL’s arithmetic', () => {
    expect(ready).to.deep.equal({ kind: 'ready', arithmetic: 'openssl' });
  });

  it('lowers its own priority and no other', function () {
    if (process.platform !== 'linux' || priority >= 10) this.skip();
    const priorities = readdirSync('/proc/self/task').map((thread) => getPriority(Number(thread)));
    expect(new Set(priorities)).to.deep.equal(new Set([priority, 10]));
    expect(getPriority(process.pid)).to.equal(priority);
  });

  it('answers a job', async () => {
    const job = packJob({ kind: 'powers', privateBs: hexToBytes(logins[0].b) });
    const outcome = unpackOutcome(await answerTo(job));
    if (!('powers' in outcome)) throw new Error('another outcome');
    expect(bytesToHex(serverPublicBOf(hexToBytes(logins[0].v), outcome.powers))).to.equal(logins[0].B);
  });

  it('overwrites a job once it is done, whatever came of it', async () => {
    for (const length of [80, 79]) {
      const job = packJob({ kind: 'powers', privateBs: new Uint8Array(length).fill(7) });
      // Shared memory shows what the thread does with what it was given.
      const shared = new Uint8Array(new SharedArrayBuffer(job.byteLength));
      shared.set(new Uint8Array(job));
      await answerTo(shared.buffer);
      expect(
        shared.every((byte) => byte === 0),
        `${length} bytes of b`,
      ).to.equal(true);
    }
  });
});
