/** How much work it is to derive the root key, and what both sides refuse. */
import { concatBytes, u32 } from './bytes.ts';

/** KdfAlgorithm of the contract: Argon2id, version 0x13 (RFC 9106). */
export const KDF_ALGORITHM_ARGON2ID = 1;

/** The contract's KdfParameters as far as the protocol looks at it. */
export interface KdfParameters {
  readonly algorithm: number;
  readonly memoryKib: number;
  readonly iterations: number;
  readonly parallelism: number;
}

/** What clients use unless they are told otherwise, and what decoys show. */
export const DEFAULT_KDF_PARAMETERS: KdfParameters = {
  algorithm: KDF_ALGORITHM_ARGON2ID,
  memoryKib: 65_536,
  iterations: 3,
  parallelism: 1,
};

/** KiB of memory times iterations. */
const MAXIMUM_WORK = 4_194_304;

/** u32(algorithm) | u32(memory_kib) | u32(iterations) | u32(parallelism): 16 bytes. */
export function kdfBytes({ algorithm, memoryKib, iterations, parallelism }: KdfParameters): Uint8Array {
  return concatBytes(u32(algorithm), u32(memoryKib), u32(iterations), u32(parallelism));
}

/**
 * The fields that are too weak or absurd, as the contract names them, in its order; empty when all are good. When memory
 * and iterations are good one by one and only their product is not, `memory_kib` is to blame.
 */
export function refusedKdfFields({ algorithm, memoryKib, iterations, parallelism }: KdfParameters): string[] {
  const refused: string[] = [];
  if (algorithm !== KDF_ALGORITHM_ARGON2ID) refused.push('algorithm');
  const memoryGood = memoryKib >= 19_456 && memoryKib <= 1_048_576;
  const iterationsGood = iterations >= 2 && iterations <= 64;
  if (!memoryGood || (iterationsGood && memoryKib * iterations > MAXIMUM_WORK)) refused.push('memory_kib');
  if (!iterationsGood) refused.push('iterations');
  if (!(parallelism >= 1 && parallelism <= 16)) refused.push('parallelism');
  return refused;
}
