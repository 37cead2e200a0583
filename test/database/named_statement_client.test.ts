import { expect } from 'chai';
import { type Database, openDatabase } from '../../src/database/database.ts';
import { statementName } from '../../src/database/named_statement_client.ts';
import { createTestDatabase, type TestDatabase } from '../support/test_database.ts';

describe('named statements', () => {
  let test: TestDatabase;
  let database: Database;

  before(async () => {
    test = await createTestDatabase({ migrated: false });
    database = await openDatabase({ connection: test.connection, poolSize: 1 });
  });

  after(async () => {
    await database.close();
    await test.drop();
  });

  it('have names of at most 63 bytes that differ where long texts differ at their end', () => {
    const long = `select ${'1 + '.repeat(500)}`;
    expect(statementName(`${long}1`)).to.not.equal(statementName(`${long}2`));
    expect(statementName(`${long}1`)).to.equal(statementName(`${long}1`));
    expect(statementName(long).length).to.be.at.most(63);
  });

  it('are prepared once a connection, for texts with parameters alone', async () => {
    const text = 'select $1::int + 1 as sum';
    for (const value of [1, 2, 3]) {
      const { rows } = await database.writes.execute(text, [value]);
      expect(rows[0]!.sum).to.equal(value + 1);
    }
    await database.writes.execute('select 1', []);
    const { rows } = await database.writes.execute('select name, statement from pg_prepared_statements', []);
    expect(rows).to.deep.equal([{ name: `b${statementName(text)}`, statement: text }]);
  });

  it('work again after the tables under them changed their columns', async () => {
    await test.query('create table changing (id int)');
    await test.query('insert into changing values (1)');
    const text = 'select * from changing where id = $1';
    expect((await database.writes.execute(text, [1])).rows).to.deep.equal([{ id: 1 }]);
    await test.query("alter table changing add column name text default 'new'");
    expect((await database.writes.execute(text, [1])).rows).to.deep.equal([{ id: 1, name: 'new' }]);
    expect((await database.writes.execute(text, [1])).rows).to.deep.equal([{ id: 1, name: 'new' }]);
  });

  it('work again where every connection holds the old ones', async () => {
    const size = 7;
    const wide = await openDatabase({ connection: test.connection, poolSize: size });
    try {
      await test.query('create table widening (id int)');
      await test.query('insert into widening values (1)');
      const text = 'select w.* from widening w, pg_sleep(0.05) where id = $1';
      const everywhere = () =>
        Promise.all(Array.from({ length: size }, () => wide.writes.execute(text, [1])));
      await everywhere();
      await test.query("alter table widening add column first text default 'a'");
      expect((await wide.writes.execute(text, [1])).rows).to.deep.equal([{ id: 1, first: 'a' }]);
      await everywhere();
      await test.query("alter table widening add column second text default 'b'");
      const { rows } = await wide.transaction((transaction) => transaction.execute(text, [1]));
      expect(rows).to.deep.equal([{ id: 1, first: 'a', second: 'b' }]);
    } finally {
      await wide.close();
    }
  });

  it('are not used behind PgBouncer, where settings are made by statements', async () => {
    const bounced = await openDatabase({ connection: test.connection, poolSize: 1, pgbouncer: true });
    try {
      await bounced.writes.execute('select $1::int', [1]);
      const { rows } = await bounced.writes.execute('select count(*) from pg_prepared_statements', []);
      expect(rows[0]!.count).to.equal(0n);
      expect(
        (await bounced.writes.execute('show statement_timeout', [])).rows[0]!.statement_timeout,
      ).to.equal('30s');
    } finally {
      await bounced.close();
    }
  });
});
