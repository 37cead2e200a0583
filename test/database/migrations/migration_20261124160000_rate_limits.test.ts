import { expect } from 'chai';
import { createTestDatabase, type TestDatabase } from '../../support/test_database.ts';

describe('the tables of limits', () => {
  let test: TestDatabase;

  before(async () => {
    test = await createTestDatabase();
  });

  after(() => test.drop());

  it('keep counters out of the log, and networks in it', async () => {
    const rows = await test.query(
      "select relname as name, relpersistence as kept from pg_class where relname in ('rate_counters', 'login_networks') order by 1",
    );
    expect(rows).to.deep.equal([
      { name: 'login_networks', kept: 'p' },
      { name: 'rate_counters', kept: 'u' },
    ]);
  });
});
