/**
 * The parameters of Argon2id (RFC 9106), kept per user, and which of them are refused. A client checks what a server
 * hands it before it derives anything: weak ones would make the password cheap to guess, absurd ones stop the device.
 */
import { concatBytes, u32 } from './bytes.ts';
import { ProtocolError } from './errors.ts';

/** Structurally the contract's KdfParameters. */
export interface KdfParameters {
  /** The contract's KdfAlgorithm; only KDF_ALGORITHM_ARGON2ID is accepted. */
  readonly algorithm: number;
  /** Memory in KiB: 19456 to 1048576. */
  readonly memoryKib: number;
  /** Passes over the memory: 2 to 64. */
  readonly iterations: number;
  /** Lanes: 1 to 16. */
  readonly parallelism: number;
}

/** Argon2id, version 0x13. */
export const KDF_ALGORITHM_ARGON2ID = 1;

/** What a client uses for a new password, and what a server answers for a name that it does not know. */
export const DEFAULT_KDF_PARAMETERS: KdfParameters = Object.freeze({
  algorithm: KDF_ALGORITHM_ARGON2ID,
  memoryKib: 65_536,
  iterations: 3,
  parallelism: 1,
});

/** The most memory times passes, in KiB: some seconds on a small device. */
const MAX_WORK = 4_194_304;

/** 16 bytes: `u32(algorithm) | u32(memory_kib) | u32(iterations) | u32(parallelism)`. */
export function kdfBytes(kdf: KdfParameters): Uint8Array {
  return concatBytes(u32(kdf.algorithm), u32(kdf.memoryKib), u32(kdf.iterations), u32(kdf.parallelism));
}

/**
 * The contract's names of the fields that are refused, in its order; empty when the parameters are good. Memory and
 * passes that are too much only together are reported once, as memory_kib.
 */
export function refusedKdfFields(kdf: KdfParameters): string[] {
  const refused: string[] = [];
  const memoryAllowed = isWithin(kdf.memoryKib, 19_456, 1_048_576);
  const iterationsAllowed = isWithin(kdf.iterations, 2, 64);
  const tooMuchWork = memoryAllowed && iterationsAllowed && kdf.memoryKib * kdf.iterations > MAX_WORK;
  if (kdf.algorithm !== KDF_ALGORITHM_ARGON2ID) refused.push('algorithm');
  if (!memoryAllowed || tooMuchWork) refused.push('memory_kib');
  if (!iterationsAllowed) refused.push('iterations');
  if (!isWithin(kdf.parallelism, 1, 16)) refused.push('parallelism');
  return refused;
}

/** Throws 'key derivation parameters' when any of them is refused. */
export function requireAcceptableKdf(kdf: KdfParameters): void {
  const refused = refusedKdfFields(kdf);
  if (refused.length > 0)
    throw new ProtocolError('key derivation parameters', `refused: ${refused.join(', ')}`);
}

/** Whether two derivations have the same parameters. */
export function isSameKdf(one: KdfParameters, other: KdfParameters): boolean {
  return (
    one.algorithm === other.algorithm &&
    one.memoryKib === other.memoryKib &&
    one.iterations === other.iterations &&
    one.parallelism === other.parallelism
  );
}

function isWithin(value: number, minimum: number, maximum: number): boolean {
  return Number.isInteger(value) && value >= minimum && value <= maximum;
}
