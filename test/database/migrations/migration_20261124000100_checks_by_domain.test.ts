import { expect } from 'chai';
import { createTestDatabase, type TestDatabase } from '../../support/test_database.ts';

describe('checks by domain', () => {
  let test: TestDatabase;

  before(async () => {
    test = await createTestDatabase();
  });

  after(() => test.drop());

  it('leave no check of a column on the tables that sealed calls write', async () => {
    const rows = await test.query(
      `select conrelid::regclass::text as name, conname from pg_constraint
       where contype = 'c' and conrelid in ('users'::regclass, 'login_sessions'::regclass, 'secure_data'::regclass)
       order by 1`,
    );
    expect(rows).to.deep.equal([
      { name: 'secure_data', conname: 'secure_data_is_whole' },
      { name: 'users', conname: 'users_change_is_whole' },
    ]);
  });

  it('bound every column that they bounded', async () => {
    const rows = await test.query(
      `select count(*)::int as n from information_schema.columns
       where table_schema = 'public' and table_name in ('users', 'login_sessions', 'secure_data') and domain_name is not null and column_name <> 'max_entries'`,
    );
    expect(rows).to.deep.equal([{ n: 24 }]);
  });
});
