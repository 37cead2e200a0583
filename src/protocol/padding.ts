/**
 * Padding that hides the exact length of what is sealed: ISO/IEC 7816-4, 0x80 and then zeros up to the next multiple. A
 * message that fills its last block gets one block more, so there is always padding to take off.
 */
import { ProtocolError } from './errors.ts';

const MARKER = 0x80;

/** `bytes` padded to the next multiple of `multiple` bytes. */
export function pad(bytes: Uint8Array, multiple: number): Uint8Array<ArrayBuffer> {
  const padded = new Uint8Array(bytes.length + multiple - (bytes.length % multiple));
  padded.set(bytes);
  padded[bytes.length] = MARKER;
  return padded;
}

/**
 * What `pad` was given. Throws 'broken padding' for anything that `pad(…, multiple)` does not make: no whole number of
 * blocks, no marker, or no marker in the last block. The input was authenticated before, so this tells a stranger
 * nothing.
 */
export function unpad(padded: Uint8Array, multiple: number): Uint8Array {
  const length = padded.findLastIndex((byte) => byte !== 0);
  const broken =
    padded.length === 0 ||
    padded.length % multiple !== 0 ||
    padded[length] !== MARKER ||
    padded.length - length > multiple;
  if (broken) throw new ProtocolError('broken padding', `not padded to a multiple of ${multiple} bytes`);
  return padded.slice(0, length);
}
