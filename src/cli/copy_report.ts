/** What commands that copy a whole database show: how far they are, what they copied, and how long it took. */
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

/** What `work` answers, and the whole milliseconds that it took. Throws what `work` does. */
export async function timed<T>(work: () => Promise<T>): Promise<{ done: T; milliseconds: number }> {
  const begin = performance.now();
  const done = await work();
  return { done, milliseconds: Math.round(performance.now() - begin) };
}

/** `1.3 s`. */
export const formatSeconds = (milliseconds: number): string => `${(milliseconds / 1_000).toFixed(1)} s`;
