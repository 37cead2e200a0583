/**
 * Byte strings and how they are put together: concatenation, fixed-width big-endian numbers, frames, SHA-256 (FIPS
 * 180-4) and HKDF-SHA-256 (RFC 5869). Everything that is hashed or authenticated in the protocol is built of these.
 */
import { hkdf as nobleHkdf } from '@noble/hashes/hkdf.js';
import { sha256 as nobleSha256 } from '@noble/hashes/sha2.js';
import { ProtocolError } from './errors.ts';
import { KEY_BYTES } from './sizes.ts';

/** `bytesToHex(bytes)`: lower case. `hexToBytes(text)`: either case; throws for an odd length or another character. */
export { bytesToHex, hexToBytes } from '@noble/hashes/utils.js';

/** A cryptographically secure source of randomness: `length` fresh bytes a call. */
export type RandomBytes = (length: number) => Uint8Array;

/** The parts one after another. A new array, even of one part. */
export function concatBytes(...parts: readonly Uint8Array[]): Uint8Array<ArrayBuffer> {
  const whole = new Uint8Array(parts.reduce((length, part) => length + part.length, 0));
  let offset = 0;
  for (const part of parts) {
    whole.set(part, offset);
    offset += part.length;
  }
  return whole;
}

/** The UTF-8 of a text. A lone surrogate has none: throws 'not Unicode' where TextEncoder would put U+FFFD in silently. */
export function utf8(text: string): Uint8Array<ArrayBuffer> {
  const short = shortAscii(text);
  if (short !== undefined) return short;
  if (!text.isWellFormed()) throw new ProtocolError('not Unicode', 'the text holds a lone surrogate');
  return encoder.encode(text);
}

const encoder = new TextEncoder();

/** What engines keep beside the object itself, without a buffer of its own. */
const SHORT_TEXT = 64;

/** The bytes of a label or an id, for which an encoder takes several times as long. Undefined for any other text. */
function shortAscii(text: string): Uint8Array<ArrayBuffer> | undefined {
  if (text.length > SHORT_TEXT) return undefined;
  for (let i = 0; i < text.length; i++) if (text.charCodeAt(i) > 0x7f) return undefined;
  const bytes = new Uint8Array(text.length);
  for (let i = 0; i < text.length; i++) bytes[i] = text.charCodeAt(i);
  return bytes;
}

/** 4 bytes, big-endian. Throws 'out of range' unless 0 ≤ n < 2^32 and n is whole. */
export function u32(n: number): Uint8Array<ArrayBuffer> {
  if (!Number.isInteger(n) || n < 0 || n > 0xffff_ffff) throw outOfRange('u32');
  const bytes = new Uint8Array(4);
  new DataView(bytes.buffer).setUint32(0, n);
  return bytes;
}

/** 8 bytes, big-endian. Throws 'out of range' unless 0 ≤ n < 2^64. */
export function u64(n: bigint): Uint8Array<ArrayBuffer> {
  if (BigInt.asUintN(64, n) !== n) throw outOfRange('u64');
  const bytes = new Uint8Array(8);
  new DataView(bytes.buffer).setBigUint64(0, n);
  return bytes;
}

/** 8 bytes, big-endian two's complement. Throws 'out of range' unless -2^63 ≤ n < 2^63. */
export function i64(n: bigint): Uint8Array<ArrayBuffer> {
  if (BigInt.asIntN(64, n) !== n) throw outOfRange('i64');
  const bytes = new Uint8Array(8);
  new DataView(bytes.buffer).setBigInt64(0, n);
  return bytes;
}

/**
 * `u32(length) | part` for each part, texts as their UTF-8. Injective: two lists of parts never share a frame. Throws
 * 'not Unicode' for a text with a lone surrogate.
 */
export function frame(...parts: readonly (Uint8Array | string)[]): Uint8Array<ArrayBuffer> {
  const pieces = parts.map((part) => (typeof part === 'string' ? utf8(part) : part));
  let length = 0;
  for (const piece of pieces) length += FRAME_LENGTH_BYTES + piece.length;
  const whole = new Uint8Array(length);
  const view = new DataView(whole.buffer);
  let offset = 0;
  for (const piece of pieces) {
    view.setUint32(offset, piece.length);
    whole.set(piece, offset + FRAME_LENGTH_BYTES);
    offset += FRAME_LENGTH_BYTES + piece.length;
  }
  return whole;
}

/** The length before each part of a frame. */
const FRAME_LENGTH_BYTES = 4;

/**
 * Whether two byte strings are the same, in a time that depends on their lengths only. (As far as a just-in-time
 * compiler lets a program promise that.)
 */
export function equalBytes(a: Uint8Array, b: Uint8Array): boolean {
  if (a.length !== b.length) return false;
  let difference = 0;
  for (let i = 0; i < a.length; i++) difference |= a[i]! ^ b[i]!;
  return difference === 0;
}

/** SHA-256 over the parts one after another. 32 bytes. */
export function sha256(...parts: readonly Uint8Array[]): Uint8Array {
  const hash = nobleSha256.create();
  for (const part of parts) hash.update(part);
  return hash.digest();
}

/** HKDF-SHA-256 with an empty salt: 32 bytes for the purpose that `info` (ASCII) names. */
export function hkdf(ikm: Uint8Array, info: string): Uint8Array {
  return nobleHkdf(nobleSha256, ikm, undefined, utf8(info), KEY_BYTES);
}

function outOfRange(width: string): ProtocolError {
  return new ProtocolError('out of range', `the number does not fit ${width}`);
}
