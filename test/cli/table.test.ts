import { expect } from 'chai';
import { formatBytes, formatTable } from '../../src/cli/table.ts';

describe('a table', () => {
  it('has columns of one width, numbers to the right, and no trailing blanks', () => {
    expect(
      formatTable(
        ['NAME', 'COUNT', 'X'],
        [
          ['a', 5, 'x'],
          ['longer', 1234567, ''],
        ],
      ),
    ).to.deep.equal(['NAME    COUNT    X', 'a             5  x', 'longer  1234567']);
  });

  it('writes bytes with three digits and a unit', () => {
    expect([0, 1023, 1024, 1_572_864, 3 * 1024 ** 4].map(formatBytes)).to.deep.equal([
      '0 B',
      '1023 B',
      '1.00 KiB',
      '1.50 MiB',
      '3.00 TiB',
    ]);
  });
});
