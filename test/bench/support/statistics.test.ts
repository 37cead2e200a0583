import { expect } from 'chai';
import { exponent, median, percentile, spread } from '../../../bench/support/statistics.ts';

describe('the statistics of rounds', () => {
  it('have no median and no percentile of nothing', () => {
    expect(() => median([])).to.throw(RangeError);
    expect(() => percentile([], 0.5)).to.throw(RangeError);
  });

  it('take the middle, and the mean of the two middle ones', () => {
    expect(median([9, 1, 5])).to.equal(5);
    expect(median([4, 1, 2, 9])).to.equal(3);
  });

  it('take a percentile by nearest rank', () => {
    const hundred = Array.from({ length: 100 }, (_, index) => 100 - index);
    expect(percentile(hundred, 0.99)).to.equal(99);
    expect(percentile(hundred, 0)).to.equal(1);
    expect(percentile([7], 0.99)).to.equal(7);
  });

  it('say how far rounds are apart as a share of the median', () => {
    expect(spread([90, 100, 110])).to.equal(0.2);
  });

  it('find the exponent of a curve', () => {
    const cubes = [1, 2, 5, 10].map((x) => [x, 7 * x ** 3] as const);
    expect(exponent(cubes)).to.be.closeTo(3, 1e-9);
    expect(exponent(cubes.map(([x]) => [x, 4] as const))).to.be.closeTo(0, 1e-9);
  });
});
