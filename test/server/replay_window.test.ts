import { expect } from 'chai';
import fc from 'fast-check';
import {
  acceptNumber,
  isReplay,
  mergeWindows,
  type ReplayWindow,
  wasAccepted,
} from '../../src/server/replay_window.ts';

const FRESH: ReplayWindow = { highest: -1n, window: 0n };

/** The window as RFC 4303 §3.4.3 tells it: a set of numbers and a lower edge. */
class Model {
  readonly seen = new Set<bigint>();
  highest = -1n;

  accept(n: bigint): boolean {
    if (this.seen.has(n) || n + 64n <= this.highest) return false;
    this.seen.add(n);
    if (n > this.highest) this.highest = n;
    return true;
  }
}

const accepted = (numbers: readonly bigint[], from = FRESH): ReplayWindow =>
  numbers.reduce((window, n) => (isReplay(window, n) ? window : acceptNumber(window, n)), from);

describe('the replay window', () => {
  it('refuses a number that was seen', () => {
    expect(isReplay(accepted([0n]), 0n)).to.equal(true);
    expect(isReplay(accepted([5n, 3n]), 3n)).to.equal(true);
  });

  it('refuses a number 64 below the highest and accepts one 63 below', () => {
    expect(isReplay(accepted([64n]), 0n)).to.equal(true);
    expect(isReplay(accepted([63n]), 0n)).to.equal(false);
  });

  it('keeps nothing of the old window after a jump of 64 or more', () => {
    expect(acceptNumber(accepted([0n, 1n, 2n]), 66n)).to.deep.equal({ highest: 66n, window: 1n });
    expect(acceptNumber(accepted([0n]), 2n ** 53n - 1n)).to.deep.equal({
      highest: 2n ** 53n - 1n,
      window: 1n,
    });
  });

  it('does not claim that a number was accepted when it is too old to tell', () => {
    expect(wasAccepted(accepted([100n]), 0n)).to.equal(false);
    expect(wasAccepted(accepted([100n, 99n]), 99n)).to.equal(true);
    expect(wasAccepted(accepted([100n]), 99n)).to.equal(false);
    expect(wasAccepted(accepted([100n]), 101n)).to.equal(false);
  });

  it('agrees with the model for numbers in any order', () => {
    fc.assert(
      fc.property(fc.array(fc.bigInt({ min: 0n, max: 300n }), { maxLength: 200 }), (numbers) => {
        const model = new Model();
        let window = FRESH;
        for (const n of numbers) {
          const fresh = !isReplay(window, n);
          expect(fresh).to.equal(model.accept(n));
          if (fresh) window = acceptNumber(window, n);
          expect(window.highest).to.equal(model.highest);
          expect(window.window < 2n ** 64n).to.equal(true);
        }
      }),
    );
  });

  it('merges two windows into one that refuses what either has seen', () => {
    const numbers = fc.array(fc.bigInt({ min: 0n, max: 150n }), { minLength: 1, maxLength: 60 });
    fc.assert(
      fc.property(numbers, numbers, (left, right) => {
        const one = accepted(left);
        const other = accepted(right);
        const merged = mergeWindows(one, other);
        for (let n = 0n; n < 220n; n += 1n) {
          const refused = isReplay(merged, n);
          if (isReplay(one, n) || isReplay(other, n)) expect(refused).to.equal(true);
          else expect(refused).to.equal(n + 64n <= merged.highest);
        }
      }),
    );
  });
});
