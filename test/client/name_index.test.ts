import { expect } from 'chai';
import { foldForSearch, NameIndex } from '../../src/client/name_index.ts';

function indexOf(...names: string[]): NameIndex {
  const index = new NameIndex();
  for (const [at, name] of names.entries()) index.put({ id: `id-${at}`, name, kind: 'login', revision: 1n });
  return index;
}
const namesOf = (entries: readonly { name: string }[]) => entries.map(({ name }) => name);

describe('the index of names', () => {
  it('finds nothing where one word is missing', () => {
    expect(indexOf('City Bank').search('bank card')).to.deep.equal([]);
  });

  it('does not find what was removed, or was under an older name', () => {
    const index = indexOf('Bank', 'Post');
    index.remove('id-0');
    index.put({ id: 'id-1', name: 'Mail', kind: 'login', revision: 2n });
    expect(namesOf(index.all())).to.deep.equal(['Mail']);
    index.clear();
    expect(index.all()).to.deep.equal([]);
  });

  it('does not care about case, accents and compatibility forms', () => {
    expect(foldForSearch('Zürich ＢＡＮＫ ﬁx')).to.equal('zurich bank fix');
    expect(namesOf(indexOf('Zürich Bank').search('ZURICH ｂank'))).to.deep.equal(['Zürich Bank']);
  });

  it('takes a query for text, not for a pattern', () => {
    expect(namesOf(indexOf('a.b', 'axb', '(x').search('.'))).to.deep.equal(['a.b']);
    expect(namesOf(indexOf('a.b', '(x').search('('))).to.deep.equal(['(x']);
  });

  it('ranks whole names first, then beginnings, word beginnings and the rest', () => {
    const index = indexOf('Embankment', 'My bank', 'Bankomat', 'bank', 'Post');
    expect(namesOf(index.search('bank'))).to.deep.equal(['bank', 'Bankomat', 'My bank', 'Embankment']);
  });

  it('answers all in alphabetical order for an empty query', () => {
    expect(namesOf(indexOf('b', 'C', 'a').search('  '))).to.deep.equal(['a', 'b', 'C']);
  });
});
