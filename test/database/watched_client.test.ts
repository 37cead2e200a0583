import { expect } from 'chai';
import { type Database, openDatabase } from '../../src/database/database.ts';
import { WatchedClient } from '../../src/database/watched_client.ts';
import { createTestDatabase, type TestDatabase } from '../support/test_database.ts';

describe('a watched connection', () => {
  let test: TestDatabase;

  before(async () => {
    test = await createTestDatabase({ migrated: false });
  });

  after(() => test.drop());

  const raised = async (state: string): Promise<boolean> => {
    const client = new WatchedClient(test.connection);
    client.on('error', () => {});
    await client.connect();
    try {
      await client
        .query(`do $$ begin raise exception 'forced' using errcode = '${state}'; end $$`)
        .catch(() => {});
      return client.mustEnd;
    } finally {
      await client.end();
    }
  };

  for (const state of ['0A000', '26000', '57P01', '57P02', '57P05', '25P04', '08006']) {
    it(`must end after a ${state}`, async () => {
      expect(await raised(state)).to.equal(true);
    });
  }

  for (const state of ['23505', '40001', '57014', '22012', '53100']) {
    it(`goes on after a ${state}`, async () => {
      expect(await raised(state)).to.equal(false);
    });
  }

  for (const pgbouncer of [false, true]) {
    describe(pgbouncer ? 'behind PgBouncer' : 'of a pool', () => {
      let database: Database;

      before(async () => {
        database = await openDatabase({ connection: test.connection, poolSize: 1, pgbouncer });
      });

      after(() => database.close());

      const pid = async () =>
        (await database.writes.execute('select pg_backend_pid() as pid', [])).rows[0]!.pid;

      for (const parameters of [[], [5]]) {
        it(`is not handed on when the server ended it under a statement with ${parameters.length} parameters`, async () => {
          const nap = parameters.length === 0 ? '5' : '$1';
          const text = `select pg_terminate_backend(pg_backend_pid()), pg_sleep(${nap})`;
          const before = await pid();
          const kind = await database.writes.execute(text, parameters).catch((error) => error.kind);
          expect(kind).to.equal('lost');
          // At once: the socket's end may come later than the server's word.
          expect(await pid()).not.to.equal(before);
        });
      }

      it('is handed on when a statement alone failed', async () => {
        const before = await pid();
        await database.writes.execute('select 1 / $1::int', [0]).catch(() => {});
        expect(await pid()).to.equal(before);
      });
    });
  }
});
