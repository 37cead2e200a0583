/** ISO/IEC 7816-4 padding: 0x80, then zeros. Hides lengths up to a multiple. */
import { ProtocolError } from './errors.ts';

const MARK = 0x80;

/** The message with 0x80 and zeros up to the next multiple of `multiple` bytes; a full block more when it fills one. */
export function pad(message: Uint8Array, multiple: number): Uint8Array {
  const padded = new Uint8Array((Math.floor(message.length / multiple) + 1) * multiple);
  padded.set(message);
  padded[message.length] = MARK;
  return padded;
}

/** The message without its padding. Throws ProtocolError 'padding' for bytes that pad() did not make. */
export function unpad(padded: Uint8Array, multiple: number): Uint8Array {
  let end = padded.length - 1;
  while (end >= 0 && padded[end] === 0) end -= 1;
  if (
    padded.length === 0 ||
    padded.length % multiple !== 0 ||
    padded[end] !== MARK ||
    padded.length - end > multiple
  ) {
    throw new ProtocolError('padding', 'padding is not ISO/IEC 7816-4 to the expected multiple');
  }
  return padded.slice(0, end);
}
