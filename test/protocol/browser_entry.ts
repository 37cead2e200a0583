/** What runs inside the browser: the verifier of the known answers, with Argon2id from WebAssembly. */
import { argon2id } from 'hash-wasm';
import type { Argon2id } from '../../src/protocol/keys.ts';
import { modexp } from '../../src/protocol/srp.ts';
import { memoizeTools } from '../vectors/memoized_tools.ts';
import { verifyVectors } from '../vectors/verify_vectors.ts';

const browserArgon2id: Argon2id = (password, salt, kdf) =>
  argon2id({
    password,
    salt,
    iterations: kdf.iterations,
    parallelism: kdf.parallelism,
    memorySize: kdf.memoryKib,
    hashLength: 32,
    outputType: 'binary',
  });

const tools = memoizeTools({ argon2id: browserArgon2id, modexp });

/** 'verified', or what the verifier found wrong. */
async function verify(json: string): Promise<string> {
  try {
    await verifyVectors(JSON.parse(json), tools);
    return 'verified';
  } catch (error) {
    return String(error);
  }
}

Object.assign(globalThis, { verify });
