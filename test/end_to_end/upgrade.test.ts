import { randomBytes, randomUUID } from 'node:crypto';
import { Migrator } from '@mikro-orm/migrations';
import { expect } from 'chai';
import { openDatabase } from '../../src/database/database.ts';
import { migrations } from '../../src/database/migrations/index.ts';
import { migrate } from '../../src/database/migrator.ts';
import {
  insertRow,
  sampleAttempt,
  sampleChange,
  sampleEntry,
  sampleSession,
  sampleStart,
  sampleUser,
  type Values,
} from '../support/sample_rows.ts';
import { createTestDatabase, type TestDatabase } from '../support/test_database.ts';

/** What a migration ends on purpose, by its name. Everything else stays as it was. */
const ENDED: Readonly<Record<string, readonly string[]>> = {
  // Both are made anew by logging in.
  Migration20261124000000AttemptsByName: ['auth_ephemerals', 'login_sessions'],
};

const user = sampleUser();

/** A user in whose vault a password change is open. */
const changing = (): Values => ({ ...sampleUser(), ...sampleChange(randomUUID()) });

const serverKey = (id: number, purpose: number, state: number): Values => ({
  id,
  purpose,
  state,
  key_file_slot: randomBytes(60),
  recovery_slot: randomBytes(60),
  canary: randomBytes(60),
});

/** Rows of each kind that a table may hold, tables that others refer to first. */
const ROWS: Readonly<Record<string, () => Values[]>> = {
  server_keys: () => [serverKey(1, 1, 2), serverKey(2, 1, 1), serverKey(3, 2, 1)],
  users: () => [user, changing()],
  auth_ephemerals: () => [sampleAttempt(), sampleStart(user.id)],
  login_sessions: () => [
    { ...sampleSession(user.id), highest_request_number: 70, request_window: -1, request_count: 64 },
    { ...sampleSession(user.id), kind: 2, maximum_requests: 104, expires_at: new Date() },
  ],
  secure_data: () => [
    sampleEntry(user.id),
    { ...sampleEntry(user.id), entry_name: null, entry_data: null, revision: 2 },
    {
      ...sampleEntry(user.id),
      new_entry_name: randomBytes(93),
      new_entry_data: randomBytes(285),
      new_change_session_id: randomUUID(),
    },
  ],
  invites: () => [
    { code_hash: randomBytes(32), expires_at: new Date() },
    { code_hash: randomBytes(32), used_by: randomBytes(32), used_at: new Date() },
  ],
  rate_counters: () => [{ key: randomBytes(16), minute: 1, count: 2, previous: 3 }],
  login_networks: () => [{ key: randomBytes(16), user_id: user.id }],
  audit_events: () => [{ event: 'invite made' }, { event: 'user deleted', user_id: randomUUID() }],
};

const tablesOf = async (database: TestDatabase): Promise<string[]> => {
  const rows = await database.query(
    "select relname from pg_class where relkind = 'r' and relnamespace = 'public'::regnamespace and relname <> 'schema_migrations'",
  );
  return rows.map(({ relname }) => relname as string);
};

/** All rows of a table in an order of their own, with the given columns or all. */
const rowsOf = async (database: TestDatabase, table: string, columns?: string[]): Promise<Values[]> => {
  const rows = await database.query(`select to_jsonb(t) as row from ${table} t`);
  const picked = rows.map(({ row }) => {
    const values = row as Values;
    return Object.fromEntries((columns ?? Object.keys(values)).map((name) => [name, values[name]]));
  });
  return picked.sort((one, other) => (JSON.stringify(one) < JSON.stringify(other) ? -1 : 1));
};

describe('an upgrade', function () {
  this.timeout(60_000);
  let test: TestDatabase;

  beforeEach(async () => {
    test = await createTestDatabase({ migrated: false });
  });

  afterEach(() => test.drop());

  for (const [index, { name }] of migrations.slice(0, -1).entries()) {
    it(`keeps every row of the schema of ${name}`, async () => {
      const database = await openDatabase({ connection: test.connection, poolSize: 1 });
      try {
        await new Migrator(database.em()).up({ to: name });
        const executed = await test.query('select name from schema_migrations');
        expect(executed).to.have.length(index + 1);
        const tables = await tablesOf(test);
        expect(Object.keys(ROWS), 'a table without rows in this test').to.include.members(tables);
        const before = new Map<string, Values[]>();
        for (const [table, make] of Object.entries(ROWS)) {
          if (!tables.includes(table)) continue;
          for (const row of make()) await insertRow(test, table, row);
          before.set(table, await rowsOf(test, table));
        }

        await migrate(database);
        expect(await test.query('select from schema_migrations')).to.have.length(migrations.length);
        const ended = new Set(migrations.slice(index + 1).flatMap((later) => ENDED[later.name] ?? []));
        for (const [table, rows] of before) {
          const after = await rowsOf(test, table, Object.keys(rows[0]!));
          expect(after, table).to.deep.equal(ended.has(table) ? [] : rows);
        }
      } finally {
        await database.close();
      }
    });
  }

  it('is tested with rows of every table that there is', async () => {
    const database = await openDatabase({ connection: test.connection, poolSize: 1 });
    await migrate(database);
    await database.close();
    expect(await tablesOf(test)).to.have.members(Object.keys(ROWS));
  });
});
