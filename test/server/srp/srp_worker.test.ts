import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { Worker } from 'node:worker_threads';
import { expect } from 'chai';
import { bytesToHex, hexToBytes } from '../../../src/protocol/bytes.ts';

const { logins } = JSON.parse(
  readFileSync(new URL('../../vectors/protocol-v1.json', import.meta.url), 'utf8'),
);

describe('a log-in thread', () => {
  it('says that it is ready with OpenSSL’s arithmetic, answers a job and reports one that fails', async () => {
    const worker = new Worker(new URL('../../../src/server/srp/srp_worker.ts', import.meta.url));
    try {
      expect((await once(worker, 'message'))[0]).to.deep.equal({ kind: 'ready', arithmetic: 'openssl' });
      const input = { verifier: hexToBytes(logins[0].v), privateB: hexToBytes(logins[0].b) };
      worker.postMessage({ kind: 'start', input });
      const [done] = await once(worker, 'message');
      expect(done.kind).to.equal('done');
      expect(bytesToHex(done.output.publicB)).to.equal(logins[0].B);
      worker.postMessage({ kind: 'start', input: { privateB: new Uint8Array(40) } });
      expect((await once(worker, 'message'))[0].kind).to.equal('failed');
    } finally {
      await worker.terminate();
    }
  });
});
