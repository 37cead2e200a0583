/** How many rows a table has, as the planner believes: a count of all would read them all. */
import type { Database } from './database.ts';

/** The estimate, 0 before the first. Throws DatabaseFault. */
export async function estimatedRows(database: Pick<Database, 'reads'>, table: string): Promise<number> {
  const { rows } = await database.reads.execute(
    `select greatest(c.reltuples, s.n_live_tup, 0)::float8 as rows
       from pg_class c left join pg_stat_user_tables s on s.relid = c.oid where c.oid = to_regclass($1)`,
    [table],
  );
  return (rows[0]?.rows as number | undefined) ?? 0;
}
