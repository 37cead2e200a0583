import { expect } from 'chai';
import { formatRowCounts, formatSeconds, showProgress, timed } from '../../src/cli/copy_report.ts';
import { rejection } from '../support/rejection.ts';

describe('the report of a copy', () => {
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

  it('tells tables and rows', () => {
    const lines: string[] = [];
    showProgress({ progress: (line) => void lines.push(line) })({ table: 'users', rows: 2, of: 5 });
    expect(lines).to.deep.equal(['users: 2 of 5 rows']);
    const [head, ...rows] = formatRowCounts([{ table: 'users', rows: 5 }]);
    expect(head).to.match(/^TABLE +ROWS$/);
    expect(rows).to.have.length(1);
    expect(rows[0]).to.match(/^users +5$/);
  });
});
