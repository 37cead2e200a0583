import { expect } from 'chai';
import { picture } from '../../../bench/support/picture.ts';

describe('the picture of curves', () => {
  it('has every point of every curve inside its panel, and escapes what it writes', () => {
    const points = [
      [1, 0.5],
      [1_000_000, 2],
    ] as const;
    const svg = picture([
      { title: 'a < b', xLabel: 'entries', yLabel: 'ms', series: [{ name: 'one', points }] },
      { title: 'flat', xLabel: 'x', yLabel: 'y', series: [{ name: 'two', points: [[5, 1]] }] },
    ]);
    expect(svg).to.include('a &lt; b').and.to.include('>1M<');
    const circles = [...svg.matchAll(/cx="([\d.]+)" cy="([\d.]+)"/g)];
    expect(circles).to.have.length(3);
    for (const [, x, y] of circles) {
      expect(Number(x)).to.be.within(0, 360);
      expect(Number(y)).to.be.within(0, 260);
    }
  });
});
