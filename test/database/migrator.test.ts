import { expect } from 'chai';
import pg from 'pg';
import { type ConnectionOptions, type DatabaseOptions, openDatabase } from '../../src/database/database.ts';
import { migrations } from '../../src/database/migrations/index.ts';
import { MIGRATION_LOCK, migrate, NewerSchemaError } from '../../src/database/migrator.ts';
import { createTestDatabase, databaseUrl, type TestDatabase } from '../support/test_database.ts';

describe('the migrator', () => {
  let test: TestDatabase;

  beforeEach(async () => {
    test = await createTestDatabase({ migrated: false });
  });

  afterEach(() => test.drop());

  /** Migrates as a process of its own would; what it throws is returned. */
  const run = async (
    connection: ConnectionOptions,
    options: Partial<DatabaseOptions> = {},
  ): Promise<unknown> => {
    const database = await openDatabase({ connection, ...options });
    try {
      return await migrate(database);
    } catch (error) {
      return error;
    } finally {
      await database.close();
    }
  };

  /** Holds the lock, as another replica's run does, until `work` is done. */
  const whileLocked = async (work: () => Promise<void>): Promise<void> => {
    const other = new pg.Client(test.connection);
    await other.connect();
    try {
      await other.query('select pg_advisory_lock($1)', [MIGRATION_LOCK]);
      await work();
    } finally {
      await other.end();
    }
  };

  const untilSomebodyWaits = async (): Promise<void> => {
    for (;;) {
      const waiting = await test.query("select from pg_locks where locktype = 'advisory' and not granted");
      if (waiting.length > 0) return;
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
  };

  it('makes the schema once when four start together', async () => {
    const databases = await Promise.all(
      Array.from({ length: 4 }, () => openDatabase({ connection: test.connection })),
    );
    try {
      await Promise.all(databases.map(migrate));
      expect(await test.query('select name from schema_migrations')).to.have.length(migrations.length);
      await migrate(databases[0]!);
    } finally {
      await Promise.all(databases.map((database) => database.close()));
    }
  });

  it('refuses a newer schema with what to do, and changes nothing', async () => {
    const database = await openDatabase({ connection: test.connection });
    try {
      await migrate(database);
      await test.query("insert into schema_migrations (name) values ('Migration20990101000000')");
      const error = await migrate(database).then(
        () => undefined,
        (thrown: unknown) => thrown,
      );
      expect(error).to.be.instanceOf(NewerSchemaError);
      expect((error as Error).message)
        .to.include('Migration20990101000000')
        .and.to.include('Start that version');
      expect(await test.query('select name from schema_migrations')).to.have.length(migrations.length + 1);
    } finally {
      await database.close();
    }
  });

  it('reads what was executed after it got the lock, not before', async () => {
    await run(test.connection);
    let late: Promise<unknown> = Promise.resolve();
    await whileLocked(async () => {
      late = run(test.connection);
      await untilSomebodyWaits();
      await test.query("insert into schema_migrations (name) values ('Migration20990101000000')");
    });
    expect(await late).to.be.instanceOf(NewerSchemaError);
  });

  it('waits for another run however long that takes', async () => {
    const impatient = { connectionString: databaseUrl(test, 'statement_timeout=100&lock_timeout=100') };
    let late: Promise<unknown> = Promise.resolve();
    await whileLocked(async () => {
      late = run(impatient);
      await untilSomebodyWaits();
      await new Promise((resolve) => setTimeout(resolve, 300));
    });
    expect(await late).to.equal(migrations.length);
  });

  it('needs one connection', async () => {
    expect(await run(test.connection, { poolSize: 1, connectTimeoutMs: 500 })).to.equal(migrations.length);
  });

  it('needs no superuser, only a database of its own', async () => {
    const owner = `owner_of_${test.connection.database}`;
    await test.query(`create role ${owner} login`);
    await test.query(`alter database ${test.connection.database} owner to ${owner}`);
    try {
      expect(await run({ ...test.connection, user: owner })).to.equal(migrations.length);
    } finally {
      await test.query(`reassign owned by ${owner} to current_user`);
      await test.query(`drop role ${owner}`);
    }
  });

  it('makes all or nothing', async () => {
    await test.query('create table server_keys (something text)');
    expect(await run(test.connection)).to.be.instanceOf(Error);
    expect(await test.query("select tablename from pg_tables where schemaname = 'public'")).to.deep.equal([
      { tablename: 'server_keys' },
    ]);
  });

  it('makes just what the entities describe, and the checks and partial indexes that they cannot', async () => {
    const database = await openDatabase({ connection: test.connection });
    try {
      await migrate(database);
      const difference = await database.orm.schema.getUpdateSchemaSQL({ wrap: false, dropTables: false });
      const checks = await test.query(
        `select format('alter table "%s" drop constraint "%s";', conrelid::regclass, conname) as statement
         from pg_constraint where contype = 'c' and connamespace = 'public'::regnamespace and conrelid <> 0`,
      );
      const partial = await test.query(
        `select format('drop index "%s";', indexrelid::regclass) as statement
         from pg_index where indpred is not null and indrelid in (select oid from pg_class where relnamespace = 'public'::regnamespace)`,
      );
      expect(partial).to.have.length(3);
      expect(difference.split('\n').filter((line) => line !== '')).to.have.members(
        [...checks, ...partial].map(({ statement }) => statement),
      );
    } finally {
      await database.close();
    }
  });
});
