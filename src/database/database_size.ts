/** What the database takes on its disk. */
import type { Database } from './database.ts';

/** Bytes of all tables and indexes; logs and temporary files are not among them. Throws DatabaseFault. */
export async function databaseSize(database: Pick<Database, 'reads'>): Promise<number> {
  const { rows } = await database.reads.execute(
    'select pg_database_size(current_database())::float8 as bytes',
    [],
  );
  return rows[0]!.bytes as number;
}
