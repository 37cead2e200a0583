import { expect } from 'chai';
import pg from 'pg';
import { ALL_TABLES } from '../../../src/database/backup/backup_tables.ts';
import { copyExactly, ExactCopyError } from '../../../src/database/backup/exact_copy.ts';
import { makeSchema } from '../../../src/database/backup/restore_snapshot.ts';
import { openDatabase } from '../../../src/database/database.ts';
import { migrations } from '../../../src/database/migrations/index.ts';
import { migrate } from '../../../src/database/migrator.ts';
import { rejection } from '../../support/rejection.ts';
import { everythingIn, insertEverything, insertRow, sampleUser } from '../../support/sample_rows.ts';
import { createTestDatabase, type TestDatabase } from '../../support/test_database.ts';

describe('an exact copy', function () {
  this.timeout(60_000);
  let [from, to]: TestDatabase[] = [];
  let clients: pg.Client[] = [];

  const told: { table: string; rows: number; of: number }[] = [];

  const prepare = async ({ migrated = true } = {}): Promise<void> => {
    from = await createTestDatabase({ migrated });
    to = await createTestDatabase({ migrated: false });
  };

  const copy = async (break_: (to: pg.Client) => void = () => {}) => {
    clients = [new pg.Client(from!.connection), new pg.Client(to!.connection)];
    for (const client of clients) {
      client.on('error', () => {});
      await client.connect();
    }
    const [source, target] = clients as [pg.Client, pg.Client];
    break_(target);
    return copyExactly(source, target, { progress: (done) => told.push(done) }).finally(() =>
      Promise.all(clients.map((client) => client.end())),
    );
  };

  const tablesOf = (database: TestDatabase) =>
    database.query(`select table_name from information_schema.tables where table_schema = 'public'`);

  afterEach(async () => {
    await from!.drop();
    await to!.drop();
  });

  it('is refused where there is what the program did not make, or does not know, and leaves nothing', async () => {
    await prepare();
    await insertEverything(from!);
    for (const [spoil, mend] of [
      ['create table notes (id int)', 'drop table notes'],
      ['create view notes as select 1 as id', 'drop view notes'],
      ['create schema mine create table notes (id int)', 'drop schema mine cascade'],
      ['alter table invites add column note text', 'alter table invites drop column note'],
      [
        "insert into schema_migrations (name) values ('Migration29990101000000Later')",
        "delete from schema_migrations where name like '%Later'",
      ],
    ] as const) {
      await from!.query(spoil);
      expect(await rejection(copy()), spoil).to.be.instanceOf(ExactCopyError);
      expect(await tablesOf(to!), spoil).to.deep.equal([]);
      await from!.query(mend);
    }
    await copy();
  });

  it('is refused when a row is not the same after it was written, or one is missing', async () => {
    await prepare();
    await insertEverything(from!);
    for (const change of ['update users set revision = revision + 1', 'delete from invites']) {
      const before = await everythingIn(from!);
      const spoiled = copy((target) => {
        const query = target.query.bind(target) as (...all: unknown[]) => Promise<unknown>;
        target.query = ((text: unknown, ...more: unknown[]) =>
          String(text).startsWith('select setval')
            ? query(change).then(() => query(text, ...more))
            : query(text, ...more)) as never;
      });
      expect(await rejection(spoiled), change).to.be.instanceOf(ExactCopyError);
      expect(await tablesOf(to!)).to.deep.equal([]);
      expect(await everythingIn(from!)).to.deep.equal(before);
    }
  });

  it('has every row of every table, the short-lived and the migrator’s with them, and says how many', async () => {
    await prepare();
    await insertEverything(from!);
    await from!.query(
      `update schema_migrations set executed_at = '2001-02-03 04:05:06.123456+00', id = id + 40`,
    );
    await from!.query(`select setval('schema_migrations_id_seq', 77)`);
    told.length = 0;
    const copied = await copy();
    expect(told.filter(({ rows, of }) => rows === of)).to.deep.equal(
      copied.map(({ table, rows }) => ({ table, rows, of: rows })),
    );
    const found = await everythingIn(from!);
    expect(await everythingIn(to!)).to.deep.equal(found);
    expect(copied.map(({ table }) => table)).to.deep.equal(ALL_TABLES.map(({ name }) => name));
    for (const { table, rows } of copied) {
      expect(rows, table).to.be.greaterThan(0);
      expect(rows, table).to.equal((found[table] as unknown[]).length);
    }
    const database = await openDatabase({ connection: to!.connection, poolSize: 1 });
    await migrate(database);
    await database.close();
    expect(await everythingIn(to!)).to.deep.equal(found);
  });

  it('is of an earlier schema where that is what there is, and empty where there was never one', async () => {
    await prepare({ migrated: false });
    expect(await copy()).to.deep.equal([]);
    expect(await tablesOf(to!)).to.deep.equal([]);

    const source = new pg.Client(from!.connection);
    await source.connect();
    const names = migrations.slice(0, 3).map(({ name }) => name);
    await makeSchema(source, names);
    await source.end();
    await insertRow(from!, 'users', sampleUser());
    const copied = await copy();
    expect(copied.find(({ table }) => table === 'users')).to.include({ rows: 1 });
    const executed = await to!.query('select name from schema_migrations order by id');
    expect(executed.map(({ name }) => name)).to.deep.equal(names);
    const database = await openDatabase({ connection: to!.connection, poolSize: 1 });
    await migrate(database);
    await database.close();
    expect(await to!.query('select from users')).to.have.length(1);
  });
});
