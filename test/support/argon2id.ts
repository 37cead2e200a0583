/** Argon2id of Node's package in the shape that src/protocol takes. */
import { hash } from 'argon2';
import type { Argon2id } from '../../src/protocol/keys.ts';

export const nodeArgon2id: Argon2id = (password, salt, kdf) =>
  hash(Buffer.from(password), {
    raw: true,
    type: 2,
    version: 0x13,
    salt: Buffer.from(salt),
    memoryCost: kdf.memoryKib,
    timeCost: kdf.iterations,
    parallelism: kdf.parallelism,
    hashLength: 32,
  });
