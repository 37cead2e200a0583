import { expect } from 'chai';
import { formatSeconds, timed } from '../../src/cli/timed.ts';
import { rejection } from '../support/rejection.ts';

describe('what is timed', () => {
  it('passes on what the work throws', async () => {
    const failure = new Error('the disk is full');
    expect(await rejection(timed(() => Promise.reject(failure)))).to.equal(failure);
  });

  it('has what the work answered and its time', async () => {
    const { done, milliseconds } = await timed(
      () => new Promise((resolve) => setTimeout(() => resolve('copied'), 30)),
    );
    expect(done).to.equal('copied');
    expect(milliseconds).to.be.at.least(25);
    expect(Number.isInteger(milliseconds)).to.equal(true);
    expect(formatSeconds(1_349)).to.equal('1.3 s');
  });
});
