/** Bytes as the protocol writes them: big-endian numbers, frames, hashes, one constant-time comparison. */
import { hkdf as nobleHkdf } from '@noble/hashes/hkdf.js';
import { sha256 as nobleSha256 } from '@noble/hashes/sha2.js';

const encoder = new TextEncoder();

/** UTF-8 of a text. Lone surrogates must have been refused before: they would become U+FFFD. */
export function utf8(text: string): Uint8Array {
  return encoder.encode(text);
}

/** All parts, one after the other. */
export function concatBytes(...parts: readonly Uint8Array[]): Uint8Array {
  const whole = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let offset = 0;
  for (const part of parts) {
    whole.set(part, offset);
    offset += part.length;
  }
  return whole;
}

/** 4 bytes, big-endian. Throws RangeError outside 0 to 2^32-1. */
export function u32(value: number): Uint8Array {
  if (!Number.isInteger(value) || value < 0 || value > 0xffff_ffff) throw new RangeError('u32 out of range');
  const bytes = new Uint8Array(4);
  new DataView(bytes.buffer).setUint32(0, value);
  return bytes;
}

/** 8 bytes, big-endian. Throws RangeError outside 0 to 2^64-1. */
export function u64(value: bigint): Uint8Array {
  if (value < 0n || value >= 1n << 64n) throw new RangeError('u64 out of range');
  const bytes = new Uint8Array(8);
  new DataView(bytes.buffer).setBigUint64(0, value);
  return bytes;
}

/** 8 bytes, big-endian two's complement. Throws RangeError outside -2^63 to 2^63-1. */
export function i64(value: bigint): Uint8Array {
  if (value < -(1n << 63n) || value >= 1n << 63n) throw new RangeError('i64 out of range');
  const bytes = new Uint8Array(8);
  new DataView(bytes.buffer).setBigInt64(0, value);
  return bytes;
}

/** u32(length) | part for each part; texts as UTF-8. Injective: no two lists of parts share their bytes. */
export function frame(...parts: readonly (Uint8Array | string)[]): Uint8Array {
  const pieces: Uint8Array[] = [];
  for (const part of parts) {
    const bytes = typeof part === 'string' ? utf8(part) : part;
    pieces.push(u32(bytes.length), bytes);
  }
  return concatBytes(...pieces);
}

/** Whether two byte strings are equal, in time that depends on their lengths alone. */
export function equalBytes(one: Uint8Array, other: Uint8Array): boolean {
  if (one.length !== other.length) return false;
  let difference = 0;
  for (let index = 0; index < one.length; index += 1) difference |= one[index]! ^ other[index]!;
  return difference === 0;
}

/** SHA-256 (FIPS 180-4) over all parts: 32 bytes. */
export function sha256(...parts: readonly Uint8Array[]): Uint8Array {
  const hash = nobleSha256.create();
  for (const part of parts) hash.update(part);
  return hash.digest();
}

/** HKDF-SHA-256 (RFC 5869) with an empty salt: 32 bytes. `info` is ASCII. */
export function hkdf(inputKey: Uint8Array, info: string): Uint8Array {
  return nobleHkdf(nobleSha256, inputKey, new Uint8Array(0), utf8(info), 32);
}

export { bytesToHex, hexToBytes } from '@noble/hashes/utils.js';
