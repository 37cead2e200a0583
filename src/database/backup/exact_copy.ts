/**
 * Copies a whole database into an empty one, exactly: what a backup leaves out as well, and the migrator's own rows. Nobody
 * notices that it is another database: sessions go on, histories and revisions stay.
 */
import { pipeline } from 'node:stream/promises';
import type pg from 'pg';
import { from as copyFrom, to as copyTo } from 'pg-copy-streams';
import { MIGRATIONS_TABLE, unknownMigrations } from '../migrations/index.ts';
import { ALL_TABLES, type BackupTable } from './backup_tables.ts';
import { makeSchema } from './restore_snapshot.ts';
import {
  columnsOf,
  copyOut,
  executedMigrations,
  type Progress,
  prepareSession,
  tallyTable,
} from './snapshot.ts';
import { type Tallied, Tally } from './tally.ts';

/** A database that cannot be copied exactly. */
export class ExactCopyError extends Error {
  constructor(message: string) {
    super(message);
    this.name = 'ExactCopyError';
  }
}

/** A table that was copied. */
export interface CopiedTable extends Tallied {
  readonly table: string;
}

/**
 * Copies every table of `from`, as of one moment, into `to`, where there is nothing yet; both are connected and used by
 * nobody else. The schema is made by the migrations that `from` has run. Every table is counted and hashed as it leaves
 * and once more as it lies there in the end; then one transaction commits all of it. Throws ExactCopyError where there is
 * what the program does not know or where a row is not the same, and what pg throws: `to` is empty then, and the
 * connections are to be ended.
 */
export async function copyExactly(
  from: pg.Client,
  to: pg.Client,
  { progress }: { progress?: Progress } = {},
): Promise<CopiedTable[]> {
  await prepareSession(from);
  await prepareSession(to);
  await from.query('begin isolation level repeatable read read only');
  await to.query('begin');
  await refuseStrangers(from);
  const executed = await executedMigrations(from);
  const copied: CopiedTable[] = [];
  // A server that was stopped before its first migration left nothing.
  if (executed !== undefined) {
    const unknown = unknownMigrations(executed);
    if (unknown.length > 0)
      throw new ExactCopyError(`it was used by a newer version of this program (${unknown.join(', ')})`);
    await makeSchema(to, executed);
    await to.query(`delete from ${MIGRATIONS_TABLE}`);
    for (const table of ALL_TABLES) {
      const columns = await columnsOf(from, table.name);
      // An earlier schema has fewer tables.
      if (columns.length > 0) copied.push(await copyTable({ from, to, table, columns, progress }));
    }
    await copySequence(from, to);
    await proveTables(to, copied);
  }
  // Before the commit, as rows are frozen: what a transaction writes into tables of its own needs no log.
  await to.query('analyze');
  await from.query('commit');
  await to.query('commit');
  return copied;
}

/** What the program did not make would be lost. */
async function refuseStrangers(client: pg.Client): Promise<void> {
  const { rows } = await client.query(
    `select c.oid::regclass::text as name from pg_class c join pg_namespace n on n.oid = c.relnamespace
      where c.relkind in ('r', 'p', 'v', 'm', 'f') and n.nspname !~ '^(pg_|information_schema$)' order by 1`,
  );
  const names = rows.map(({ name }) => name as string);
  const strange = names.filter((name) => !ALL_TABLES.some((table) => table.name === name));
  if (strange.length > 0)
    throw new ExactCopyError(`it holds tables that this program did not make (${strange.join(', ')})`);
}

async function copyTable({
  from,
  to,
  table,
  columns,
  progress,
}: {
  from: pg.Client;
  to: pg.Client;
  table: BackupTable;
  columns: readonly string[];
  progress: Progress | undefined;
}): Promise<CopiedTable> {
  const { name } = table;
  if ((await columnsOf(to, name)).join() !== columns.join())
    throw new ExactCopyError(`its table ${name} has other columns than its migrations make`);
  const { rows: counted } = await from.query(`select count(*)::float8 as rows from ${name}`);
  const of = counted[0].rows as number;
  const tally = new Tally();
  await pipeline(
    from.query(copyTo(copyOut(table, columns))),
    async function* (pieces: AsyncIterable<Buffer>) {
      for await (const piece of pieces) {
        tally.add(piece);
        if (tally.rows < of) progress?.({ table: name, rows: tally.rows, of });
        yield piece;
      }
    },
    to.query(copyFrom(`copy ${name} (${columns.join(', ')}) from stdin with (freeze)`)),
  );
  const tallied = tally.end();
  if (tallied.rows !== of) throw new ExactCopyError(`its table ${name} did not come whole`);
  progress?.({ table: name, rows: of, of });
  return { table: name, ...tallied };
}

/** The only sequence is the migrator's. */
async function copySequence(from: pg.Client, to: pg.Client): Promise<void> {
  const name = `${MIGRATIONS_TABLE}_id_seq`;
  const { rows } = await from.query(`select last_value, is_called from ${name}`);
  await to.query(`select setval('${name}', $1, $2)`, [rows[0].last_value, rows[0].is_called]);
}

/** Reads every table again, as it lies there now. */
async function proveTables(client: pg.Client, copied: readonly CopiedTable[]): Promise<void> {
  for (const { table: name, rows, sha256 } of copied) {
    const table = ALL_TABLES.find((each) => each.name === name)!;
    const found = await tallyTable(client, table, await columnsOf(client, name));
    if (found.rows !== rows || found.sha256 !== sha256)
      throw new ExactCopyError(`the rows of ${name} are not the same after they were written`);
  }
}
