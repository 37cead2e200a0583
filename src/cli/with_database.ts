/** The server's database for a command, whether the server runs or not. */
import { type Database, openDatabase } from '../database/database.ts';
import {
  embeddedConnection,
  hasEmbeddedDatabase,
  startEmbeddedPostgres,
} from '../database/embedded/embedded_postgres.ts';
import { DataDirectoryInUseError } from '../database/embedded/errors.ts';
import { KeyFileError } from '../database/key_file.ts';
import { DatabaseFault } from '../database/sqlstate.ts';
import type { Config } from '../server/config.ts';
import { createLogger } from '../server/log.ts';

/**
 * Opens the database: by its URL, through the running server's PostgreSQL, or by starting that for as long as it takes.
 * `isAlone`: no server can have it open meanwhile. Answers and throws what `work` does; throws KeyFileError where the server was never started, EmbeddedPostgresError or DatabaseFault.
 */
export async function withDatabase<T>(
  { dataDir, databaseUrl, pgbouncer }: Pick<Config, 'dataDir' | 'databaseUrl' | 'pgbouncer'>,
  work: (database: Database, isAlone: boolean) => Promise<T>,
): Promise<T> {
  const use = async (
    connection: Parameters<typeof openDatabase>[0]['connection'],
    isAlone = false,
  ): Promise<T> => {
    const database = await openDatabase({ connection, pgbouncer, poolSize: 1 });
    try {
      return await work(database, isAlone);
    } catch (error) {
      if (error instanceof DatabaseFault && error.sqlState === UNDEFINED_TABLE) throw neverStarted();
      throw error;
    } finally {
      await database.close();
    }
  };
  if (databaseUrl !== undefined) return use({ connectionString: databaseUrl });
  if (!hasEmbeddedDatabase(dataDir)) throw neverStarted(` in ${dataDir}`);
  try {
    const postgres = await startEmbeddedPostgres({ dataDir, log: createLogger('warn') });
    try {
      return await use(postgres.connection, true);
    } finally {
      await postgres.stop();
    }
  } catch (error) {
    if (!(error instanceof DataDirectoryInUseError)) throw error;
    const { connection, close } = embeddedConnection(dataDir);
    try {
      return await use(connection);
    } finally {
      close();
    }
  }
}

/** SQLSTATE undefined_table: the schema was never made. */
const UNDEFINED_TABLE = '42P01';

const neverStarted = (where = ''): KeyFileError =>
  new KeyFileError(
    `there is no database${where} yet, so there is nothing to do here: start the server once (npm start)`,
  );
