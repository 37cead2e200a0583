import { expect } from 'chai';
import fc from 'fast-check';
import { GROUP, type Modexp, modexp } from '../../../src/protocol/srp.ts';
import { withGeneratorTable } from '../../../src/server/srp/generator_table.ts';
import { createGroupModexp } from '../../../src/server/srp/openssl_modexp.ts';

describe('the table of powers of g', () => {
  const asked: [bigint, bigint][] = [];
  const openssl = createGroupModexp();
  const behind: Modexp = (base, exponent) => {
    asked.push([base, exponent]);
    return openssl(base, exponent);
  };
  const power = withGeneratorTable(behind);

  beforeEach(() => {
    asked.length = 0;
  });

  it('agrees with BigInt for exponents of up to 320 bits, without asking for a power', () => {
    fc.assert(
      fc.property(fc.bigInt({ min: 0n, max: (1n << 320n) - 1n }), (exponent) => {
        expect(power(GROUP.g, exponent) === modexp(GROUP.g, exponent)).to.equal(true);
      }),
      { numRuns: 40, examples: [[0n], [1n], [63n], [64n], [(1n << 320n) - 1n], [1n << 319n]] },
    );
    expect(asked).to.deep.equal([]);
  });

  it('serves every bit of every row and column', () => {
    let expected: bigint = GROUP.g;
    for (let bit = 0n; bit < 324n; bit += 1n) {
      expect(power(GROUP.g, 1n << bit) === expected, `bit ${bit}`).to.equal(true);
      expected = (expected * expected) % GROUP.N;
    }
    const all = (1n << 324n) - 1n;
    expect(power(GROUP.g, all) === modexp(GROUP.g, all)).to.equal(true);
  });

  it('leaves longer exponents and other bases to the modexp behind it', () => {
    const longer = (1n << 324n) + 5n;
    expect(power(GROUP.g, longer) === modexp(GROUP.g, longer)).to.equal(true);
    expect(power(6n, 5n)).to.equal(7776n);
    expect(asked).to.deep.equal([
      [GROUP.g, longer],
      [6n, 5n],
    ]);
  });
});
