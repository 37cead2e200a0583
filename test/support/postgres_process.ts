/** A PostgreSQL of a test's own, on a Unix socket in a new directory. It ends with this process, however that ends. */
import { chmodSync, chownSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import pg from 'pg';
import { type Account, chooseAccount } from '../../src/database/embedded/account.ts';
import { endChild, type GuardedChild, spawnGuarded } from '../../src/database/embedded/guarded_child.ts';
import { type PostgresBinaries, postgresBinaries } from '../../src/database/embedded/postgres_binaries.ts';
import { runProgram } from '../../src/database/embedded/run_program.ts';
import { processesOn } from './embedded.ts';

export interface PostgresProcess {
  readonly connection: { readonly host: string; readonly user: string; readonly database: string };
  /** Ends it and starts it again as a standby, as a primary that lost its place comes back. */
  demote(): Promise<void>;
  /** Stops all its processes where they are: connections stay open, and nothing answers. */
  freeze(): void;
  /** Ends it and deletes its directory. */
  stop(): Promise<void>;
}

/** Resolves when it takes connections. `standby`: as one that waits for a primary's changes, and may be promoted. fsync is off: nobody cuts the power. */
export async function startPostgres({ standby = false } = {}): Promise<PostgresProcess> {
  const binaries = postgresBinaries();
  const directory = mkdtempSync(join(tmpdir(), 'pm-test-'));
  const data = join(directory, 'data');
  const socket = join(directory, 'socket');
  const account = chooseAccount(binaries.postgres, data);
  chmodSync(directory, account.parentMode);
  for (const path of [data, socket]) {
    mkdirSync(path, { mode: 0o700 });
    if (account.ownerId !== undefined) chownSync(path, account.ownerId, account.ownerId);
  }
  const connection = { host: socket, user: 'postgres', database: 'postgres' };
  let child: GuardedChild | undefined;
  const end = async (signal: 'SIGINT' | 'SIGQUIT'): Promise<void> => {
    if (child !== undefined)
      await endChild(child, [
        [signal, 5_000],
        ['SIGKILL', 5_000],
      ]);
  };
  const start = async (asStandby: boolean): Promise<void> => {
    if (asStandby) writeFileSync(join(data, 'standby.signal'), '');
    child = spawnPostgres(binaries, account, data, socket);
    await untilReady(connection, child);
  };
  const signal = (name: NodeJS.Signals): void => {
    for (const pid of processesOn(data)) {
      try {
        process.kill(pid, name);
      } catch (error) {
        // One of those that come and go may have gone since.
        if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error;
      }
    }
  };
  const freeze = (): void => signal('SIGSTOP');
  const stop = async (): Promise<void> => {
    signal('SIGCONT');
    await end('SIGQUIT');
    rmSync(directory, { recursive: true, force: true, maxRetries: 5 });
  };
  const demote = async (): Promise<void> => {
    await end('SIGINT');
    await start(true);
  };
  try {
    await makeCluster(binaries, account, data);
    await start(standby);
  } catch (error) {
    await stop();
    throw error;
  }
  return { connection, demote, freeze, stop };
}

async function makeCluster({ initdb }: PostgresBinaries, account: Account, data: string): Promise<void> {
  await runProgram(
    account,
    [
      ...[initdb, '-D', data, '-U', 'postgres', '--auth=trust', '--no-sync', '-E', 'UTF8'],
      ...['--locale=C', '--locale-provider=builtin', '--builtin-locale=C.UTF-8'],
    ],
    { cwd: '/' },
  );
}

function spawnPostgres(
  { postgres }: PostgresBinaries,
  account: Account,
  data: string,
  socket: string,
): GuardedChild {
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
