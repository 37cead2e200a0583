import { expect } from 'chai';
import { OpenCounts } from '../../src/server/open_counts.ts';

describe('counts of what is open', () => {
  it('are none for a key of which nothing was said, and keep nothing of it', () => {
    const counts = new OpenCounts();
    expect(counts.of('a')).to.equal(0);
    expect(counts.size).to.equal(0);
  });

  it('go up and down by key, and forget a key with its last', () => {
    const counts = new OpenCounts();
    for (const key of ['a', 'a', 'b']) counts.add(key, 1);
    expect([counts.of('a'), counts.of('b')]).to.deep.equal([2, 1]);
    counts.add('a', -1);
    counts.add('b', -1);
    expect([counts.of('a'), counts.of('b'), counts.size]).to.deep.equal([1, 0, 1]);
  });
});
