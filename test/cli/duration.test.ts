import { expect } from 'chai';
import { InvalidArgumentError } from 'commander';
import { parseDuration } from '../../src/cli/duration.ts';

describe('a duration', () => {
  it('refuses what is no duration', () => {
    for (const text of ['', '0d', '7', '7w', '-1d', '1.5h', '99999999m', '3651d'])
      expect(() => parseDuration(text), text).to.throw(InvalidArgumentError);
    expect(['90m', '12h', '7d'].map(parseDuration)).to.deep.equal([5_400, 43_200, 604_800]);
  });
});
