import { expect } from 'chai';
import {
  type Argon2idAnswer,
  argon2idInWasm,
  argon2idInWorker,
  serveArgon2id,
} from '../../src/client/argon2id_browser.ts';
import { utf8 } from '../../src/protocol/bytes.ts';
import { rejection } from '../support/rejection.ts';

const salt = new Uint8Array(32).fill(3);
const kdf = { algorithm: 1, memoryKib: 19_456, iterations: 2, parallelism: 1 };

/** The two ends of a worker in one thread. */
function fakeWorker(serve: (scope: Parameters<typeof serveArgon2id>[0]) => void) {
  const worker = {
    terminated: 0,
    onmessage: (_event: { data: Argon2idAnswer }) => {},
    onerror: (_event: { message: string }) => {},
    postMessage(data: never) {
      scope.onmessage!({ data: structuredClone(data) } as never);
    },
    terminate() {
      worker.terminated += 1;
    },
  };
  const scope: Parameters<typeof serveArgon2id>[0] = {
    onmessage: null,
    postMessage: (data) => worker.onmessage({ data: structuredClone(data) }),
  };
  serve(scope);
  return worker;
}

describe('Argon2id in a worker', () => {
  it('rejects and ends the worker when the derivation fails', async () => {
    const worker = fakeWorker(serveArgon2id);
    const argon2id = argon2idInWorker(() => worker as never);
    await rejection(argon2id(utf8('p'), new Uint8Array(1), kdf));
    expect(worker.terminated).to.equal(1);
  });

  it('rejects when the worker breaks', async () => {
    const worker = fakeWorker((scope) => {
      scope.onmessage = () => worker.onerror({ message: 'no script' });
    });
    await rejection(argon2idInWorker(() => worker as never)(utf8('p'), salt, kdf));
    expect(worker.terminated).to.equal(1);
  });

  it('derives what it derives on the spot, and ends the worker', async () => {
    const worker = fakeWorker(serveArgon2id);
    const root = await argon2idInWorker(() => worker as never)(utf8('p'), salt, kdf);
    expect(root).to.deep.equal(await argon2idInWasm(utf8('p'), salt, kdf));
    expect(worker.terminated).to.equal(1);
  });
});
