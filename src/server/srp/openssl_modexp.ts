/**
 * base^exponent mod N by OpenSSL, through node:crypto's Diffie-Hellman: a shared secret is a modular exponentiation, and a
 * constant-time one.
 *
 * Node tests whether a modulus is prime, which takes four seconds for N. It gives up at once on a multiple of 3, so the
 * modulus here is c*N with c odd and divisible by 3, and the result is reduced modulo N: exact, since N divides c*N. c*N
 * lies just under 2^4608, where the reduction stays cheap.
 */
import { createDiffieHellman } from 'node:crypto';
import { bytesToBigint, GROUP, type Modexp } from '../../protocol/srp.ts';

const MODULUS_BITS = 4608n;

/** The largest odd multiple of 3 whose product with N has at most 4608 bits. */
function multiple(): bigint {
  const largest = (1n << MODULUS_BITS) / GROUP.N;
  return largest - ((largest - 3n) % 6n);
}

function toBytes(value: bigint): Buffer {
  const hex = value.toString(16);
  return Buffer.from(hex.length % 2 === 0 ? hex : `0${hex}`, 'hex');
}

/** A modexp of its own, for one thread. The exponent is overwritten in OpenSSL's memory by the next one, or by forget(). */
export function createOpensslModexp(): Modexp {
  const exchange = createDiffieHellman(toBytes(multiple() * GROUP.N), 5);
  const one = Buffer.of(1);
  return (base, exponent) => {
    // OpenSSL refuses the bases 0, 1 and -1, whose powers are known.
    if (exponent === 0n) return 1n;
    if (base === 0n || base === 1n) return base;
    const key = toBytes(exponent);
    exchange.setPrivateKey(key);
    try {
      return bytesToBigint(exchange.computeSecret(toBytes(base))) % GROUP.N;
    } finally {
      key.fill(0);
      exchange.setPrivateKey(one);
    }
  };
}

/** Whether a modexp computes what is known: 5^(2^319 + 1) against the same by squaring. */
export function isCorrect(power: Modexp): boolean {
  let expected = GROUP.g;
  for (let square = 0; square < 319; square += 1) expected = (expected * expected) % GROUP.N;
  try {
    return power(GROUP.g, (1n << 319n) + 1n) === (expected * GROUP.g) % GROUP.N;
  } catch {
    return false;
  }
}
