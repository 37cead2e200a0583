/** The server's database for a command, whether the server runs or not. */
import { type ConnectionOptions, type Database, openDatabase } from '../database/database.ts';
import {
  embeddedConnection,
  hasEmbeddedDatabase,
  startEmbeddedPostgres,
} from '../database/embedded/embedded_postgres.ts';
import { DataDirectoryInUseError } from '../database/embedded/errors.ts';
import { KeyFileError } from '../database/key_file.ts';
import { MIGRATIONS_TABLE } from '../database/migrations/index.ts';
import { isForeignSchemaError } from '../database/sqlstate.ts';
import type { Config } from '../server/config.ts';
import { createLogger } from '../server/log.ts';

type Where = Pick<Config, 'dataDir' | 'databaseUrl'> & {
  /** Whether an embedded database of the major version before is brought to this one. Default: yes, as the server does. */
  readonly goOn?: boolean;
  /** Whether the embedded database is made where there is none yet. Default: false. */
  readonly mayMake?: boolean;
};

/**
 * Opens the database: by its URL, through the running server's PostgreSQL, or by starting that for as long as it takes.
 * `isAlone`: no server can have it open meanwhile. Answers and throws what `work` does; throws KeyFileError where the server
 * was never started, EmbeddedPostgresError (ClosedDataDirectoryError where another user's server was) or DatabaseFault.
 */
export async function withDatabase<T>(
  where: Where & Pick<Config, 'pgbouncer'>,
  work: (database: Database, isAlone: boolean) => Promise<T>,
): Promise<T> {
  return withConnection(where, async (connection, isAlone) => {
    const database = await openDatabase({ connection, pgbouncer: where.pgbouncer, poolSize: 1 });
    try {
      return await work(database, isAlone);
    } catch (error) {
      if (isForeignSchemaError(error)) throw await olderSchema(database);
      throw error;
    } finally {
      await database.close();
    }
  });
}

/** As withDatabase, with what a connection takes. */
export async function withConnection<T>(
  where: Where,
  work: (connection: ConnectionOptions, isAlone: boolean) => Promise<T>,
): Promise<T> {
  const { dataDir, databaseUrl, mayMake = false } = where;
  if (databaseUrl !== undefined) return work({ connectionString: databaseUrl }, false);
  if (!mayMake && !hasEmbeddedDatabase(dataDir)) throw neverStarted(` in ${dataDir}`);
  try {
    return await withStoppedServer(where, (connection) => work(connection, true));
  } catch (error) {
    if (!(error instanceof DataDirectoryInUseError)) throw error;
    const { connection, close } = embeddedConnection(dataDir);
    try {
      return await work(connection, false);
    } finally {
      close();
    }
  }
}

/**
 * The database while no server has the embedded one open; made where there is none yet. Throws DataDirectoryInUseError
 * while a server runs.
 */
export async function withStoppedServer<T>(
  { dataDir, databaseUrl, goOn = true }: Where,
  work: (connection: ConnectionOptions) => Promise<T>,
): Promise<T> {
  if (databaseUrl !== undefined) return work({ connectionString: databaseUrl });
  const postgres = await startEmbeddedPostgres({ dataDir, goOn, log: createLogger('warn') });
  try {
    return await work(postgres.connection);
  } finally {
    await postgres.stop();
  }
}

/** The schema was never made, or by an earlier version. */
async function olderSchema(database: Database): Promise<KeyFileError> {
  const { rows } = await database.reads.execute(
    `select to_regclass('${MIGRATIONS_TABLE}') is null as never`,
    [],
  );
  return rows[0]?.never === true
    ? neverStarted()
    : new KeyFileError(
        'the tables are those of an earlier version: restart the server, or run npx passmanager migrate',
      );
}

const neverStarted = (where = ''): KeyFileError =>
  new KeyFileError(
    `there is no database${where} yet, so there is nothing to do here: start the server once (npm start)`,
  );
