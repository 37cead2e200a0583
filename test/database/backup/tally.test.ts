import { createHash } from 'node:crypto';
import { expect } from 'chai';
import { countRows, Tally } from '../../../src/database/backup/tally.ts';

describe('a tally of rows', () => {
  it('counts rows by their ends', () => {
    expect(countRows(Buffer.from(''))).to.equal(0);
    expect(countRows(Buffer.from('a\\nb\tc\nd\n'))).to.equal(2);
  });

  it('comes to the same wherever the rows were cut, and to something else in another order', () => {
    const of = (...pieces: string[]) => {
      const tally = new Tally();
      for (const piece of pieces) tally.add(Buffer.from(piece));
      return tally.end();
    };
    const whole = of('one\ntwo\n');
    expect(whole).to.deep.equal({
      rows: 2,
      bytes: 8,
      sha256: createHash('sha256').update('one\ntwo\n').digest('hex'),
    });
    expect(of('on', 'e', '\ntwo', '\n')).to.deep.equal(whole);
    expect(of('two\none\n').sha256).not.to.equal(whole.sha256);
    expect(of()).to.deep.include({ rows: 0, bytes: 0 });
  });

  it('says how far it is', () => {
    const tally = new Tally();
    tally.add(Buffer.from('one\ntw'));
    expect(tally.rows).to.equal(1);
  });
});
