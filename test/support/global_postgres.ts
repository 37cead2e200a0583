/**
 * One real PostgreSQL for a test run. Its address is handed to the test files in PASSMANAGER_TEST_PG. Tests that kill
 * PostgreSQL start their own.
 */
import { COMPILE_CACHE } from './compile_cache.ts';
import { type PostgresProcess, startPostgres } from './postgres_process.ts';

let server: PostgresProcess | undefined;

export async function mochaGlobalSetup(): Promise<void> {
  Object.assign(process.env, COMPILE_CACHE);
  if (process.env.PASSMANAGER_TEST_PG !== undefined) return;
  server = await startPostgres();
  process.env.PASSMANAGER_TEST_PG = JSON.stringify(server.connection);
}

export async function mochaGlobalTeardown(): Promise<void> {
  await server?.stop();
}
