/** Databases for tests: each of its own, made from a template that was migrated once for the run. */
import { randomUUID } from 'node:crypto';
import pg from 'pg';
import { type ConnectionOptions, openDatabase } from '../../src/database/database.ts';
import { migrate } from '../../src/database/migrator.ts';

/** One name for all test files of a run; they take turns in making it. */
const TEMPLATE = 'passmanager_template';
const TEMPLATE_LOCK = 5_150_001;

const LOCK_WAITERS =
  "select pid from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'";

export interface TestDatabase {
  readonly connection: ConnectionOptions & { host: string; user: string; database: string };
  /** One statement on a connection of its own, past the program. */
  query(text: string, parameters?: unknown[]): Promise<Record<string, unknown>[]>;
  /** The process ids of PostgreSQL whose statements in it wait for a lock. */
  lockWaiters(): Promise<number[]>;
  /** Ends all connections to it and deletes it. */
  drop(): Promise<void>;
}

/** The PostgreSQL of this run. */
export function testPostgres(): { host: string; user: string; database: string } {
  const address = process.env.PASSMANAGER_TEST_PG;
  if (address === undefined) throw new Error('run the tests by mocha: it starts their PostgreSQL');
  return JSON.parse(address);
}

/** A migrated database; with `migrated: false` an empty one. */
export async function createTestDatabase({ migrated = true } = {}): Promise<TestDatabase> {
  const admin = testPostgres();
  const database = `test_${randomUUID().replaceAll('-', '')}`;
  if (migrated) await ensureTemplate();
  // Without fsync a checkpoint costs next to nothing, and copied files less than pages that go through the log.
  const template = migrated ? TEMPLATE : 'template1';
  await query(admin, `create database ${database} template ${template} strategy file_copy`);
  const connection = { ...admin, database };
  return {
    connection,
    query: (text, parameters) => query(connection, text, parameters),
    lockWaiters: async () => (await query(connection, LOCK_WAITERS)).map(({ pid }) => pid as number),
    drop: async () => {
      await query(admin, `drop database if exists ${database} with (force)`);
    },
  };
}

/** The address of a test's database as a URL, with parameters of the URL. */
export function databaseUrl({ connection }: TestDatabase, parameters = ''): string {
  const { host, user, database } = connection;
  return `postgres:///${database}?host=${encodeURIComponent(host)}&user=${user}&${parameters}`;
}

async function ensureTemplate(): Promise<void> {
  const admin = testPostgres();
  const client = new pg.Client(admin);
  await client.connect();
  try {
    await client.query('select pg_advisory_lock($1)', [TEMPLATE_LOCK]);
    const { rowCount } = await client.query('select from pg_database where datname = $1', [TEMPLATE]);
    if (rowCount !== 0) return;
    const making = `${TEMPLATE}_making`;
    await client.query(`drop database if exists ${making} with (force)`);
    await client.query(`create database ${making}`);
    const template = await openDatabase({ connection: { ...admin, database: making } });
    await migrate(template);
    await template.close();
    await client.query(`alter database ${making} rename to ${TEMPLATE}`);
  } finally {
    await client.end();
  }
}

async function query(
  connection: pg.ClientConfig,
  text: string,
  parameters: unknown[] = [],
): Promise<Record<string, unknown>[]> {
  const client = new pg.Client(connection);
  await client.connect();
  try {
    return (await client.query(text, parameters)).rows;
  } finally {
    await client.end();
  }
}
