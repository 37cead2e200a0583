/**
 * One real PostgreSQL for a test run, on a Unix socket in a directory of its own. Its address is handed to the test files
 * in PASSMANAGER_TEST_PG. fsync is off: no test here cuts the power; those that kill PostgreSQL start their own. It ends
 * with the process of the run, however that ends.
 */
import { chmodSync, chownSync, mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import pg from 'pg';
import { type Account, chooseAccount } from '../../src/database/embedded/account.ts';
import { endChild, type GuardedChild, spawnGuarded } from '../../src/database/embedded/guarded_child.ts';
import { type PostgresBinaries, postgresBinaries } from '../../src/database/embedded/postgres_binaries.ts';
import { runProgram } from '../../src/database/embedded/run_program.ts';

let directory: string | undefined;
let server: GuardedChild | undefined;

export async function mochaGlobalSetup(): Promise<void> {
  if (process.env.PASSMANAGER_TEST_PG !== undefined) return;
  const binaries = postgresBinaries();
  directory = mkdtempSync(join(tmpdir(), 'pm-test-'));
  const data = join(directory, 'data');
  const socket = join(directory, 'socket');
  const account = chooseAccount(binaries.postgres, data);
  chmodSync(directory, account.parentMode);
  for (const path of [data, socket]) {
    mkdirSync(path, { mode: 0o700 });
    if (account.ownerId !== undefined) chownSync(path, account.ownerId, account.ownerId);
  }
  try {
    server = await startPostgres(binaries, account, data, socket);
    const connection = { host: socket, user: 'postgres', database: 'postgres' };
    await untilReady(connection, server);
    process.env.PASSMANAGER_TEST_PG = JSON.stringify(connection);
  } catch (error) {
    await mochaGlobalTeardown();
    throw error;
  }
}

export async function mochaGlobalTeardown(): Promise<void> {
  if (server !== undefined) {
    await endChild(server, [
      ['SIGQUIT', 5_000],
      ['SIGKILL', 5_000],
    ]);
  }
  if (directory !== undefined) rmSync(directory, { recursive: true, force: true, maxRetries: 5 });
}

async function startPostgres(
  { initdb, postgres }: PostgresBinaries,
  account: Account,
  data: string,
  socket: string,
): Promise<GuardedChild> {
  await runProgram(
    account,
    [
      ...[initdb, '-D', data, '-U', 'postgres', '--auth=trust', '--no-sync', '-E', 'UTF8'],
      ...['--locale=C', '--locale-provider=builtin', '--builtin-locale=C.UTF-8'],
    ],
    { cwd: '/' },
  );
  const settings = {
    listen_addresses: '',
    unix_socket_directories: socket,
    fsync: 'off',
    full_page_writes: 'off',
    max_connections: '200',
    shared_buffers: '64MB',
    jit: 'off',
  };
  return spawnGuarded(
    account,
    [
      postgres,
      '-D',
      data,
      ...Object.entries(settings).flatMap(([name, value]) => ['-c', `${name}=${value}`]),
    ],
    { cwd: '/', output: 'pipe', lastSignal: 'INT' },
  );
}

async function untilReady(connection: pg.ClientConfig, { process: child }: GuardedChild): Promise<void> {
  let printed = '';
  for (const stream of [child.stdout!, child.stderr!]) {
    stream.setEncoding('utf8').on('data', (text: string) => {
      printed = (printed + text).slice(-4_000);
    });
  }
  for (let attempt = 0; attempt < 600 && child.exitCode === null; attempt += 1) {
    const client = new pg.Client(connection);
    try {
      await client.connect();
      await client.end();
      return;
    } catch {
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
  }
  throw new Error(`the PostgreSQL of the tests did not start: ${printed}`);
}
