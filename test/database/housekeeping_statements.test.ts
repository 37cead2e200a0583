import { randomBytes } from 'node:crypto';
import { expect } from 'chai';
import { type Database, openDatabase } from '../../src/database/database.ts';
import * as statements from '../../src/database/housekeeping_statements.ts';
import { insertRow, sampleAttempt, sampleEntry, sampleSession, sampleUser } from '../support/sample_rows.ts';
import { createTestDatabase, type TestDatabase } from '../support/test_database.ts';

const days = (count: number) => new Date(Date.now() - count * 86_400_000);

describe('the statements of the clean-up', () => {
  let test: TestDatabase;
  let database: Database;

  beforeEach(async () => {
    test = await createTestDatabase();
    database = await openDatabase({ connection: test.connection, poolSize: 3 });
  });

  afterEach(async () => {
    await database.close();
    await test.drop();
  });

  const ids = async (text: string, limit = 100) =>
    (await database.writes.execute(text, [limit])).rows.map(({ id }) => id);

  it('drop attempts that have expired and no others, a bite at a time', async () => {
    const [old, older, fresh] = [sampleAttempt(), sampleAttempt(), sampleAttempt()];
    await insertRow(test, 'auth_ephemerals', { ...old, expires_at: days(1) });
    await insertRow(test, 'auth_ephemerals', { ...older, expires_at: days(2) });
    await insertRow(test, 'auth_ephemerals', { ...fresh, expires_at: days(-1) });
    expect(await ids(statements.DELETE_EXPIRED_ATTEMPTS, 1)).to.have.length(1);
    expect(await ids(statements.DELETE_EXPIRED_ATTEMPTS)).to.have.length(1);
    expect((await test.query('select id from auth_ephemerals')).map(({ id }) => id)).to.deep.equal([
      fresh.id,
    ]);
  });

  it('drop sessions that have expired or spent their requests, not those of a password change', async () => {
    const user = sampleUser();
    await insertRow(test, 'users', user);
    const [expired, spent, live, unlimited, change] = Array.from({ length: 5 }, () => sampleSession(user.id));
    await insertRow(test, 'login_sessions', { ...expired!, expires_at: days(1) });
    await insertRow(test, 'login_sessions', { ...spent!, maximum_requests: 5, request_count: 5 });
    await insertRow(test, 'login_sessions', {
      ...live!,
      expires_at: days(-1),
      maximum_requests: 5,
      request_count: 4,
    });
    await insertRow(test, 'login_sessions', { ...unlimited!, request_count: '4294967295' });
    await insertRow(test, 'login_sessions', { ...change!, kind: 2, maximum_requests: 5, request_count: 5 });
    expect(await ids(statements.DELETE_EXPIRED_SESSIONS)).to.deep.equal([expired!.id]);
    expect(await ids(statements.DELETE_SPENT_SESSIONS)).to.deep.equal([spent!.id]);
    const left = (await test.query('select id from login_sessions')).map(({ id }) => id);
    expect(left).to.have.members([live!.id, unlimited!.id, change!.id]);
  });

  it('leave rows to another replica that is at them', async () => {
    await insertRow(test, 'auth_ephemerals', { ...sampleAttempt(), expires_at: days(1) });
    await database.transaction(async (transaction) => {
      const { rows } = await transaction.execute(statements.DELETE_EXPIRED_ATTEMPTS, [10]);
      expect(rows).to.have.length(1);
      expect(await ids(statements.DELETE_EXPIRED_ATTEMPTS)).to.deep.equal([]);
    });
  });

  it('find accounts with tombstones older than a year, once a year', async () => {
    const [old, young, purged] = [sampleUser(), sampleUser(), sampleUser()];
    await insertRow(test, 'users', { ...old, created_at: days(800) });
    await insertRow(test, 'users', { ...young, created_at: days(10) });
    await insertRow(test, 'users', { ...purged, created_at: days(800), tombstones_purged_at: days(300) });
    for (const user of [old, young, purged]) {
      const tombstone = { ...sampleEntry(user.id), entry_name: null, entry_data: null };
      await insertRow(test, 'secure_data', { ...tombstone, updated_at: days(400) });
      await insertRow(test, 'secure_data', { ...sampleEntry(user.id), updated_at: days(400) });
      await insertRow(test, 'secure_data', { ...sampleEntry(user.id), entry_name: null, entry_data: null });
    }
    expect(await ids(statements.LOCK_OLD_TOMBSTONES)).to.deep.equal([old.id]);
    await database.writes.execute(statements.PURGE_TOMBSTONES, [old.id]);
    await database.writes.execute(statements.NEW_HISTORY, [old.id, randomBytes(16)]);
    const [left] = await test.query('select count(*)::int as n from secure_data where user_id = $1', [
      old.id,
    ]);
    expect(left!.n).to.equal(2);
    expect(await ids(statements.LOCK_OLD_TOMBSTONES)).to.deep.equal([]);
  });

  it('ask indexes for what has expired', async () => {
    for (const [text, index] of [
      [statements.DELETE_EXPIRED_ATTEMPTS, 'auth_ephemerals_expires_at_index'],
      [statements.DELETE_EXPIRED_SESSIONS, 'login_sessions_expires_at_index'],
      [statements.LOCK_EXPIRED_CHANGES, 'users_open_change_index'],
      [statements.LOCK_OLD_TOMBSTONES, 'secure_data_tombstones_index'],
    ] as const) {
      const plan = await database.transaction(async (transaction) => {
        await transaction.execute('set local enable_seqscan = off', []);
        return (await transaction.execute(`explain ${text.replaceAll('$1', '10')}`, [])).rows;
      });
      expect(plan.map((row) => row['QUERY PLAN']).join('\n')).to.include(index);
    }
  });
});
