import { expect } from 'chai';
import { rejection } from '../../support/rejection.ts';
import { insertRow, sampleAttempt, sampleUser } from '../../support/sample_rows.ts';
import { createTestDatabase, type TestDatabase } from '../../support/test_database.ts';

describe('attempts by name', () => {
  let test: TestDatabase;

  before(async () => {
    test = await createTestDatabase();
  });

  after(() => test.drop());

  it('keep no user with a log-in, so that a known name leaves nothing that an unknown one does not', async () => {
    const user = sampleUser();
    await insertRow(test, 'users', user);
    const attempt = sampleAttempt();
    await insertRow(test, 'auth_ephemerals', attempt);
    const refused = insertRow(test, 'auth_ephemerals', { ...sampleAttempt(), user_id: user.id });
    expect(String(await rejection(refused))).to.include('auth_ephemerals_user_is_of_change');
  });
});
