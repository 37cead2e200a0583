import { expect } from 'chai';
import { createTestDatabase, type TestDatabase } from '../../support/test_database.ts';

describe('the first schema', () => {
  let test: TestDatabase;

  before(async () => {
    test = await createTestDatabase();
  });

  after(() => test.drop());

  it('has the tables and their columns', async () => {
    const rows = await test.query(
      "select table_name, count(*)::int as columns from information_schema.columns where table_schema = 'public' group by 1 order by 1",
    );
    expect(rows).to.deep.equal([
      { table_name: 'audit_events', columns: 4 },
      { table_name: 'auth_ephemerals', columns: 22 },
      { table_name: 'invites', columns: 5 },
      { table_name: 'login_networks', columns: 3 },
      { table_name: 'login_sessions', columns: 11 },
      { table_name: 'rate_counters', columns: 4 },
      { table_name: 'schema_migrations', columns: 3 },
      { table_name: 'secure_data', columns: 10 },
      { table_name: 'server_keys', columns: 7 },
      { table_name: 'users', columns: 32 },
    ]);
  });

  it('leaves room on the pages of what every call updates', async () => {
    const [row] = await test.query("select reloptions from pg_class where relname = 'login_sessions'");
    expect(row!.reloptions).to.include('fillfactor=50');
  });

  it('deletes with a user everything of the user', async () => {
    const rows = await test.query(
      "select conrelid::regclass::text as name, confdeltype as rule from pg_constraint where contype = 'f' order by 1",
    );
    expect(rows).to.deep.equal([
      { name: 'auth_ephemerals', rule: 'c' },
      { name: 'login_networks', rule: 'c' },
      { name: 'login_sessions', rule: 'c' },
      { name: 'secure_data', rule: 'c' },
    ]);
  });
});
