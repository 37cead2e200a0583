import { timestampDate } from '@bufbuild/protobuf/wkt';
import { expect } from 'chai';
import { batchGetResult, entryMessage } from '../../src/server/entry_messages.ts';

const row = (entry_id: string) => ({
  entry_id,
  entry_name: Buffer.from('name'),
  entry_data: Buffer.from('data'),
  revision: 7n,
  created_at: new Date('2026-11-24T01:02:03.004Z'),
  updated_at: new Date('2026-11-25T01:02:03.004Z'),
});

describe('the messages of entries', () => {
  it('sort what was asked for into found, missing and what did not fit, each in the order of asking', () => {
    const rows = [
      { ...row('c'), fits: true },
      { ...row('a'), fits: false, entry_name: null, entry_data: null },
    ];
    const { entries, missingEntryIds, remainingEntryIds } = batchGetResult(['d', 'c', 'b', 'a'], rows);
    expect(entries.map(({ entryId }) => entryId)).to.deep.equal(['c']);
    expect([missingEntryIds, remainingEntryIds]).to.deep.equal([['d', 'b'], ['a']]);
  });

  it('hold all that the row does', () => {
    const { createTime, updateTime, ...rest } = entryMessage(row('a'));
    expect(rest).to.deep.equal({
      entryId: 'a',
      entryName: Buffer.from('name'),
      entryData: Buffer.from('data'),
      revision: 7n,
    });
    expect([createTime, updateTime].map(timestampDate)).to.deep.equal([
      row('a').created_at,
      row('a').updated_at,
    ]);
  });
});
