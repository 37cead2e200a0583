import { expect } from 'chai';
import { meets } from '../../../bench/support/bar.ts';

describe('a goal', () => {
  it('is refused when it is no bound', () => {
    expect(() => meets(1, 'about 3')).to.throw(RangeError);
  });

  it('is met at its bound and on the right side of it', () => {
    expect([
      meets(1.15, '<= 1.15'),
      meets(1.16, '<= 1.15'),
      meets(0.75, '>= 0.75'),
      meets(0.74, '>= 0.75'),
    ]).to.deep.equal([true, false, true, false]);
  });
});
