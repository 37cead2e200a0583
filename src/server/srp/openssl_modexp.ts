/**
 * base^exponent mod N by OpenSSL, through node:crypto's Diffie-Hellman: a shared secret is a modular exponentiation, and one
 * in constant time (OpenSSL's BN_mod_exp_mont_consttime).
 *
 * Node tests whether a modulus is prime, which takes four seconds for N. It gives up at once on a multiple of 3, so the
 * modulus here is c*N with c odd and divisible by 3, and the result is reduced modulo N: exact, since N divides c*N. c*N
 * lies just under 2^4608, the next length at which OpenSSL multiplies by its fast code.
 */
import { createDiffieHellman } from 'node:crypto';
import { bytesToBigint, GROUP, type Modexp } from '../../protocol/srp.ts';

const MODULUS_BITS = 4608n;

/** The largest c, odd and divisible by 3, for which c*N has at most 4608 bits. */
export function modulusFactor(): bigint {
  const largest = (1n << MODULUS_BITS) / GROUP.N;
  return largest - ((largest - 3n) % 6n);
}

/**
 * A modexp for 0 ≤ base < N and exponent ≥ 0, of its own: one for each thread. OpenSSL forgets an exponent, and overwrites
 * it, before the call returns; the BigInts on the way there cannot be overwritten.
 */
export function createOpensslModexp(): Modexp {
  const exchange = createDiffieHellman(toBytes(modulusFactor() * GROUP.N), 5);
  const nothing = Buffer.of(1);
  return (base, exponent) => {
    // OpenSSL refuses these, whose powers are known.
    if (exponent === 0n) return 1n;
    if (base === 0n || base === 1n) return base;
    const key = toBytes(exponent);
    exchange.setPrivateKey(key);
    try {
      return bytesToBigint(exchange.computeSecret(toBytes(base))) % GROUP.N;
    } finally {
      key.fill(0);
      exchange.setPrivateKey(nothing);
    }
  };
}

function toBytes(value: bigint): Buffer {
  const hex = value.toString(16);
  return Buffer.from(hex.length % 2 === 0 ? hex : `0${hex}`, 'hex');
}
