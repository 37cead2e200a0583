import { expect } from 'chai';
import { type Database, openDatabase } from '../../src/database/database.ts';
import { DatabaseFault, isForeignSchemaError, SQLSTATE_TABLE, toFault } from '../../src/database/sqlstate.ts';
import { createTestDatabase, type TestDatabase } from '../support/test_database.ts';

const faultOf = async (work: Promise<unknown>): Promise<DatabaseFault> => {
  try {
    await work;
  } catch (error) {
    expect(error).to.be.instanceOf(DatabaseFault);
    return error as DatabaseFault;
  }
  throw new Error('nothing failed');
};

describe('the table of SQLSTATEs', () => {
  let test: TestDatabase;
  let database: Database;

  before(async () => {
    test = await createTestDatabase({ migrated: false });
    database = await openDatabase({ connection: test.connection });
  });

  after(async () => {
    await database.close();
    await test.drop();
  });

  for (const [state, kind] of [...SQLSTATE_TABLE].filter(([state]) => state.length === 5)) {
    it(`turns a ${state} that the server raises into ${kind}`, async () => {
      const fault = await faultOf(
        database.writes.execute(
          `do $$ begin raise exception 'forced' using errcode = '${state}'; end $$`,
          [],
        ),
      );
      expect(fault.kind).to.equal(kind);
      expect(fault.sqlState).to.equal(state);
    });
  }

  it('turns any other of a class into what stands for the class, and the rest into unexpected', async () => {
    for (const [state, kind] of [
      ['08P01', 'lost'],
      ['53400', 'outage'],
      ['22012', 'unexpected'],
    ] as const) {
      const raise = `do $$ begin raise exception 'forced' using errcode = '${state}'; end $$`;
      expect((await faultOf(database.writes.execute(raise, []))).kind).to.equal(kind);
    }
  });

  it('knows a statement that another schema fails, from one that is wrong for another reason', async () => {
    const failing = async (text: string) =>
      isForeignSchemaError(await faultOf(database.reads.execute(text, [])));
    expect(await failing('select * from no_such_table')).to.equal(true);
    expect(await failing('select no_such_column from pg_class')).to.equal(true);
    expect(await failing('select no_such_function()')).to.equal(false);
    expect(isForeignSchemaError(new Error('undefined_table'))).to.equal(false);
  });

  it('names the constraint that was met', async () => {
    await database.writes.execute('create table parent (id int constraint the_key primary key)', []);
    await database.writes.execute('insert into parent values (1)', []);
    const fault = await faultOf(database.writes.execute('insert into parent values ($1)', [1]));
    expect(fault).to.deep.include({ kind: 'unique', constraint: 'the_key', sqlState: '23505' });
  });

  it('meets a disk that is read-only for real', async () => {
    const fault = await faultOf(
      database.transaction(async (transaction) => {
        await transaction.execute('set transaction read only', []);
        await transaction.execute('create table never (id int)', []);
      }),
    );
    expect(fault.kind).to.equal('full');
  });

  it('tells a connection that was never made from one that died with the work', () => {
    const refused = Object.assign(new Error('connect ECONNREFUSED'), { code: 'ECONNREFUSED' });
    expect(toFault(refused, false).kind).to.equal('outage');
    expect(toFault(refused, true).kind).to.equal('lost');
    expect(toFault(new Error('Connection terminated unexpectedly'), true).kind).to.equal('lost');
    expect(toFault(Object.assign(new Error('x'), { code: '57P01' }), false).kind).to.equal('outage');
    expect(toFault(new Error('bind message has 1 parameter'), true).kind).to.equal('unexpected');
  });

  it('keeps a fault as it is, and no values in its message', () => {
    const fault = new DatabaseFault('conflict', { sqlState: '40001' });
    expect(toFault(fault, true)).to.equal(fault);
    expect(fault.message).to.equal('database: conflict (SQLSTATE 40001)');
  });
});
