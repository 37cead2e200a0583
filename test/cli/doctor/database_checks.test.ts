import { expect } from 'chai';
import pg from 'pg';
import { DATABASE_CHECKS } from '../../../src/cli/doctor/database_checks.ts';
import { type Database, openDatabase } from '../../../src/database/database.ts';
import { look, subjectOf } from '../../support/doctor.ts';
import { insertRow, sampleAttempt, sampleEntry, sampleUser } from '../../support/sample_rows.ts';
import { createTestDatabase, type TestDatabase, testPostgres } from '../../support/test_database.ts';
import { databaseUrl } from '../../support/test_server.ts';

describe('the checks of the database', () => {
  let own: TestDatabase;
  let database: Database;

  before(async () => {
    own = await createTestDatabase();
    database = await openDatabase({ connection: own.connection, poolSize: 1 });
  });

  after(async () => {
    await database.close();
    await own.drop();
  });

  const check = (name: string, settings: Record<string, string> = {}) =>
    look(DATABASE_CHECKS, name, subjectOf(settings, { database }));

  /** One statement from another database, which the settings of this one do not touch. */
  const asAdministrator = async (statement: string): Promise<void> => {
    const client = new pg.Client(testPostgres());
    await client.connect();
    await client.query(statement);
    await client.end();
  };

  /** What a check finds on connections that are made while the database has a setting. */
  async function checkWith(setting: string, value: string, name: string) {
    await asAdministrator(`alter database ${own.connection.database} set ${setting} = ${value}`);
    const other = await openDatabase({ connection: own.connection, poolSize: 1 });
    try {
      return await look(DATABASE_CHECKS, name, subjectOf({}, { database: other }));
    } finally {
      await other.close();
      await asAdministrator(`alter database ${own.connection.database} reset ${setting}`);
    }
  }

  it('are all skipped but the first where the database does not answer', async () => {
    const states = await Promise.all(
      DATABASE_CHECKS.map(async ({ name: each }) => (await look(DATABASE_CHECKS, each, subjectOf())).state),
    );
    expect(states[0]).to.equal('failure');
    expect(new Set(states.slice(1))).to.deep.equal(new Set(['skipped']));
  });

  it('find rows with one half of what belongs together', async () => {
    expect(await check('whole_rows')).to.include({ state: 'good' });
    const user = sampleUser();
    await insertRow(own, 'users', user);
    await insertRow(own, 'secure_data', { ...sampleEntry(user.id as string), entry_data: null });
    expect(await check('whole_rows')).to.include({ state: 'failure' });
    await own.query('delete from secure_data');
    await own.query('update users set change_session_id = gen_random_uuid()');
    expect(await check('whole_rows')).to.include({ state: 'failure' });
    await own.query('delete from users');
  });

  it('find a schema of a newer version, and migrations that wait', async () => {
    await own.query("insert into schema_migrations (name) values ('Migration29990101000000Later')");
    expect(await check('schema')).to.include({ state: 'failure' });
    await own.query("delete from schema_migrations where name like 'Migration2999%'");
    const [last] = await own.query('select name from schema_migrations order by name desc limit 1');
    await own.query('delete from schema_migrations where name = $1', [last!.name]);
    expect(await check('schema')).to.include({ state: 'warning', detail: '1 migrations wait' });
    await own.query('insert into schema_migrations (name) values ($1)', [last!.name]);
    expect(await check('schema')).to.include({ state: 'good' });
  });

  it('find a database that takes no writes, and one that acknowledges before the disk has it', async () => {
    expect(await checkWith('default_transaction_read_only', 'on', 'database_writable')).to.include({
      state: 'failure',
    });
    expect(await check('database_writable')).to.include({ state: 'good' });
    // The test's PostgreSQL runs without fsync, as no real one may.
    const [{ fsync }] = (await own.query("select current_setting('fsync') as fsync")) as [{ fsync: string }];
    expect(await check('fsync')).to.include({ state: fsync === 'on' ? 'good' : 'failure' });
  });

  it('find that commits do not wait for the disk, which the server itself asks for on every connection', async () => {
    const found = await checkWith('synchronous_commit', 'off', 'synchronous_commit');
    expect(found).to.include({ state: 'good', detail: 'on' });
    // Behind a pooler another connection may answer than the one that was asked.
    const pooled = { writes: { execute: async () => ({ rows: [{ value: 'off' }] }) } } as unknown as Database;
    const lost = await look(DATABASE_CHECKS, 'synchronous_commit', subjectOf({}, { database: pooled }));
    expect(lost).to.include({ state: 'failure' });
  });

  it('find clean-up that does not happen', async () => {
    expect(await check('pending_cleanup')).to.include({ state: 'good' });
    await insertRow(own, 'auth_ephemerals', {
      ...sampleAttempt(),
      expires_at: new Date(Date.now() - 3_600_000),
    });
    expect(await check('pending_cleanup')).to.include({ state: 'warning' });
    await own.query('delete from auth_ephemerals');
  });

  it('find rows from the future, which a clock that went back leaves', async () => {
    expect(await check('clock')).to.include({ state: 'good' });
    await insertRow(own, 'users', { ...sampleUser(), created_at: new Date(Date.now() + 3_600_000) });
    expect(await check('clock')).to.include({ state: 'warning' });
    await own.query('delete from users');
  });

  it('find too few connections', async () => {
    expect((await check('connections', { PASSMANAGER_DATABASE_POOL_SIZE: '200' })).state).to.equal('warning');
  });

  it('find a remote database in clear text, and none that stays on the machine', async () => {
    const remote = { PASSMANAGER_DATABASE_URL: 'postgres://me@db.example.org/passmanager' };
    expect(await check('database_encryption', remote)).to.include({ state: 'warning' });
    const local = { PASSMANAGER_DATABASE_URL: databaseUrl(own) };
    expect(await check('database_encryption', local)).to.include({ state: 'good' });
    expect(await check('database_encryption')).to.include({ state: 'good' });
  });

  it('find that notifications do not arrive where a pooler is not spoken of', async () => {
    expect(await check('notifications')).to.include({ state: 'good', detail: 'they arrive' });
    const pooled = await openDatabase({ connection: own.connection, poolSize: 1, pgbouncer: true });
    const found = await look(DATABASE_CHECKS, 'notifications', subjectOf({}, { database: pooled }));
    await pooled.close();
    expect(found).to.include({ state: 'warning' });
    expect(await check('notifications', { PASSMANAGER_PGBOUNCER: 'on' })).to.include({ state: 'good' });
  }).timeout(10_000);

  it('are good on a database that is in order, and say how large it is', async () => {
    for (const each of [
      'database',
      'database_version',
      'clock',
      'table_bloat',
      'autovacuum',
      'transaction_age',
      'long_transactions',
    ])
      expect(await check(each), each).to.include({ state: 'good', advice: '' });
    expect((await check('database_size')).detail).to.contain('0 accounts with 0 entries');
    expect((await check('replication')).state).to.equal('skipped');
  });
});
