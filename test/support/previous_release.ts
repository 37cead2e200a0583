/** The release before, as far as its PostgreSQL goes: the major version before, with the settings that one knows. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { openDatabase } from '../../src/database/database.ts';
import { startEmbeddedPostgres } from '../../src/database/embedded/embedded_postgres.ts';
import { type PostgresBinaries, previousBinaries } from '../../src/database/embedded/postgres_binaries.ts';
import { migrate } from '../../src/database/migrator.ts';
import { query, recordingLog } from './embedded.ts';
import { insertEverything } from './sample_rows.ts';
import type { TestDatabase } from './test_database.ts';

/** Settings of today that the major version before does not know. */
const UNKNOWN = ['io_method'];

/** Its programs. A script in `directory` goes before PostgreSQL and takes the unknown settings out of what it is to read. */
export function previousRelease(directory: string): PostgresBinaries {
  const binaries = previousBinaries();
  const postgres = join(directory, 'postgres-of-before');
  const script = `#!/bin/sh
for parameter; do
  [ "$option" != -D ] || sed -i -E '/^(${UNKNOWN.join('|')}) =/d' "$parameter/postgresql.conf"
  option=$parameter
done
exec '${binaries.postgres}' "$@"
`;
  writeFileSync(postgres, script, { mode: 0o755 });
  return { ...binaries, postgres };
}

/** Runs it on a data directory in `directory` for as long as `work` takes. */
export async function withPreviousRelease<T>(
  directory: string,
  work: (database: Pick<TestDatabase, 'query' | 'connection'>) => Promise<T>,
): Promise<T> {
  const { connection, stop } = await startEmbeddedPostgres({
    dataDir: join(directory, 'data'),
    log: recordingLog(),
    binaries: previousRelease(directory),
  });
  try {
    return await work({ connection, query: (text, parameters) => query(connection, text, parameters) });
  } finally {
    await stop();
  }
}

/** Makes `data` in `directory` as it left it, with something of everything in it. */
export function fillPreviousRelease(directory: string): Promise<void> {
  return withPreviousRelease(directory, async (database) => {
    const opened = await openDatabase({ connection: database.connection, poolSize: 1 });
    await migrate(opened);
    await opened.close();
    await insertEverything(database);
  });
}
