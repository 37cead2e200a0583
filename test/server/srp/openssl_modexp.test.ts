import { expect } from 'chai';
import fc from 'fast-check';
import { GROUP, modexp } from '../../../src/protocol/srp.ts';
import {
  createGroupModexp,
  createMultipleModexp,
  modulusFactor,
} from '../../../src/server/srp/openssl_modexp.ts';

const { N, g } = GROUP;

for (const [name, create] of [
  ['modulo N', createGroupModexp],
  ['modulo a multiple of N', createMultipleModexp],
] as const) {
  describe(`OpenSSL’s modular exponentiation ${name}`, () => {
    const power = create();
    const expectAsBigint = (base: bigint, exponent: bigint): void => {
      const text = `…${base % 1_000n}^${exponent.toString(16)}`;
      expect(power(base, exponent) === modexp(base, exponent), text).to.equal(true);
    };

    it('agrees with BigInt for bases of any length and exponents of any length', () => {
      const upTo = (bits: bigint) => fc.bigInt({ min: 0n, max: (1n << bits) - 1n });
      const base = fc.oneof(fc.bigInt({ min: 0n, max: N - 1n }), upTo(64n), upTo(4_000n));
      const exponent = fc.oneof(upTo(320n), upTo(256n), upTo(512n), upTo(8n));
      fc.assert(fc.property(base, exponent, expectAsBigint), { numRuns: 40 });
    });

    it('agrees with BigInt at the edges, where OpenSSL refuses to share a secret', () => {
      for (const base of [0n, 1n, 2n, g, N - 1n, N - 2n, N - 3n]) {
        for (const exponent of [0n, 1n, 2n, 3n, (1n << 320n) - 1n]) expectAsBigint(base, exponent);
      }
    });

    it('agrees with BigInt where the result is 0, 1 or -1', () => {
      // g generates the whole group, so that its power of half the order is -1.
      expect(power(g, (N - 1n) / 2n) === N - 1n).to.equal(true);
      expect(power(4n, (N - 1n) / 2n)).to.equal(1n);
      expect(power(0n, 5n)).to.equal(0n);
    });

    it('works again after a call that failed', () => {
      expect(() => power(-5n, 2n)).to.throw();
      expect(power(7n, 2n)).to.equal(49n);
    });
  });
}

describe('the multiple of N', () => {
  it('is one that Node does not test for primality, and fills 4608 bits', () => {
    const c = modulusFactor();
    expect(c % 2n).to.equal(1n);
    expect(c % 3n).to.equal(0n);
    expect((c * N).toString(2)).to.have.length(4608);
  });
});
