import { randomBytes } from 'node:crypto';
import { expect } from 'chai';
import { bytesToBigint, GROUP, modexp } from '../../../src/protocol/srp.ts';
import { createOpensslModexp, isCorrect } from '../../../src/server/srp/openssl_modexp.ts';

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

  it('passes its own check, which a wrong one fails', () => {
    expect(isCorrect(power)).to.equal(true);
    expect(isCorrect((base, exponent) => modexp(base, exponent) ^ 1n)).to.equal(false);
    expect(
      isCorrect(() => {
        throw new Error('unavailable');
      }),
    ).to.equal(false);
  });
});
