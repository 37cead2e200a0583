import { expect } from 'chai';
import { createTestDatabase, type TestDatabase } from '../../support/test_database.ts';

describe('checks by domain', () => {
  let test: TestDatabase;

  before(async () => {
    test = await createTestDatabase();
  });

  after(() => test.drop());

  it('bound every column that they bounded', async () => {
    const rows = await test.query(
      `select count(*)::int as n from information_schema.columns
       where table_schema = 'public' and table_name in ('users', 'login_sessions', 'secure_data') and domain_name is not null and column_name <> 'max_entries'`,
    );
    expect(rows).to.deep.equal([{ n: 24 }]);
  });
});
