/**
 * One real PostgreSQL for a test run, on a Unix socket in a directory of its own. Its address is handed to the test files
 * in PASSMANAGER_TEST_PG. fsync is off: no test here cuts the power; those that kill PostgreSQL start their own.
 */
import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { chmodSync, chownSync, mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import pg from 'pg';
import { postgresBinaries, unprivilegedCommand } from '../../src/database/embedded/postgres_binaries.ts';

let directory: string | undefined;
let server: ChildProcess | undefined;

export async function mochaGlobalSetup(): Promise<void> {
  if (process.env.PASSMANAGER_TEST_PG !== undefined) return;
  directory = mkdtempSync(join(tmpdir(), 'pm-test-'));
  const data = join(directory, 'data');
  mkdirSync(data, { mode: 0o700 });
  if (process.getuid?.() === 0) {
    chmodSync(directory, 0o711);
    chownSync(directory, 65534, 65534);
    chownSync(data, 65534, 65534);
  }
  const { initdb, postgres } = postgresBinaries();
  run(initdb, ['-D', data, '-U', 'postgres', '--auth=trust', '--no-sync', '-E', 'UTF8', '--locale-provider=builtin', '--locale=C.UTF-8']);
  const [command, ...parameters] = unprivilegedCommand([
    postgres,
    ...['-D', data, '-k', directory, '-c', 'listen_addresses=', '-c', 'fsync=off', '-c', 'full_page_writes=off'],
    ...['-c', 'max_connections=300', '-c', 'shared_buffers=64MB', '-c', 'jit=off'],
  ]);
  server = spawn(command!, parameters, { stdio: 'ignore', env: {}, detached: true });
  const connection = { host: directory, user: 'postgres', database: 'postgres' };
  await untilReady(connection);
  process.env.PASSMANAGER_TEST_PG = JSON.stringify(connection);
}

export async function mochaGlobalTeardown(): Promise<void> {
  if (server === undefined) return;
  const ended = new Promise((resolve) => server!.once('exit', resolve));
  server.kill('SIGINT');
  await ended;
  if (directory !== undefined) rmSync(directory, { recursive: true, force: true });
}

function run(program: string, parameters: string[]): void {
  const [command, ...all] = unprivilegedCommand([program, ...parameters]);
  const { status, stderr } = spawnSync(command!, all, { env: {}, encoding: 'utf8' });
  if (status !== 0) throw new Error(`${program} failed: ${stderr}`);
}

async function untilReady(connection: { host: string; user: string; database: string }): Promise<void> {
  for (let attempt = 0; attempt < 200; attempt += 1) {
    const client = new pg.Client(connection);
    try {
      await client.connect();
      await client.end();
      return;
    } catch {
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
  }
  throw new Error('the PostgreSQL of the tests did not start');
}
