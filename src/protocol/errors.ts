/** The one error type of the protocol: what was refused, as a word that programs can decide by. */

/** Why something was refused. */
export type RefusalReason =
  /** A byte string is not as long as the protocol says. */
  | 'wrong length'
  /** A number does not fit its width, or is not a whole one. */
  | 'out of range'
  /** A UTF-16 string holds a lone surrogate and so has no UTF-8. */
  | 'not Unicode'
  /** Nothing is left of the username after normalisation. */
  | 'empty username'
  | 'empty password'
  /** Parameters too weak, absurdly strong, or of another function than Argon2id. */
  | 'key derivation parameters'
  /** B ≥ N, B mod N = 0 or u = 0. */
  | 'server public value'
  /** Padding that `pad` did not make. */
  | 'broken padding'
  /** Another key, other associated data, or bytes that were changed or cut off. */
  | 'broken seal'
  /** A stored blob of a format that this version does not know. */
  | 'unknown format';

/** Thrown by everything in src/protocol that refuses its input. The message never holds a value. */
export class ProtocolError extends Error {
  readonly reason: RefusalReason;

  constructor(reason: RefusalReason, message: string) {
    super(message);
    this.name = 'ProtocolError';
    this.reason = reason;
  }
}

/** Throws 'wrong length' unless `value` has exactly `length` bytes. `name` goes into the message. */
export function requireLength(name: string, value: Uint8Array, length: number): void {
  if (value.length !== length) {
    throw new ProtocolError('wrong length', `${name} has ${value.length} bytes, not ${length}`);
  }
}
