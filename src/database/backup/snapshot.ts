/** Reads everything that lasts from a database, as it was at one moment, while servers go on. */
import type pg from 'pg';
import { to as copyTo } from 'pg-copy-streams';
import type { Row } from '../database.ts';
import { MIGRATIONS_TABLE } from '../migrations/index.ts';
import { BackupError } from './backup_errors.ts';
import type { Frame, Manifest } from './backup_frames.ts';
import { BACKUP_TABLES, type BackupTable } from './backup_tables.ts';
import { type Tallied, Tally } from './tally.ts';

/** Bytes of rows in a frame, about. */
const FRAME_BYTES = 128 * 1024;

/** Told how far a copy is. */
export type Progress = (done: { readonly table: string; readonly rows: number; readonly of: number }) => void;

/**
 * The frames of a snapshot. `client` is connected and used by nobody else until the last frame. `keyFile`: the 32 bytes that
 * open the server's keys. Throws BackupError where there is nothing to back up, and what pg throws.
 */
export async function* readSnapshot(
  client: pg.Client,
  options: { keyFile: Uint8Array; now?: Date; progress?: Progress },
): AsyncGenerator<Frame> {
  await prepareSession(client);
  await client.query('begin isolation level repeatable read read only');
  let isRead = false;
  try {
    const manifest = await manifestOf(client, options);
    yield { type: 'manifest', manifest };
    for (const { name, columns, rows } of manifest.tables) {
      const table = BACKUP_TABLES.find((each) => each.name === name)!;
      yield* readTable(client, table, columns, rows, options.progress);
    }
    isRead = true;
    yield { type: 'end' };
  } finally {
    // A table that was not read to its end leaves a connection that answers nothing more: its owner ends it.
    if (isRead) await client.query('rollback').catch(() => {});
  }
}

/** Has a session write values in one way, whatever the database's own is, and take all the time that it needs. */
export async function prepareSession(client: pg.Client): Promise<void> {
  await client.query(
    `set timezone = 'UTC'; set datestyle = 'ISO, YMD'; set bytea_output = 'hex'; set statement_timeout = 0;
     set lock_timeout = '15s'; set idle_in_transaction_session_timeout = 0; set synchronous_commit = on;
     set client_encoding = 'UTF8'`,
  );
}

/** A connected client as what runs statements. What it rejects with is pg's own error, no DatabaseFault. */
export const executorOf = (client: pg.Client) => ({
  execute: (text: string, parameters: readonly unknown[]): Promise<{ rows: Row[] }> =>
    client.query(text, [...parameters]),
});

/** COPY of a table's rows by its key, for reading. */
export const copyOut = ({ name, key }: BackupTable, columns: readonly string[]): string =>
  `copy (select ${columns.join(', ')} from ${name} order by ${key.join(', ')}) to stdout`;

/** A table's columns in their order; none: there is no such table. */
export async function columnsOf(client: pg.Client, table: string): Promise<string[]> {
  const { rows } = await client.query(
    'select attname from pg_attribute where attrelid = to_regclass($1) and attnum > 0 and not attisdropped order by attnum',
    [table],
  );
  return rows.map(({ attname }) => attname as string);
}

/** Reads the rows of a table, by its key, and tallies them. */
export async function tallyTable(
  client: pg.Client,
  table: BackupTable,
  columns: readonly string[],
): Promise<Tallied> {
  const tally = new Tally();
  const stream = client.query(copyTo(copyOut(table, columns)));
  for await (const piece of stream as AsyncIterable<Buffer>) tally.add(piece);
  return tally.end();
}

/** The migrations that a database has run, in order; undefined: it has not even their table. */
export async function executedMigrations(client: pg.Client): Promise<string[] | undefined> {
  const { rows: found } = await client.query(
    `select to_regclass('${MIGRATIONS_TABLE}') is not null as there`,
  );
  if (!found[0].there) return undefined;
  const { rows } = await client.query(`select name from ${MIGRATIONS_TABLE} order by id`);
  return rows.map(({ name }) => name as string);
}

async function manifestOf(
  client: pg.Client,
  { keyFile, now = new Date() }: { keyFile: Uint8Array; now?: Date },
): Promise<Manifest> {
  const executed = await executedMigrations(client);
  if (executed === undefined)
    throw new BackupError('there is nothing in this database yet: start the server once');
  const tables = [];
  for (const { name } of BACKUP_TABLES) {
    const columns = await columnsOf(client, name);
    // An earlier schema has fewer tables.
    if (columns.length === 0) continue;
    const { rows: counted } = await client.query(`select count(*)::float8 as rows from ${name}`);
    tables.push({
      name,
      columns,
      rows: counted[0].rows as number,
    });
  }
  return {
    version: 1,
    madeAt: now.toISOString(),
    migrations: executed,
    keyFile: Buffer.from(keyFile).toString('hex'),
    tables,
  };
}

async function* readTable(
  client: pg.Client,
  table: BackupTable,
  columns: readonly string[],
  expected: number,
  progress: Progress | undefined,
): AsyncGenerator<Frame> {
  const stream = client.query(copyTo(copyOut(table, columns)));
  const tally = new Tally();
  let parts: Buffer[] = [];
  let size = 0;
  const flush = (): Frame => {
    const frame: Frame = { type: 'rows', bytes: Buffer.concat(parts, size) };
    [parts, size] = [[], 0];
    return frame;
  };
  for await (const piece of stream as AsyncIterable<Buffer>) {
    tally.add(piece);
    parts.push(piece);
    size += piece.length;
    if (size < FRAME_BYTES) continue;
    yield flush();
    progress?.({ table: table.name, rows: tally.rows, of: expected });
  }
  if (size > 0) yield flush();
  progress?.({ table: table.name, rows: tally.rows, of: expected });
  yield { type: 'summary', summary: { table: table.name, ...tally.end() } };
}
