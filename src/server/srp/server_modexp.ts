/** Which modular exponentiation a thread uses: the fastest that computes what is known, in the end BigInt's. */
import { bytesToHex, sha256 } from '../../protocol/bytes.ts';
import { GROUP, type Modexp, modexp, padGroupElement } from '../../protocol/srp.ts';
import { withGeneratorTable } from './generator_table.ts';
import { createGroupModexp, createMultipleModexp } from './openssl_modexp.ts';

/** A modexp, and whose arithmetic it is. */
export interface ServerModexp {
  readonly power: Modexp;
  readonly arithmetic: 'openssl' | 'bigint';
}

/**
 * SHA-256 of PAD(base^exponent mod N), computed by Python. The exponent: 64 bits of the golden ratio, five times. A base
 * that is a square modulo N, and three that are none, which a check for members of a subgroup would refuse.
 */
const KNOWN_EXPONENT = BigInt(`0x${'9e3779b97f4a7c15'.repeat(5)}`);
const KNOWN_ANSWERS = [
  {
    base: (1n << 4095n) - 1n,
    hash: '7fb63a2475ff5dc7aa2dcb75dd364991203ee2538a1f90012663cde0e37c5009',
  },
  {
    base: (1n << 4095n) - 19n,
    hash: 'd746fcce04545058d241e201e7b0ae871096442a71adec4d297580e82a0dc374',
  },
  {
    base: GROUP.N - 2n,
    hash: '097d0600c05ce26f63b369c694418876dacf3902a342feeb671898c51fc29978',
  },
  { base: GROUP.g, hash: 'd8363329d8a3d5e94cd674a2c19ec03e7bb033f94de77c132152854b00f37d79' },
];

/** Whether a modexp computes what is known, of bases of full length and of g. False, too, when it throws. */
export function isCorrect(power: Modexp): boolean {
  try {
    return KNOWN_ANSWERS.every(
      ({ base, hash }) => bytesToHex(sha256(padGroupElement(power(base, KNOWN_EXPONENT)))) === hash,
    );
  } catch {
    return false;
  }
}

/**
 * OpenSSL's modexp with a table for g; BigInt's, three times slower and not in constant time, where a later Node or OpenSSL
 * would do none of this. `openssl` makes OpenSSL's, the fastest first.
 */
export function createServerModexp(
  openssl: readonly (() => Modexp)[] = [createGroupModexp, createMultipleModexp],
): ServerModexp {
  for (const create of openssl) {
    try {
      const power = withGeneratorTable(create());
      if (isCorrect(power)) return { power, arithmetic: 'openssl' };
    } catch {
      // What cannot be made is as good as wrong.
    }
  }
  return { power: modexp, arithmetic: 'bigint' };
}
