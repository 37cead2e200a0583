/** What the library takes from where it runs: Argon2id, randomness, a clock and a way to wait. */
import type { RandomBytes } from '../protocol/bytes.ts';
import type { Argon2id } from '../protocol/keys.ts';

/** What an entry point or a test gives. */
export interface PlatformOptions {
  readonly argon2id: Argon2id;
  /** Secure random bytes. Default: crypto.getRandomValues. */
  readonly random?: RandomBytes;
  /** Milliseconds that never jump back. Default: performance.now. */
  readonly now?: () => number;
  /** Resolves after so many milliseconds; rejects when the signal is aborted. Default: setTimeout. */
  readonly sleep?: (milliseconds: number, signal?: AbortSignal) => Promise<void>;
}

/** The options with all that was left out. */
export type Platform = Required<PlatformOptions>;

/** The options with what browsers and Node have in common. */
export function completePlatform(options: PlatformOptions): Platform {
  return { random: randomBytes, now: () => performance.now(), sleep, ...options };
}

/** The most bytes that getRandomValues gives at once. */
const RANDOM_CHUNK = 65_536;

function randomBytes(length: number): Uint8Array {
  const bytes = new Uint8Array(length);
  for (let start = 0; start < length; start += RANDOM_CHUNK) {
    crypto.getRandomValues(bytes.subarray(start, start + RANDOM_CHUNK));
  }
  return bytes;
}

function sleep(milliseconds: number, signal?: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    if (signal?.aborted) return reject(signal.reason);
    const onAbort = () => {
      clearTimeout(timer);
      reject(signal!.reason);
    };
    const timer = setTimeout(() => {
      signal?.removeEventListener('abort', onAbort);
      resolve();
    }, milliseconds);
    signal?.addEventListener('abort', onAbort, { once: true });
  });
}
