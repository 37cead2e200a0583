import { randomBytes } from 'node:crypto';
import { expect } from 'chai';
import { type Database, openDatabase } from '../../../src/database/database.ts';
import { SecureData } from '../../../src/database/entities/secure_data.ts';
import { insertRow, refusedState, sampleEntry, sampleUser } from '../../support/sample_rows.ts';
import { createTestDatabase, type TestDatabase } from '../../support/test_database.ts';

describe('the SecureData entity', () => {
  let test: TestDatabase;
  let database: Database;
  let userId: unknown;

  before(async () => {
    test = await createTestDatabase();
    database = await openDatabase({ connection: test.connection, poolSize: 2 });
    const user = sampleUser();
    userId = user.id;
    await insertRow(test, 'users', user);
  });

  after(async () => {
    await database.close();
    await test.drop();
  });

  for (const [column, value] of [
    ['entry_name', randomBytes(29)],
    ['entry_data', randomBytes(29)],
    ['entry_name', randomBytes(65_566)],
    ['entry_data', randomBytes(1_048_606)],
    ['new_entry_name', randomBytes(29)],
    ['new_entry_data', randomBytes(1_048_606)],
    ['revision', 0],
  ] as const) {
    it(`is refused with ${column} that cannot be (${Buffer.isBuffer(value) ? `${value.length} bytes` : value})`, async () => {
      expect(await refusedState(test, 'secure_data', { ...sampleEntry(userId), [column]: value })).to.equal(
        '23514',
      );
    });
  }

  it('is one row for a user and an id, which another user may have too', async () => {
    const row = sampleEntry(userId);
    await insertRow(test, 'secure_data', row);
    expect(await refusedState(test, 'secure_data', row)).to.equal('23505');
    const other = sampleUser();
    await insertRow(test, 'users', other);
    await insertRow(test, 'secure_data', { ...row, user_id: other.id });
    expect(await database.em().find(SecureData, { entryId: row.entry_id as string })).to.have.length(2);
  });

  it('is a tombstone without name and data', async () => {
    await insertRow(test, 'secure_data', { ...sampleEntry(userId), entry_name: null, entry_data: null });
  });

  it('keeps its bytes out of line uncompressed', async () => {
    const rows = await test.query(
      "select attname from pg_attribute where attrelid = 'secure_data'::regclass and atttypid = 'bytea'::regtype and attstorage <> 'e'",
    );
    expect(rows).to.deep.equal([]);
  });
});
