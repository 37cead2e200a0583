/**
 * Argon2id (RFC 9106, version 0x13) in WebAssembly. A page's Content-Security-Policy must allow 'wasm-unsafe-eval'. It works on
 * the thread that it is called on; argon2idInWorker keeps a page responsive.
 */
import { argon2id } from 'hash-wasm';
import type { Argon2id } from '../protocol/keys.ts';
import { KEY_BYTES } from '../protocol/sizes.ts';

/** Argon2id on the calling thread: 32 bytes. */
export const argon2idInWasm: Argon2id = (password, salt, { memoryKib, iterations, parallelism }) =>
  argon2id({
    password,
    salt,
    memorySize: memoryKib,
    iterations,
    parallelism,
    hashLength: KEY_BYTES,
    outputType: 'binary',
  });

/** What is sent to a worker. */
export type Argon2idJob = Parameters<Argon2id>;
/** What comes back. */
export type Argon2idAnswer = { readonly root: Uint8Array } | { readonly failure: string };

/**
 * Argon2id in a worker of its own for every derivation, ended afterwards: with it goes the memory that held the password.
 * `createWorker` makes one whose script calls serveArgon2id, as a bundler wants it written.
 */
export function argon2idInWorker(createWorker: () => Worker): Argon2id {
  return (password, salt, kdf) =>
    new Promise((resolve, reject) => {
      const worker = createWorker();
      const end = (settle: () => void) => {
        worker.terminate();
        settle();
      };
      worker.onerror = (event) =>
        end(() => reject(new Error(`the Argon2id worker failed: ${event.message}`)));
      worker.onmessage = ({ data }: MessageEvent<Argon2idAnswer>) =>
        end(() => ('root' in data ? resolve(data.root) : reject(new Error(data.failure))));
      const { algorithm, memoryKib, iterations, parallelism } = kdf;
      const job: Argon2idJob = [password, salt, { algorithm, memoryKib, iterations, parallelism }];
      worker.postMessage(job);
    });
}

/** The worker's side: to be called once in its script, with `self`. */
export function serveArgon2id(scope: {
  onmessage: ((event: MessageEvent<Argon2idJob>) => void) | null;
  postMessage(answer: Argon2idAnswer): void;
}): void {
  scope.onmessage = ({ data }) => {
    argon2idInWasm(...data).then(
      (root) => scope.postMessage({ root }),
      (error: unknown) => scope.postMessage({ failure: String(error) }),
    );
  };
}
