import { expect } from 'chai';
import { GROUP, type Modexp, modexp } from '../../../src/protocol/srp.ts';
import { createServerModexp, isCorrect } from '../../../src/server/srp/server_modexp.ts';

const fails: Modexp = () => {
  throw new Error('unavailable');
};

describe('the modexp of a log-in thread', () => {
  it('is not trusted when a base of full length, or g alone, comes out wrong', () => {
    expect(isCorrect((base, exponent) => modexp(base, exponent) ^ (base === GROUP.g ? 0n : 1n))).to.equal(
      false,
    );
    expect(isCorrect((base, exponent) => modexp(base, exponent) ^ (base === GROUP.g ? 1n : 0n))).to.equal(
      false,
    );
  });

  it('is not trusted when it throws', () => {
    expect(isCorrect(fails)).to.equal(false);
  });

  it('is BigInt’s where the fast one is wrong, throws or cannot be made', () => {
    const bigint = { power: modexp, arithmetic: 'bigint' };
    expect(createServerModexp(() => () => 1n)).to.deep.equal(bigint);
    expect(createServerModexp(() => fails)).to.deep.equal(bigint);
    expect(
      createServerModexp(() => {
        throw new Error('no such algorithm');
      }),
    ).to.deep.equal(bigint);
  });

  it('passes the known answers in BigInt, which was not used to make them', () => {
    expect(isCorrect(modexp)).to.equal(true);
  });

  it('is OpenSSL’s here', () => {
    const { power, arithmetic } = createServerModexp();
    expect(arithmetic).to.equal('openssl');
    expect(isCorrect(power)).to.equal(true);
  });
});
