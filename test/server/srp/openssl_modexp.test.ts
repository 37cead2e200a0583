import { randomBytes } from 'node:crypto';
import { expect } from 'chai';
import { bytesToBigint, GROUP, modexp } from '../../../src/protocol/srp.ts';
import { createOpensslModexp, modulusFactor } from '../../../src/server/srp/openssl_modexp.ts';

describe('OpenSSL’s modular exponentiation', () => {
  const power = createOpensslModexp();

  it('agrees with BigInt for random bases and exponents of every length', () => {
    for (let length = 1; length <= 64; length += 3) {
      const base = bytesToBigint(new Uint8Array(randomBytes(512))) % GROUP.N;
      const exponent = bytesToBigint(new Uint8Array(randomBytes(length)));
      expect(power(base, exponent) === modexp(base, exponent), `${length} bytes`).to.equal(true);
    }
  });

  it('agrees with BigInt at the edges, where OpenSSL refuses to share a secret', () => {
    for (const base of [0n, 1n, 2n, GROUP.g, GROUP.N - 1n, GROUP.N - 2n]) {
      for (const exponent of [0n, 1n, 2n, 3n, (1n << 320n) - 1n]) {
        expect(
          power(base, exponent) === modexp(base, exponent),
          `${base % 1_000n}^${exponent % 1_000n}`,
        ).to.equal(true);
      }
    }
  });

  it('computes modulo a multiple of N that Node does not test for primality, and that fills 4608 bits', () => {
    const c = modulusFactor();
    expect(c % 2n).to.equal(1n);
    expect(c % 3n).to.equal(0n);
    expect((c * GROUP.N).toString(2)).to.have.length(4608);
  });

  it('works again after a call that failed', () => {
    expect(() => power(-5n, 2n)).to.throw();
    expect(power(7n, 2n)).to.equal(49n);
  });
});
