/** AES-256-GCM (NIST SP 800-38D) by node:crypto: `nonce (12 bytes) | tag (16) | ciphertext`. Synchronous, for the hot path. */
import { createCipheriv, createDecipheriv, type KeyObject, randomFillSync } from 'node:crypto';
import { NONCE_BYTES, SEAL_OVERHEAD_BYTES, TAG_BYTES } from '../protocol/sizes.ts';

/** A seal that does not open: wrong key, wrong associated data, or changed bytes. */
export class SealBrokenError extends Error {
  constructor() {
    super('the seal does not open');
    this.name = 'SealBrokenError';
  }
}

/** Random bytes for nonces, fetched many at a time: asking for twelve costs as much as asking for thousands. */
const fresh = Buffer.alloc(512 * NONCE_BYTES);
let used = fresh.length;

/** A nonce that was never used: a view on bytes that are overwritten after the next 511 calls. */
function freshNonce(): Buffer {
  if (used === fresh.length) {
    randomFillSync(fresh);
    used = 0;
  }
  used += NONCE_BYTES;
  return fresh.subarray(used - NONCE_BYTES, used);
}

/** Seals under a key of 32 bytes with a fresh random nonce. */
export function sealSync(key: KeyObject, plaintext: Uint8Array, aad: Uint8Array): Buffer {
  const nonce = freshNonce();
  const cipher = createCipheriv('aes-256-gcm', key, nonce, { authTagLength: TAG_BYTES });
  cipher.setAAD(aad);
  const ciphertext = cipher.update(plaintext);
  cipher.final();
  return Buffer.concat([nonce, cipher.getAuthTag(), ciphertext], SEAL_OVERHEAD_BYTES + ciphertext.length);
}

/** Opens what sealSync made. Throws SealBrokenError. */
export function openSync(key: KeyObject, sealed: Uint8Array, aad: Uint8Array): Buffer {
  if (sealed.length < SEAL_OVERHEAD_BYTES) throw new SealBrokenError();
  const decipher = createDecipheriv('aes-256-gcm', key, sealed.subarray(0, NONCE_BYTES), {
    authTagLength: TAG_BYTES,
  });
  decipher.setAAD(aad);
  decipher.setAuthTag(sealed.subarray(NONCE_BYTES, SEAL_OVERHEAD_BYTES));
  const plaintext = decipher.update(sealed.subarray(SEAL_OVERHEAD_BYTES));
  try {
    decipher.final();
  } catch {
    throw new SealBrokenError();
  }
  return plaintext;
}
