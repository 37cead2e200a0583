import { expect } from 'chai';
import fc from 'fast-check';
import { batchesOf, MAXIMUM_BATCH_BYTES, MAXIMUM_BATCH_ENTRIES } from '../../src/client/batches.ts';

describe('batches', () => {
  it('are none for nothing', () => {
    expect([...batchesOf([], () => 1)]).to.deep.equal([]);
  });

  it('lose and repeat nothing, and stay within 500 entries and 3 MiB unless one entry alone is larger', () => {
    const sizes = fc.array(fc.oneof(fc.constant(10), fc.integer({ min: 0, max: 4_000_000 })), {
      maxLength: 1200,
    });
    fc.assert(
      fc.property(sizes, (items) => {
        const batches = [...batchesOf(items, (size) => size)];
        expect(batches.flat()).to.deep.equal(items);
        for (const batch of batches) {
          expect(batch.length).to.be.within(1, MAXIMUM_BATCH_ENTRIES);
          const bytes = batch.reduce((sum, size) => sum + size, 0);
          expect(batch.length === 1 || bytes <= MAXIMUM_BATCH_BYTES).to.equal(true);
        }
      }),
      { numRuns: 30 },
    );
  });

  it('are as few as 500 entries a call allow', () => {
    expect([...batchesOf(new Array(1001).fill(0), () => 1)].map((batch) => batch.length)).to.deep.equal([
      500, 500, 1,
    ]);
  });
});
