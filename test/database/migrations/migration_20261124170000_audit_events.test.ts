import { expect } from 'chai';
import { createTestDatabase, type TestDatabase } from '../../support/test_database.ts';

describe('the table of audit events', () => {
  let test: TestDatabase;

  before(async () => {
    test = await createTestDatabase();
  });

  after(() => test.drop());

  it('gives every event an id and a time of its own', async () => {
    await test.query("insert into audit_events (event) values ('one'), ('two')");
    const [row] = await test.query(
      'select count(distinct id)::int as ids, count(distinct at)::int as times from audit_events',
    );
    expect(row).to.deep.equal({ ids: 2, times: 2 });
  });
});
