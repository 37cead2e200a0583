import { randomBytes, randomUUID } from 'node:crypto';
import { expect } from 'chai';
import { type Database, openDatabase } from '../../../src/database/database.ts';
import { LoginSession } from '../../../src/database/entities/login_session.ts';
import { insertRow, refusedState, sampleSession, sampleUser } from '../../support/sample_rows.ts';
import { createTestDatabase, type TestDatabase } from '../../support/test_database.ts';

describe('the LoginSession entity', () => {
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
    ['session_key', randomBytes(32)],
    ['kind', 0],
    ['maximum_requests', 0],
    ['highest_request_number', '9007199254740992'],
    ['highest_request_number', -2],
  ] as const) {
    it(`is refused with ${column} of ${String(value).length} characters that cannot be`, async () => {
      expect(
        await refusedState(test, 'login_sessions', { ...sampleSession(userId), [column]: value }),
      ).to.equal('23514');
    });
  }

  it('begins with no request seen, and needs a user', async () => {
    const row = sampleSession(userId);
    await insertRow(test, 'login_sessions', row);
    const session = await database.em().findOneOrFail(LoginSession, { id: row.id as string });
    expect(session.highestRequestNumber).to.equal(-1n);
    expect(session.requestWindow).to.equal(0n);
    expect(session.requestCount).to.equal(0n);
    expect(session.maximumRequests).to.equal(null);
    expect(session.sessionKey).to.equal(undefined);
    expect(await refusedState(test, 'login_sessions', sampleSession(randomUUID()))).to.equal('23503');
  });

  it('has no index on what changes with every request, so that its updates stay on the page', async () => {
    const row = sampleSession(userId);
    await insertRow(test, 'login_sessions', row);
    for (let count = 0; count < 50; count += 1) {
      await test.query(
        'update login_sessions set request_count = request_count + 1, last_used_at = clock_timestamp() where id = $1',
        [row.id],
      );
    }
    const [definition] = await test.query(
      "select string_agg(indexdef, ' ') as text from pg_indexes where tablename = 'login_sessions'",
    );
    for (const column of ['highest_request_number', 'request_window', 'request_count', 'last_used_at']) {
      expect(definition!.text).not.to.include(column);
    }
  });
});
