/**
 * base^exponent mod N by OpenSSL, through node:crypto's Diffie-Hellman: a shared secret is a modular exponentiation, and one
 * in constant time (OpenSSL's BN_mod_exp_mont_consttime). Two ways to it; server_modexp.ts says which is in use.
 */
import { createDiffieHellman, DiffieHellman, type DiffieHellmanGroup, getDiffieHellman } from 'node:crypto';
import { bytesToBigint, GROUP, type Modexp } from '../../protocol/srp.ts';

const MODULUS_BITS = 4608n;

/**
 * Modulo N itself: N is the prime of Node's group 16 (RFC 3526 §5), which Node takes without a test. Its generator does not
 * matter. Node documents no setPrivateKey of such a group and lends it that of its other class.
 */
export function createGroupModexp(): Modexp {
  const group = getDiffieHellman('modp16');
  return overDiffieHellman(group, (key) =>
    DiffieHellman.prototype.setPrivateKey.call(group as DiffieHellman, key),
  );
}

/**
 * Modulo a multiple of N, by documented calls alone, for a quarter more time. Node tests whether a modulus of the caller's
 * is prime, which takes four seconds for N, and gives up at once on a multiple of 3. So the modulus is c*N with c odd and
 * divisible by 3, and the result is reduced modulo N: exact, since N divides c*N. c*N lies just under 2^4608, the next
 * length at which OpenSSL multiplies by its fast code.
 */
export function createMultipleModexp(): Modexp {
  const exchange = createDiffieHellman(toBytes(modulusFactor() * GROUP.N), 5);
  return overDiffieHellman(exchange, (key) => exchange.setPrivateKey(key));
}

/** The largest c, odd and divisible by 3, for which c*N has at most 4608 bits. */
export function modulusFactor(): bigint {
  const largest = (1n << MODULUS_BITS) / GROUP.N;
  return largest - ((largest - 3n) % 6n);
}

/**
 * A modexp for 0 ≤ base < N and exponent ≥ 0, of its own: one for each thread. OpenSSL forgets an exponent, and overwrites
 * it, before the call returns; the BigInts on the way there cannot be overwritten.
 */
function overDiffieHellman(exchange: DiffieHellmanGroup, setPrivateKey: (key: Buffer) => void): Modexp {
  const nothing = Buffer.of(1);
  return (base, exponent) => {
    // OpenSSL refuses these, whose powers are known.
    if (exponent === 0n) return 1n;
    if (base === 0n || base === 1n) return base;
    if (base === GROUP.N - 1n) return exponent % 2n === 0n ? 1n : base;
    const key = toBytes(exponent);
    setPrivateKey(key);
    try {
      return bytesToBigint(exchange.computeSecret(toBytes(base))) % GROUP.N;
    } finally {
      key.fill(0);
      setPrivateKey(nothing);
    }
  };
}

function toBytes(value: bigint): Buffer {
  const hex = value.toString(16);
  return Buffer.from(hex.length % 2 === 0 ? hex : `0${hex}`, 'hex');
}
