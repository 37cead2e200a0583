import { expect } from 'chai';
import { DEFAULT_RETRY_POLICY, waitBefore } from '../../src/client/retry.ts';

describe('the wait before another attempt', () => {
  const policy = { attempts: 4, firstWaitMs: 100, longestWaitMs: 250 };

  it('gives up after the last attempt', () => {
    expect(waitBefore(3, policy, 0.5, undefined)).to.equal(undefined);
  });

  it('gives up when the server asks for more patience than there is', () => {
    expect(waitBefore(0, policy, 0.5, 1)).to.equal(undefined);
  });

  it('doubles, up to the longest', () => {
    expect([0, 1, 2].map((attempt) => waitBefore(attempt, policy, 1, undefined))).to.deep.equal([
      100, 200, 250,
    ]);
  });

  it('is spread by chance from nothing up', () => {
    expect(waitBefore(1, policy, 0, undefined)).to.equal(0);
    expect(waitBefore(1, policy, 0.5, undefined)).to.equal(100);
  });

  it('keeps in full what the server asked for', () => {
    expect(waitBefore(0, DEFAULT_RETRY_POLICY, 0, 2)).to.equal(2_000);
  });
});
