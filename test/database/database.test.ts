import { expect } from 'chai';
import type { Around } from '../../src/database/around.ts';
import { type Database, openDatabase } from '../../src/database/database.ts';
import { Invite } from '../../src/database/entities/index.ts';
import { WRITE_UNDONE } from '../../src/database/gate_statements.ts';
import { DatabaseFault } from '../../src/database/sqlstate.ts';
import { eventually } from '../support/eventually.ts';
import { createTestDatabase, type TestDatabase } from '../support/test_database.ts';

const faultOf = (work: Promise<unknown>) =>
  work.then(
    () => undefined,
    (error: unknown) => (error instanceof DatabaseFault ? error.kind : error),
  );

describe('the database', () => {
  let test: TestDatabase;
  let database: Database;
  const errors: Error[] = [];

  before(async () => {
    test = await createTestDatabase({ migrated: false });
    database = await openDatabase({
      connection: test.connection,
      poolSize: 4,
      onError: (error) => errors.push(error),
    });
    await test.query('create table counters (id int primary key, n bigint not null default 0)');
    await test.query('insert into counters values (1), (2)');
  });

  after(async () => {
    await database.close();
    await test.drop();
  });

  const killAll = () =>
    test.query(
      "select pg_terminate_backend(pid) from pg_stat_activity where datname = current_database() and application_name = 'passmanager'",
    );

  it('ends every connection when it is closed, whatever was done with it', async () => {
    const own = await createTestDatabase();
    const connections = () =>
      own.query(
        "select 1 from pg_stat_activity where datname = current_database() and application_name = 'passmanager'",
      );
    const uses: ((database: Database) => Promise<unknown>)[] = [
      async () => {},
      (database) => database.reads.execute('select 1', []),
      (database) => database.writes.execute('select 1', []),
      (database) => database.transaction(({ execute }) => execute('select 1', [])),
    ];
    for (const [index, use] of uses.entries()) {
      const database = await openDatabase({ connection: own.connection, poolSize: 2 });
      await use(database);
      await database.close();
      await eventually(async () => (await connections()).length === 0).catch(() => {
        throw new Error(`use ${index} leaves a connection`);
      });
    }
    await own.drop();
  });

  it('tells of every statement and transaction, with the text and without values, whatever comes of them', async () => {
    const told: string[] = [];
    const around: Around = async (kind, detail, run) => {
      told.push(`${kind} ${detail}`.trim());
      return run().finally(() => told.push(`end of ${kind}`));
    };
    const watched = await openDatabase({ connection: test.connection, poolSize: 2, around });
    try {
      await watched.writes.execute('select $1::int', [7]);
      expect(await faultOf(watched.reads.execute('select 1 / $1::int', [0]))).to.equal('unexpected');
      await watched.transaction(({ execute, savepoint }) =>
        savepoint(() => execute('select $1::int as one', [8])),
      );
    } finally {
      await watched.close();
    }
    expect(told).to.deep.equal([
      'statement select $1::int',
      'end of statement',
      'statement select 1 / $1::int',
      'end of statement',
      'transaction',
      'statement select $1::int as one',
      'end of statement',
      'end of transaction',
    ]);
  });

  it('reads bigint as BigInt, bytea as Buffer, timestamptz as Date and uuid as text', async () => {
    const { rows } = await database.reads.execute(
      "select 9007199254740993 as big, '\\x00ff'::bytea as bytes, now() as time, gen_random_uuid() as id, 7::int as small",
      [],
    );
    expect(rows[0]!.big).to.equal(9_007_199_254_740_993n);
    expect(rows[0]!.bytes).to.deep.equal(Buffer.from([0, 255]));
    expect(rows[0]!.time).to.be.instanceOf(Date);
    expect(rows[0]!.id).to.match(/^[0-9a-f-]{36}$/);
    expect(rows[0]!.small).to.equal(7);
  });

  it('waits for the disk with writes and not with reads, and has limits that the server enforces', async () => {
    const shown = async (executor: Database['reads'], name: string) =>
      Object.values((await executor.execute(`show ${name}`, [])).rows[0]!)[0];
    expect(await shown(database.writes, 'synchronous_commit')).to.equal('on');
    expect(await shown(database.reads, 'synchronous_commit')).to.equal('off');
    expect(await shown(database.writes, 'statement_timeout')).to.equal('30s');
    expect(await shown(database.writes, 'lock_timeout')).to.equal('15s');
    expect(await shown(database.writes, 'idle_in_transaction_session_timeout')).to.equal('30s');
  });

  it('rolls back what throws, and throws it on', async () => {
    const thrown = new RangeError('mine');
    const work = database.transaction(async (transaction) => {
      await transaction.execute('update counters set n = n + 1 where id = 1', []);
      throw thrown;
    });
    expect(await faultOf(work)).to.equal(thrown);
    expect((await test.query('select n from counters where id = 1'))[0]!.n).to.equal('0');
  });

  it('rolls back to a savepoint and goes on', async () => {
    await database.transaction(async (transaction) => {
      await transaction.execute('update counters set n = n + 1 where id = 2', []);
      const inner = transaction.savepoint(async () => {
        await transaction.execute('update counters set n = n + 10 where id = 2', []);
        await transaction.execute('select 1/0', []);
      });
      expect(await faultOf(inner)).to.equal('unexpected');
      await transaction.savepoint(() =>
        transaction.execute('update counters set n = n + 100 where id = 2', []),
      );
    });
    expect((await test.query('select n from counters where id = 2'))[0]!.n).to.equal('101');
  });

  it('hands the transaction’s entity manager to the work', async () => {
    await database.transaction(async ({ em, execute }) => {
      await execute('create temporary table mine (id int) on commit drop', []);
      expect(
        await em
          .getConnection()
          .execute('select count(*)::int as n from mine', [], 'all', em.getTransactionContext()),
      ).to.deep.equal([{ n: 0 }]);
    });
  });

  it('begins each transaction, and each attempt at it, with an entity manager that holds nothing of others', async () => {
    const managers: unknown[] = [];
    const transact = () =>
      database.transaction(async ({ em, execute }) => {
        managers.push(em);
        expect(em.getUnitOfWork().getIdentityMap().values()).to.have.length(0);
        em.merge(Invite, { codeHash: Buffer.from([managers.length]) });
        if (managers.length === 1)
          await execute("do $$ begin raise exception 'forced' using errcode = '40001'; end $$", []);
      });
    await transact();
    await transact();
    expect(new Set(managers).size).to.equal(3);
  });

  it('runs a transaction inside another one as one of its own', async () => {
    const isOwn = await database.transaction(async ({ execute }) => {
      await execute('update counters set n = n where id = 1', []);
      const committed = await database.transaction((other) =>
        other.execute('select txid_current() as id', []),
      );
      const { rows } = await execute('select txid_current() as id', []);
      return committed.rows[0]!.id !== rows[0]!.id;
    });
    expect(isOwn).to.equal(true);
  });

  it('runs a transaction again that was chosen as the victim of a deadlock', async () => {
    let attempts = 0;
    const crossing = (first: number, second: number, meet: Promise<void>, met: () => void) =>
      database.transaction(async (transaction) => {
        attempts += 1;
        await transaction.execute('update counters set n = n + 1 where id = $1', [first]);
        met();
        await meet;
        await transaction.execute('update counters set n = n + 1 where id = $1', [second]);
      });
    let oneMet = () => {};
    let otherMet = () => {};
    const one = new Promise<void>((resolve) => {
      oneMet = resolve;
    });
    const other = new Promise<void>((resolve) => {
      otherMet = resolve;
    });
    const [before] = await test.query('select sum(n)::int as sum from counters');
    await Promise.all([crossing(1, 2, other, oneMet), crossing(2, 1, one, otherMet)]);
    const [after] = await test.query('select sum(n)::int as sum from counters');
    expect(Number(after!.sum) - Number(before!.sum)).to.equal(4);
    expect(attempts).to.be.at.least(3);
  });

  it('gives a serialization failure up after a few attempts', async () => {
    let attempts = 0;
    const work = database.transaction(async (transaction) => {
      attempts += 1;
      await transaction.execute("do $$ begin raise exception 'forced' using errcode = '40001'; end $$", []);
    });
    expect(await faultOf(work)).to.equal('conflict');
    expect(attempts).to.equal(5);
  });

  it('runs a single statement again that met a conflict, a few times', async () => {
    await test.query('create sequence conflicts');
    const meet = (times: number) =>
      database.writes.execute(
        `do $$ begin if nextval('conflicts') <= ${times} then raise exception 'forced' using errcode = '40001'; end if; end $$`,
        [],
      );
    const met = async () => Number((await test.query('select last_value::int as n from conflicts'))[0]!.n);
    await meet(4);
    expect(await met()).to.equal(5);
    await test.query('alter sequence conflicts restart');
    expect(await faultOf(meet(1_000))).to.equal('conflict');
    expect(await met()).to.equal(5);
  });

  it('counts each attempt that failed, by kind, but no write that undid itself', async () => {
    const before = new Map(database.faults());
    const counted = () =>
      Object.fromEntries(
        [...database.faults()]
          .map(([kind, count]) => [kind, count - before.get(kind)!])
          .filter(([, n]) => n !== 0),
      );
    const raising = (code: string) =>
      `do $$ begin raise exception 'forced' using errcode = '${code}'; end $$`;
    for (const code of ['40001', '53100', WRITE_UNDONE])
      await faultOf(database.writes.execute(raising(code), []));
    await faultOf(database.transaction(({ execute }) => execute(raising('23505'), [])));
    expect(counted()).to.deep.equal({ conflict: 5, full: 1, unique: 1 });
  });

  it('tells what failed in the entity manager like what failed in a statement', async () => {
    let attempts = 0;
    const conflict = database.transaction(async ({ em }) => {
      attempts += 1;
      await em.execute("do $$ begin raise exception 'forced' using errcode = '40001'; end $$");
    });
    expect(await faultOf(conflict)).to.equal('conflict');
    expect(attempts).to.equal(5);
    const twice = database.transaction(({ em }) => em.execute('insert into counters values (1)'));
    expect(await faultOf(twice)).to.equal('unique');
    const lost = database.transaction(async ({ em }) => {
      await killAll();
      await em.execute('select 2');
    });
    expect(await faultOf(lost)).to.equal('lost');
  });

  it('never hands a connection on inside a transaction', async () => {
    const single = await openDatabase({ connection: test.connection, poolSize: 1 });
    try {
      const { rows: before } = await single.writes.execute('select pg_backend_pid() as pid', []);
      // A statement that opens a transaction and forgets it, as a bug would.
      await single.writes.execute('begin', []);
      const { rows: after } = await single.writes.execute(
        'select pg_backend_pid() as pid, pg_current_xact_id_if_assigned() as xact',
        [],
      );
      expect(after[0]!.pid).not.to.equal(before[0]!.pid);
    } finally {
      await single.close();
    }
  });

  it('says that the outcome is unknown when the connection dies with the statement, and heals', async () => {
    const sleeping = faultOf(database.writes.execute('select pg_sleep(20)', []));
    await new Promise((resolve) => setTimeout(resolve, 200));
    await killAll();
    expect(await sleeping).to.equal('lost');
    await new Promise((resolve) => setTimeout(resolve, 100));
    expect((await database.writes.execute('select 1 as one', [])).rows).to.deep.equal([{ one: 1 }]);
  });

  it('says that the outcome is unknown when the connection dies inside a transaction', async () => {
    const work = faultOf(
      database.transaction(async (transaction) => {
        await transaction.execute('select 1', []);
        await killAll();
        await transaction.execute('select 2', []);
      }),
    );
    expect(await work).to.equal('lost');
  });

  it('loses no place in the pool to transactions whose connections died', async () => {
    const single = await openDatabase({ connection: test.connection, poolSize: 1, onError: () => {} });
    try {
      for (let round = 0; round < 3; round += 1) {
        const work = single.transaction(async (transaction) => {
          const { rows } = await transaction.execute('select pg_backend_pid() as pid', []);
          await test.query('select pg_terminate_backend($1)', [rows[0]!.pid]);
          await transaction.execute('select 1', []);
        });
        expect(await faultOf(work)).to.equal('lost');
      }
      expect((await single.writes.execute('select 1 as one', [])).rows).to.deep.equal([{ one: 1 }]);
    } finally {
      await single.close();
    }
  });

  it('says that nothing was done when there is no database to connect to', async () => {
    const nowhere = await openDatabase({ connection: { host: '/nonexistent', user: 'x', database: 'x' } });
    expect(await faultOf(nowhere.writes.execute('select 1', []))).to.equal('outage');
    expect(await faultOf(nowhere.transaction((transaction) => transaction.execute('select 1', [])))).to.equal(
      'outage',
    );
    await nowhere.close();
  });

  it('gives up a statement at the server when it takes too long', async () => {
    const work = database.transaction(async (transaction) => {
      await transaction.execute("set local statement_timeout = '50ms'", []);
      await transaction.execute('select pg_sleep(5)', []);
    });
    expect(await faultOf(work)).to.equal('timeout');
  });

  it('tells of notifications, and of a connection for them that had to be made again', async () => {
    const heard: string[] = [];
    let reconnects = 0;
    const unlisten = await database.listen(
      'channel one',
      (payload) => heard.push(payload),
      () => {
        reconnects += 1;
      },
    );
    const until = async (condition: () => boolean) => {
      for (let attempt = 0; attempt < 100 && !condition(); attempt += 1)
        await new Promise((r) => setTimeout(r, 50));
      expect(condition()).to.equal(true);
    };
    await test.query("select pg_notify('channel one', 'first')");
    await until(() => heard.includes('first'));
    await test.query(
      "select pg_terminate_backend(pid) from pg_stat_activity where query like 'listen%' and datname = current_database()",
    );
    await until(() => reconnects === 1);
    await test.query("select pg_notify('channel one', 'second')");
    await until(() => heard.includes('second'));
    await unlisten();
    const [row] = await test.query(
      "select count(*)::int as n from pg_stat_activity where query like 'listen%' and datname = current_database()",
    );
    expect(row!.n).to.equal(0);
  });

  it('prints no statement and no value, whatever the environment asks of MikroORM', async () => {
    // MikroORM keeps a console of its own: what it prints is met at the streams.
    const printed: unknown[] = [];
    const streams = [process.stdout, process.stderr];
    const originals = streams.map(({ write }) => write);
    process.env.MIKRO_ORM_DEBUG = 'true';
    for (const stream of streams) stream.write = (chunk: unknown) => printed.push(chunk) > 0;
    try {
      const chatty = await openDatabase({ connection: test.connection, poolSize: 1 });
      await chatty.transaction(({ em }) => em.execute('select ? as value', ['a value']));
      await chatty.close();
    } finally {
      delete process.env.MIKRO_ORM_DEBUG;
      streams.forEach((stream, index) => {
        stream.write = originals[index]!;
      });
    }
    expect(printed).to.deep.equal([]);
  });

  it('survives a restart of every connection while idle', async () => {
    await Promise.all([database.writes.execute('select 1', []), database.reads.execute('select 1', [])]);
    await killAll();
    await new Promise((resolve) => setTimeout(resolve, 200));
    await Promise.all([database.writes.execute('select 1', []), database.reads.execute('select 1', [])]);
    expect(errors.length).to.be.greaterThan(0);
  });
});
