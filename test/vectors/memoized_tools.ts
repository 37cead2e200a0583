/** Slow functions that remember their answers, so that a file can be verified many times. */
import { bytesToHex } from '../../src/protocol/bytes.ts';
import type { VectorTools } from './verify_vectors.ts';

export function memoizeTools({ argon2id, modexp }: VectorTools): VectorTools {
  const roots = new Map<string, Promise<Uint8Array>>();
  const powers = new Map<string, bigint>();
  return {
    async argon2id(password, salt, kdf) {
      const key = JSON.stringify([bytesToHex(password), bytesToHex(salt), Object.values(kdf)]);
      const root = roots.get(key) ?? argon2id(Uint8Array.from(password), salt, kdf);
      roots.set(key, root);
      // A copy: who derives keys from a root wipes it.
      return Uint8Array.from(await root);
    },
    modexp(base, exponent) {
      const key = `${base.toString(16)} ${exponent.toString(16)}`;
      const power = powers.get(key) ?? modexp(base, exponent);
      powers.set(key, power);
      return power;
    },
  };
}
