/** Writes the frames of a snapshot into a database: all of it in one transaction, or nothing. */
import { once } from 'node:events';
import { finished } from 'node:stream/promises';
import type pg from 'pg';
import { from as copyFrom } from 'pg-copy-streams';
import { recordEvent } from '../audit_log.ts';
import { APPLICATION_NAME } from '../connection_pool.ts';
import { MIGRATIONS_TABLE, migrations, unknownMigrations } from '../migrations/index.ts';
import { MIGRATION_LOCK } from '../migrator.ts';
import { NO_CHANGE } from '../password_change_statements.ts';
import { proveKeyFile, rewrapServerKeys } from '../server_keys.ts';
import {
  DamagedBackupError,
  ForeignTablesError,
  NewerBackupError,
  ServerRunsError,
  TargetNotEmptyError,
} from './backup_errors.ts';
import type { Frame, Manifest, TableSummary } from './backup_frames.ts';
import { ALL_TABLES, BACKUP_TABLES } from './backup_tables.ts';
import { executorOf, type Progress, prepareSession, tallyTable } from './snapshot.ts';
import { Tally } from './tally.ts';

/** What a restore may do to the database, and what it does beside writing rows. */
export interface RestoreOptions {
  /** Whether accounts that are there may go. */
  readonly replace: boolean;
  /** The key (32 bytes) that the server keys are to be wrapped under from now on; given the one of the backup. */
  readonly wrapUnder: (backupKey: Uint8Array) => Promise<Uint8Array>;
  /** Whether sessions, password changes and histories end, as they must before a server serves it. */
  readonly settle: boolean;
  readonly progress?: Progress;
  /** Ends it before it is written for good, with the signal's reason. */
  readonly signal?: AbortSignal;
}

/** What was written. */
export interface Restored {
  readonly manifest: Manifest;
  readonly tables: readonly TableSummary[];
}

/**
 * Restores into the database of a connected client that nobody else uses. What is counted and hashed on the way in is what
 * the backup says; with `settle: false` the rows are read again and hashed as they lie there. The schema is that of the
 * backup, older than the program's perhaps: the server's start migrates it. Throws BackupError and its kinds, and what pg
 * throws; the database is as it was then.
 */
export async function restoreSnapshot(
  client: pg.Client,
  frames: AsyncIterable<Frame>,
  options: RestoreOptions,
): Promise<Restored> {
  const source = frames[Symbol.asyncIterator]();
  const next = async (): Promise<Frame> => {
    options.signal?.throwIfAborted();
    const { value, done } = await source.next();
    if (done) throw new DamagedBackupError('it ends early');
    return value;
  };
  await prepareSession(client);
  await client.query('begin');
  try {
    const first = await next();
    if (first.type !== 'manifest') throw new DamagedBackupError('it does not begin with its description');
    const { manifest } = first;
    await client.query('select pg_advisory_xact_lock($1)', [MIGRATION_LOCK]);
    await refuseServers(client);
    await clear(client, options.replace);
    const unknown = unknownMigrations(manifest.migrations);
    if (unknown.length > 0) throw new NewerBackupError(unknown.join(', '));
    await makeSchema(client, manifest.migrations);
    const tables: TableSummary[] = [];
    for (const table of manifest.tables) tables.push(await writeTable(client, table, next, options.progress));
    if ((await next()).type !== 'end') throw new DamagedBackupError('it does not end where it should');
    // What lies behind the end is read as well: only then the last seal was looked at.
    if (!(await source.next()).done) throw new DamagedBackupError('there is more after its end');
    await proveRows(client, manifest, tables, options.signal);
    const backupKey = Buffer.from(manifest.keyFile, 'hex');
    // Before it is written anywhere: the next start would take what no backup should have left there.
    await proveKeyFile(executorOf(client), backupKey, 'in the backup');
    await rewrapServerKeys(executorOf(client), backupKey, await options.wrapUnder(backupKey));
    if (options.settle) await settle(client);
    await client.query('commit');
    await client.query('analyze');
    return { manifest, tables };
  } catch (error) {
    await client.query('rollback').catch(() => {});
    throw error;
  } finally {
    await source.return?.(undefined);
  }
}

/** Refuses while a server has the database open. */
export async function refuseServers(client: pg.Client): Promise<void> {
  const { rows } = await client.query(
    `select 1 from pg_stat_activity where datname = current_database() and application_name = $1 and pid <> pg_backend_pid()`,
    [APPLICATION_NAME],
  );
  if (rows.length > 0) throw new ServerRunsError();
}

/** Drops what this program made, and nothing else. Refuses where there are accounts and they may not go. */
async function clear(client: pg.Client, replace: boolean): Promise<void> {
  const { rows: found } = await client.query(
    'select oid, relname from pg_class where relnamespace = current_schema()::regnamespace and relname = any($1)',
    [ALL_TABLES.map(({ name }) => name)],
  );
  if (found.length === 0) return;
  const there = found.map(({ relname }) => relname as string);
  await refuseForeign(client, there);
  if (there.includes('users') && !replace) {
    const { rows } = await client.query('select count(*)::int as accounts from users');
    if (rows[0].accounts > 0) throw new TargetNotEmptyError(rows[0].accounts);
  }
  const { rows: domains } = await client.query(
    `select distinct typname from pg_type join pg_attribute on atttypid = pg_type.oid
      where typtype = 'd' and typnamespace = current_schema()::regnamespace and attrelid = any($1::oid[])`,
    [found.map(({ oid }) => oid)],
  );
  await client.query(`drop table ${there.join(', ')}`);
  for (const { typname } of domains) await client.query(`drop domain ${client.escapeIdentifier(typname)}`);
}

/** Refuses tables that no migration of this program made: one that made them is in the table of migrations. */
async function refuseForeign(client: pg.Client, there: readonly string[]): Promise<void> {
  const { rows } = there.includes(MIGRATIONS_TABLE)
    ? await client.query(`select to_jsonb(m) ->> 'name' as name from ${MIGRATIONS_TABLE} m`)
    : { rows: [] };
  if (!rows.some(({ name }) => migrations.some((known) => known.name === name)))
    throw new ForeignTablesError(there);
}

/** Runs the migrations of these names in an empty database, and says so where the migrator looks. */
export async function makeSchema(client: pg.Client, names: readonly string[]): Promise<void> {
  await client.query(
    `create table ${MIGRATIONS_TABLE} (id serial primary key, name varchar(255) not null,
       executed_at timestamptz not null default current_timestamp(6))`,
  );
  for (const { name, class: Migration } of migrations) {
    if (!names.includes(name)) continue;
    // A migration of this program is a list of statements: it asks neither its driver nor its configuration.
    const migration = new Migration(undefined as never, undefined as never);
    migration.up();
    for (const statement of migration.getQueries()) await client.query(statement as string);
    await client.query(`insert into ${MIGRATIONS_TABLE} (name) values ($1)`, [name]);
  }
}

async function writeTable(
  client: pg.Client,
  { name, columns, rows: expected }: Manifest['tables'][number],
  next: () => Promise<Frame>,
  progress: Progress | undefined,
): Promise<TableSummary> {
  const list = columns.map((column) => client.escapeIdentifier(column)).join(', ');
  const target = client.query(copyFrom(`copy ${client.escapeIdentifier(name)} (${list}) from stdin`));
  const done = finished(target);
  // Told below, by whoever waits for it; a refusal of PostgreSQL may come earlier.
  done.catch(() => {});
  const tally = new Tally();
  try {
    for (;;) {
      const frame = await next();
      if (frame.type === 'rows') {
        tally.add(frame.bytes);
        if (!target.write(frame.bytes)) await Promise.race([once(target, 'drain'), done]);
        progress?.({ table: name, rows: tally.rows, of: expected });
        continue;
      }
      if (frame.type !== 'summary') throw new DamagedBackupError(`its table ${name} does not end`);
      target.end();
      await done;
      const { summary } = frame;
      const { rows, bytes, sha256 } = tally.end();
      const same =
        summary.table === name &&
        summary.rows === rows &&
        summary.bytes === bytes &&
        summary.sha256 === sha256 &&
        rows === expected;
      if (!same) throw new DamagedBackupError(`its table ${name} is not what its summary says`);
      return summary;
    }
  } catch (error) {
    target.destroy();
    throw error;
  }
}

/** Reads every table again, as it lies there now: the same rows, by count and hash. */
async function proveRows(
  client: pg.Client,
  manifest: Manifest,
  tables: readonly TableSummary[],
  signal: AbortSignal | undefined,
): Promise<void> {
  for (const [index, { name, columns }] of manifest.tables.entries()) {
    // Between tables: one that is not read to its end leaves a connection that answers nothing more.
    signal?.throwIfAborted();
    const table = BACKUP_TABLES.find((each) => each.name === name);
    if (table === undefined) throw new NewerBackupError(`a table ${name}`);
    const { rows, sha256 } = await tallyTable(client, table, columns);
    if (rows !== tables[index]!.rows || sha256 !== tables[index]!.sha256)
      throw new DamagedBackupError(`the rows of ${name} are not the same after they were written`);
  }
}

/** Ends what was under way: no recorded request runs again, and every client notices that its history was taken back. */
async function settle(client: pg.Client): Promise<void> {
  const { rows } = await client.query(`select to_regclass('audit_events') is not null as there`);
  if (rows[0].there) await recordEvent(executorOf(client), 'backup restored');
  await client.query(`delete from login_sessions`);
  await client.query(`delete from auth_ephemerals`);
  await client.query(
    `update secure_data set new_entry_name = null, new_entry_data = null, new_change_session_id = null
      where new_change_session_id is not null`,
  );
  await client.query(`update users set history_id = uuid_send(gen_random_uuid()), ${NO_CHANGE}`);
}
