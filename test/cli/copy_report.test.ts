import { expect } from 'chai';
import { formatRowCounts, showProgress } from '../../src/cli/copy_report.ts';

describe('the report of a copy', () => {
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
