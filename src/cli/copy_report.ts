/** What commands that copy a whole database show: how far they are, and what they copied. */
import type { Progress } from '../database/backup/snapshot.ts';
import { formatTable } from './table.ts';
import type { Terminal } from './terminal.ts';

/** Shows how far a table is. */
export const showProgress =
  (terminal: Pick<Terminal, 'progress'>): Progress =>
  ({ table, rows, of }) =>
    terminal.progress(`${table}: ${rows} of ${of} rows`);

/** The tables and their rows, as lines. */
export const formatRowCounts = (
  tables: readonly { readonly table: string; readonly rows: number }[],
): readonly string[] =>
  formatTable(
    ['TABLE', 'ROWS'],
    tables.map(({ table, rows }) => [table, rows]),
  );
