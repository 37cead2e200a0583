import { randomBytes } from 'node:crypto';
import { expect } from 'chai';
import { type BatchStatement, type Database, openDatabase } from '../../src/database/database.ts';
import { NamedStatementClient } from '../../src/database/named_statement_client.ts';
import { DatabaseFault } from '../../src/database/sqlstate.ts';
import { eventually } from '../support/eventually.ts';
import { createTestDatabase, type TestDatabase } from '../support/test_database.ts';

const kindOf = (work: Promise<unknown>) =>
  work.then(
    () => 'done',
    (error: unknown) => (error instanceof DatabaseFault ? error.kind : error),
  );

for (const pgbouncer of [false, true]) {
  describe(`statements that travel together${pgbouncer ? ' behind PgBouncer' : ''}`, () => {
    let test: TestDatabase;
    let database: Database;

    before(async () => {
      test = await createTestDatabase({ migrated: false });
      database = await openDatabase({ connection: test.connection, poolSize: 1, pgbouncer });
      await test.query('create table counters (id int primary key, n bigint not null default 0)');
      await test.query('create sequence conflicts');
    });

    after(async () => {
      await database.close();
      await test.drop();
    });

    beforeEach(() => test.query('truncate counters; insert into counters values (1), (2)'));

    const add = (id: number, n: bigint): BatchStatement => ({
      text: 'update counters set n = n + $2 where id = $1 returning n',
      values: [id, n],
    });
    const divide = (by: number): BatchStatement => ({ text: 'select 1 / $1::int as part', values: [by] });
    const lock: BatchStatement = {
      text: 'select n from counters where id = $1 for no key update',
      values: [1],
    };
    const values = async () =>
      (await test.query('select n::int as n from counters order by id')).map(({ n }) => n);
    const pid = async () =>
      (await database.writes.execute('select pg_backend_pid() as pid', [])).rows[0]!.pid;

    it('do nothing where one of them fails, whichever it is', async () => {
      for (const batch of [
        [add(1, 5n), divide(0), add(2, 5n)],
        [divide(0), add(1, 5n)],
        [add(1, 5n), divide(0)],
      ]) {
        expect(await kindOf(database.batch(batch))).to.equal('unexpected');
        expect(await values()).to.deep.equal([0, 0]);
        expect((await database.batch([divide(1), divide(1)])).map(({ rows }) => rows)).to.deep.equal([
          [{ part: 1 }],
          [{ part: 1 }],
        ]);
      }
    });

    it('answer rows for each, with and without parameters, over and over', async () => {
      for (let round = 1n; round < 4n; round += 1n) {
        const results = await database.batch([
          add(1, 1n),
          { text: 'select 7 as seven where false', values: [] },
          { text: 'insert into counters values (3)', values: [] },
          { text: 'delete from counters where id = 3', values: [] },
          add(1, 10n),
        ]);
        expect(results.map(({ rows }) => rows)).to.deep.equal([
          [{ n: 11n * round - 10n }],
          [],
          [],
          [],
          [{ n: 11n * round }],
        ]);
      }
      expect(await values()).to.deep.equal([33, 0]);
    });

    it('take bytes, numbers, texts and nothing as parameters', async () => {
      const neighbours = randomBytes(64);
      const bytes = new Uint8Array(neighbours.buffer, neighbours.byteOffset + 8, 16);
      const text = 'select $1::bytea as bytes, $2::bigint as big, $3::text as text, $4::int as nothing';
      const statement = { text, values: [bytes, 2n ** 62n, 'é', null] };
      const [first, second] = await database.batch([statement, statement]);
      const row = { bytes: Buffer.from(bytes), big: 2n ** 62n, text: 'é', nothing: null };
      expect([first!.rows, second!.rows]).to.deep.equal([[row], [row]]);
    });

    it('see after a lock what was committed while they waited for it', async () => {
      const other = await openDatabase({ connection: test.connection, poolSize: 1 });
      let waiting: Promise<readonly { rows: unknown[] }[]> | undefined;
      await other.transaction(async (transaction) => {
        await transaction.execute('select from counters where id = 1 for update', []);
        const count = { text: 'select count(*) as counters from counters', values: [] };
        waiting = database.batch([lock, count]);
        await eventually(async () => (await test.lockWaiters()).length === 1);
        await transaction.execute('insert into counters values (3)', []);
      });
      expect((await waiting!)[1]!.rows).to.deep.equal([{ counters: 3n }]);
      await other.close();
    });

    it('run again, all of them, when they met a conflict', async () => {
      const conflict = (times: number): BatchStatement => ({
        text: `do $$ begin if nextval('conflicts') <= ${times} then raise exception 'forced' using errcode = '40001'; end if; end $$`,
        values: [],
      });
      await test.query('alter sequence conflicts restart');
      await database.batch([add(1, 1n), conflict(4)]);
      expect(await values()).to.deep.equal([1, 0]);
      await test.query('alter sequence conflicts restart');
      expect(await kindOf(database.batch([add(1, 1n), conflict(1_000)]))).to.equal('conflict');
      expect(await values()).to.deep.equal([1, 0]);
    });

    it('leave the connection to others, outside of a transaction', async () => {
      await database.batch([lock, divide(1)]);
      const before = await pid();
      expect(await kindOf(database.batch([lock, divide(0)]))).to.equal('unexpected');
      expect(await pid()).to.equal(before);
      const [row] = await test.query(
        "select count(*)::int as n from pg_stat_activity where datname = current_database() and state like 'idle in%'",
      );
      expect(row!.n).to.equal(0);
    });

    it('work again after the tables under them changed their columns', async () => {
      const all = { text: 'select * from counters where id = $1', values: [1] };
      await database.batch([all, all]);
      await test.query("alter table counters add column name text default 'new'");
      const [, second] = await database.batch([lock, all]);
      expect(second!.rows).to.deep.equal([{ id: 1, n: 0n, name: 'new' }]);
      await test.query('alter table counters drop column name');
    });

    it('leave their outcome unknown when the connection dies with them, and are not handed on', async () => {
      const before = await pid();
      const end = { text: 'select pg_terminate_backend(pg_backend_pid())', values: [] };
      expect(await kindOf(database.batch([add(1, 5n), end]))).to.equal('lost');
      expect(await pid()).not.to.equal(before);
      expect(await values()).to.deep.equal([0, 0]);
    });
  });
}

describe('a statement that a connection knows', () => {
  let test: TestDatabase;
  let client: NamedStatementClient;
  let described = 0;

  before(async () => {
    test = await createTestDatabase({ migrated: false });
    client = new NamedStatementClient(test.connection);
    await client.connect();
    client.connection.on('rowDescription', () => {
      described += 1;
    });
  });

  after(async () => {
    await client.end();
    await test.drop();
  });

  beforeEach(() => {
    described = 0;
  });

  const rows = async (...statements: BatchStatement[]) =>
    (await client.batch(statements)).map((result) => result.rows);
  const failed = (...statements: BatchStatement[]) =>
    client.batch(statements).then(
      () => undefined,
      (error: unknown) => (error as { code: string }).code,
    );

  it('is not asked for its columns again', async () => {
    const sum = (value: number): BatchStatement => ({ text: 'select $1::int + 1 as sum', values: [value] });
    expect(await rows(sum(1))).to.deep.equal([[{ sum: 2 }]]);
    expect(described).to.equal(1);
    expect(await rows(sum(2), sum(3))).to.deep.equal([[{ sum: 3 }], [{ sum: 4 }]]);
    expect(described).to.equal(1);
  });

  it('answers with columns of its own where several are known', async () => {
    const one = { text: 'select $1::int as a, null::text as b', values: [1] };
    const two = { text: 'select x as c from generate_series(1, $1::int) as x', values: [2] };
    const none = { text: 'create temporary table if not exists t as select 1', values: [] };
    const answers = [[{ a: 1, b: null }], [{ c: 1 }, { c: 2 }], [], [{ a: 1, b: null }]];
    for (let round = 0; round < 3; round += 1) expect(await rows(one, two, none, one)).to.deep.equal(answers);
  });

  it('works at its next run where the first failed: unparsed, unbound or half done', async () => {
    const later = { text: 'select id from later where id = $1', values: [1] };
    expect(await failed(later)).to.equal('42P01');
    await client.query('create temporary table later as select 1 as id');
    expect(await rows(later)).to.deep.equal([[{ id: 1 }]]);

    const number = (value: unknown): BatchStatement => ({
      text: 'select 6 / $1::int as part',
      values: [value],
    });
    expect(await failed(number('six'))).to.equal('22P02');
    expect(await rows(number(2))).to.deep.equal([[{ part: 3 }]]);

    const half = (value: number): BatchStatement => ({ text: 'select 8 / $1::int as part', values: [value] });
    expect(await failed(half(0))).to.equal('22012');
    expect(await rows(half(2))).to.deep.equal([[{ part: 4 }]]);

    const behind = { text: 'select $1::int as behind', values: [1] };
    expect(await failed(number(0), behind)).to.equal('22012');
    expect(await rows(behind)).to.deep.equal([[{ behind: 1 }]]);
  });
});
