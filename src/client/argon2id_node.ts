/** Argon2id (RFC 9106, version 0x13) by the reference C code, in libuv's threads. For Node. */
import { argon2id, hash } from 'argon2';
import type { Argon2id } from '../protocol/keys.ts';
import { KEY_BYTES } from '../protocol/sizes.ts';

/** Argon2id off the main thread: 32 bytes. */
export const argon2idInNode: Argon2id = async (password, salt, { memoryKib, iterations, parallelism }) =>
  hash(Buffer.from(password.buffer, password.byteOffset, password.byteLength), {
    raw: true,
    type: argon2id,
    version: 0x13,
    salt: Buffer.from(salt),
    memoryCost: memoryKib,
    timeCost: iterations,
    parallelism,
    hashLength: KEY_BYTES,
  });
