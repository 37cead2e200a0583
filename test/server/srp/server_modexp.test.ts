import { expect } from 'chai';
import { GROUP, type Modexp, modexp } from '../../../src/protocol/srp.ts';
import { createGroupModexp, createMultipleModexp } from '../../../src/server/srp/openssl_modexp.ts';
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

  it('is not trusted when it serves the squares alone', () => {
    const refusing: Modexp = (base, exponent) => {
      if (modexp(base, (GROUP.N - 1n) / 2n) !== 1n) throw new Error('no member of the subgroup');
      return modexp(base, exponent);
    };
    expect(isCorrect(refusing)).to.equal(false);
  });

  it('is the first that computes what is known, and BigInt’s where none does, throws or cannot be made', () => {
    const unavailable = () => {
      throw new Error('no such group');
    };
    const wrong = [() => () => 1n, () => fails, unavailable];
    expect(createServerModexp(wrong)).to.deep.equal({ power: modexp, arithmetic: 'bigint' });
    const { power, arithmetic } = createServerModexp([...wrong, createMultipleModexp]);
    expect(arithmetic).to.equal('openssl');
    expect(isCorrect(power)).to.equal(true);
  });

  it('passes the known answers in BigInt, which was not used to make them', () => {
    expect(isCorrect(modexp)).to.equal(true);
  });

  it('is OpenSSL’s here, by either way', () => {
    expect(createServerModexp().arithmetic).to.equal('openssl');
    for (const create of [createGroupModexp, createMultipleModexp])
      expect(isCorrect(create())).to.equal(true);
  });
});
