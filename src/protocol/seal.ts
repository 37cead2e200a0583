/** AES-256-GCM (NIST SP 800-38D) by WebCrypto: `nonce | tag | ciphertext`, and the stored form with a format byte. */
import { concatBytes } from './bytes.ts';
import { ProtocolError } from './errors.ts';
import { KEY_BYTES, NONCE_BYTES, SEAL_OVERHEAD_BYTES, TAG_BYTES } from './sizes.ts';

/** Secure random bytes. */
export type Random = (bytes: number) => Uint8Array;

/** A key that seals. */
export type SealKey = CryptoKey;

/** The first byte of every stored blob. */
export const BLOB_FORMAT = 1;

/** 32 bytes as a key that cannot be exported. Throws ProtocolError 'length' for another length. */
export async function importSealKey(bytes: Uint8Array): Promise<SealKey> {
  if (bytes.length !== KEY_BYTES) throw new ProtocolError('length', 'a seal key has 32 bytes');
  return crypto.subtle.importKey('raw', bytes as BufferSource, 'AES-GCM', false, ['encrypt', 'decrypt']);
}

/** nonce (12 bytes) | tag (16) | ciphertext. */
export async function seal(
  key: SealKey,
  plaintext: Uint8Array,
  aad: Uint8Array,
  random: Random,
): Promise<Uint8Array> {
  const nonce = random(NONCE_BYTES);
  const sealed = new Uint8Array(
    await crypto.subtle.encrypt(
      {
        name: 'AES-GCM',
        iv: nonce as BufferSource,
        additionalData: aad as BufferSource,
        tagLength: 8 * TAG_BYTES,
      },
      key,
      plaintext as BufferSource,
    ),
  );
  const tagStart = sealed.length - TAG_BYTES;
  return concatBytes(nonce, sealed.subarray(tagStart), sealed.subarray(0, tagStart));
}

/** The plaintext of what seal() made. Throws ProtocolError 'seal' when it does not open. */
export async function open(key: SealKey, sealed: Uint8Array, aad: Uint8Array): Promise<Uint8Array> {
  if (sealed.length < SEAL_OVERHEAD_BYTES) throw new ProtocolError('seal', 'a seal has at least 28 bytes');
  const nonce = sealed.subarray(0, NONCE_BYTES);
  const tag = sealed.subarray(NONCE_BYTES, SEAL_OVERHEAD_BYTES);
  const ciphertext = sealed.subarray(SEAL_OVERHEAD_BYTES);
  try {
    return new Uint8Array(
      await crypto.subtle.decrypt(
        {
          name: 'AES-GCM',
          iv: nonce as BufferSource,
          additionalData: aad as BufferSource,
          tagLength: 8 * TAG_BYTES,
        },
        key,
        concatBytes(ciphertext, tag) as BufferSource,
      ),
    );
  } catch {
    throw new ProtocolError('seal', 'the seal does not open');
  }
}

/** 0x01 | nonce | tag | ciphertext: what is stored. */
export async function sealBlob(
  key: SealKey,
  plaintext: Uint8Array,
  aad: Uint8Array,
  random: Random,
): Promise<Uint8Array> {
  return concatBytes(Uint8Array.of(BLOB_FORMAT), await seal(key, plaintext, aad, random));
}

/** The plaintext of what sealBlob() made. Throws ProtocolError 'seal' for another format and when it does not open. */
export async function openBlob(key: SealKey, blob: Uint8Array, aad: Uint8Array): Promise<Uint8Array> {
  if (blob[0] !== BLOB_FORMAT) throw new ProtocolError('seal', 'a blob starts with the format byte 0x01');
  return open(key, blob.subarray(1), aad);
}
