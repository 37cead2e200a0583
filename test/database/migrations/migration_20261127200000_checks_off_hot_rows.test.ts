import { expect } from 'chai';
import { createTestDatabase, type TestDatabase } from '../../support/test_database.ts';

describe('checks off hot rows', () => {
  let test: TestDatabase;

  before(async () => {
    test = await createTestDatabase();
  });

  after(() => test.drop());

  it('leave no check on the tables that sealed calls write', async () => {
    const rows = await test.query(
      `select conname from pg_constraint
       where contype = 'c' and conrelid in ('users'::regclass, 'login_sessions'::regclass, 'secure_data'::regclass)`,
    );
    expect(rows).to.deep.equal([]);
  });
});
