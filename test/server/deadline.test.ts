import { expect } from 'chai';
import fc from 'fast-check';
import { capConnectTimeout, capGrpcTimeout } from '../../src/server/deadline.ts';

describe('capGrpcTimeout', () => {
  it('refuses what is not one to eight digits and a unit', () => {
    for (const text of ['', 'S', '1', '1s', '-1S', '1.5S', '123456789S', '1S, 1S', ' 1S', '1S\n']) {
      expect(capGrpcTimeout(text, 1000), JSON.stringify(text)).to.equal(undefined);
    }
  });

  it('leaves a deadline below the cap as it is written', () => {
    for (const text of ['0S', '59999m', '60S', '1M', '59999999u', '99999999n']) {
      expect(capGrpcTimeout(text, 60_000), text).to.equal(text);
    }
  });

  it('lowers a deadline above the cap to the cap', () => {
    for (const text of ['60001m', '61S', '2M', '1H', '99999999H']) {
      expect(capGrpcTimeout(text, 60_000), text).to.equal('60000m');
    }
    expect(capGrpcTimeout('25H', 24 * 3_600_000)).to.equal('86400000m');
    expect(capGrpcTimeout('99999999H', 2 ** 31 - 1)).to.equal('2147483S');
  });

  it('never answers more than eight digits, nor more than the cap', () => {
    const unitMs: Record<string, number> = { H: 3_600_000, M: 60_000, S: 1000, m: 1, u: 1e-3, n: 1e-6 };
    fc.assert(
      fc.property(
        fc.integer({ min: 0, max: 99_999_999 }),
        fc.constantFrom(...Object.keys(unitMs)),
        fc.integer({ min: 1, max: 2 ** 31 - 1 }),
        (number, unit, capMs) => {
          const [, digits, answeredUnit] = /^(\d{1,8})([HMSmun])$/.exec(
            capGrpcTimeout(`${number}${unit}`, capMs)!,
          )!;
          expect(Number(digits) * unitMs[answeredUnit!]!).to.be.at.most(capMs);
        },
      ),
    );
  });
});

describe('capConnectTimeout', () => {
  it('refuses what is not one to ten digits', () => {
    for (const text of ['', '1S', '-1', '1.5', '12345678901', '1, 1', ' 1']) {
      expect(capConnectTimeout(text, 1000), JSON.stringify(text)).to.equal(undefined);
    }
  });

  it('leaves a deadline up to the cap and lowers others to it', () => {
    expect(capConnectTimeout('60000', 60_000)).to.equal('60000');
    expect(capConnectTimeout('60001', 60_000)).to.equal('60000');
    expect(capConnectTimeout('9999999999', 60_000)).to.equal('60000');
  });
});
