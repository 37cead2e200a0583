import { expect } from 'chai';
import { CallSampling } from '../../src/server/call_sampling.ts';

describe('the sampling of calls', () => {
  let now = 0;
  let chance = 0;
  const sampling = (ratio: number) => new CallSampling({ ratio, random: () => chance, now: () => now });
  const taken = (sampling: CallSampling, asked: boolean | undefined, calls: number): number =>
    Array.from({ length: calls }, () => sampling.takes(asked)).filter(Boolean).length;

  beforeEach(() => {
    now = 0;
    chance = 0.5;
  });

  it('leaves out what its caller’s trace leaves out, whatever the ratio', () => {
    expect(taken(sampling(1), false, 100)).to.equal(0);
  });

  it('bounds what callers ask for: ten a second beyond the ratio, and no burst after a pause', () => {
    const none = sampling(0);
    expect(taken(none, true, 1_000)).to.equal(10);
    now = 999;
    expect(taken(none, true, 1_000)).to.equal(0);
    now = 1_000;
    expect(taken(none, true, 1_000)).to.equal(10);
    now = 100_000;
    expect(taken(none, true, 1_000)).to.equal(10);
  });

  it('goes by the ratio for those who ask too often, as for all who do not ask', () => {
    const half = sampling(0.5);
    expect(taken(half, undefined, 10)).to.equal(0);
    chance = 0.49;
    expect(taken(half, undefined, 10)).to.equal(10);
    expect(taken(half, true, 100)).to.equal(100);
    chance = 0.5;
    expect(taken(half, true, 100)).to.equal(0);
  });

  it('takes all or nothing at its ends', () => {
    for (const end of [0, 1 - 2 ** -53]) {
      chance = end;
      expect(taken(sampling(1), undefined, 1)).to.equal(1);
      expect(taken(sampling(0), undefined, 1)).to.equal(0);
    }
  });

  it('has chance and a clock of its own', () => {
    expect(taken(new CallSampling({ ratio: 1 }), undefined, 5)).to.equal(5);
    expect(taken(new CallSampling({ ratio: 0 }), true, 5)).to.equal(5);
  });
});
