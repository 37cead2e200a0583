/**
 * Sealing: AES-256-GCM (NIST SP 800-38D) by WebCrypto, with a random nonce of 12 bytes and a tag of 16. A seal is
 * `nonce | tag | ciphertext`; a blob that is stored has the format byte 0x01 before it.
 */
import { concatBytes, type RandomBytes } from './bytes.ts';
import { ProtocolError, requireLength } from './errors.ts';
import { KEY_BYTES, NONCE_BYTES, SEAL_OVERHEAD_BYTES, TAG_BYTES } from './sizes.ts';

/** The format of stored blobs: a seal of v1. */
const BLOB_FORMAT = 0x01;

/** A key in WebCrypto's hands; its bytes cannot be read back. */
export type SealKey = CryptoKey;

/** Hands 32 bytes of key to WebCrypto. The caller may wipe them afterwards. */
export async function importSealKey(key: Uint8Array): Promise<SealKey> {
  requireLength('key', key, KEY_BYTES);
  return crypto.subtle.importKey('raw', key as BufferSource, 'AES-GCM', false, ['encrypt', 'decrypt']);
}

/** `nonce | tag | ciphertext`: the plaintext and 28 bytes more. `random` gives the nonce. */
export async function seal(
  key: SealKey,
  plaintext: Uint8Array,
  aad: Uint8Array,
  random: RandomBytes,
): Promise<Uint8Array> {
  const nonce = random(NONCE_BYTES);
  requireLength('nonce', nonce, NONCE_BYTES);
  const sealed = new Uint8Array(await crypto.subtle.encrypt(gcm(nonce, aad), key, plaintext as BufferSource));
  // WebCrypto puts the tag last.
  const tagStart = sealed.length - TAG_BYTES;
  return concatBytes(nonce, sealed.subarray(tagStart), sealed.subarray(0, tagStart));
}

/** The plaintext of a seal. Throws 'broken seal' for another key, other associated data, or changed or missing bytes. */
export async function open(key: SealKey, sealed: Uint8Array, aad: Uint8Array): Promise<Uint8Array> {
  if (sealed.length < SEAL_OVERHEAD_BYTES) throw new ProtocolError('broken seal', 'shorter than any seal');
  const nonce = sealed.subarray(0, NONCE_BYTES);
  const tag = sealed.subarray(NONCE_BYTES, SEAL_OVERHEAD_BYTES);
  const ciphertext = sealed.subarray(SEAL_OVERHEAD_BYTES);
  try {
    return new Uint8Array(await crypto.subtle.decrypt(gcm(nonce, aad), key, concatBytes(ciphertext, tag)));
  } catch {
    throw new ProtocolError('broken seal', 'the seal does not open');
  }
}

/** `0x01 | nonce | tag | ciphertext`: the plaintext and 29 bytes more. */
export async function sealBlob(
  key: SealKey,
  plaintext: Uint8Array,
  aad: Uint8Array,
  random: RandomBytes,
): Promise<Uint8Array> {
  return concatBytes(Uint8Array.of(BLOB_FORMAT), await seal(key, plaintext, aad, random));
}

/**
 * The plaintext of a stored blob. Throws 'unknown format' for another first byte, which a newer client may have written,
 * and 'broken seal' as `open` does.
 */
export async function openBlob(key: SealKey, blob: Uint8Array, aad: Uint8Array): Promise<Uint8Array> {
  if (blob.length === 0) throw new ProtocolError('broken seal', 'the blob is empty');
  if (blob[0] !== BLOB_FORMAT) throw new ProtocolError('unknown format', 'the blob is of an unknown format');
  return open(key, blob.subarray(1), aad);
}

function gcm(nonce: Uint8Array, aad: Uint8Array): AesGcmParams {
  return {
    name: 'AES-GCM',
    iv: nonce as BufferSource,
    additionalData: aad as BufferSource,
    tagLength: TAG_BYTES * 8,
  };
}
