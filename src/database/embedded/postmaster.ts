/** Runs PostgreSQL on a cluster until it answers. */
import { readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import pg from 'pg';
import type { Account } from './account.ts';
import { DiskFullError, EmbeddedPostgresError, saysDiskFull } from './errors.ts';
import { endChild, type GuardedChild, spawnGuarded } from './guarded_child.ts';
import type { Layout } from './layout.ts';
import type { LogFile } from './log_file.ts';
import { stopOrphan } from './orphan.ts';
import type { PostgresBinaries } from './postgres_binaries.ts';
import { DATABASE, ROLE } from './settings.ts';
import { type SocketDirectory, socketName, USUAL_PORT } from './socket_directory.ts';

/** Where the database is: the directory of the socket, for pg's configuration. */
export interface EmbeddedConnection {
  readonly host: string;
  /** A part of the socket's name; none: the usual one. */
  readonly port?: number;
  readonly user: string;
  readonly database: string;
}

/** Fast shutdown, immediate shutdown (the next start replays the log), the end; each with the milliseconds it has. */
export const STOP_STEPS = [
  ['SIGINT', 3_000],
  ['SIGQUIT', 1_000],
  ['SIGKILL', 3_000],
] as const;

/** Milliseconds for PostgreSQL to answer at all; replaying its log after a crash may take as long as it takes. */
const SILENCE_MS = 30_000;

/** What it takes to run PostgreSQL. */
export interface PostmasterParts {
  readonly account: Account;
  readonly binaries: PostgresBinaries;
  readonly layout: Layout;
  /** The cluster, if it is not the one of the layout. */
  readonly cluster?: string;
  readonly connection: EmbeddedConnection;
  readonly logFile: LogFile;
  /** Settings that go before those in the cluster. */
  readonly settings?: Readonly<Record<string, string>>;
  readonly signal?: AbortSignal;
}

/** The way to a PostgreSQL in a socket directory. */
export function connectionThrough({ host }: SocketDirectory, port?: number): EmbeddedConnection {
  return { host, ...(port === undefined ? {} : { port }), user: ROLE, database: DATABASE };
}

/**
 * Starts PostgreSQL, and resolves when it answers. The caller holds the lock of the data directory: one that still runs on
 * this cluster is stopped. Throws DiskFullError and EmbeddedPostgresError with the end of its log; nothing runs then.
 */
export async function startPostmaster(parts: PostmasterParts): Promise<GuardedChild> {
  const { account, binaries, layout, cluster = layout.cluster, connection, logFile, settings = {} } = parts;
  const { port = USUAL_PORT } = connection;
  await stopOrphan(cluster);
  // What a killed one left: the lock file names a process that is gone, but that may not have been reaped, or whose id
  // another has by now; PostgreSQL would refuse to start for as long.
  for (const ending of ['', '.lock'])
    rmSync(join(layout.socket, `${socketName(port)}${ending}`), { force: true });
  const options = Object.entries({ ...settings, ...(port !== USUAL_PORT && { port: `${port}` }) }).flatMap(
    ([name, value]) => ['-c', `${name}=${value}`],
  );
  const child = spawnGuarded(account, [binaries.postgres, '-D', cluster, ...options], {
    cwd: cluster,
    output: logFile.descriptor,
    lastSignal: 'INT',
  });
  await untilReady(child, cluster, parts);
  return child;
}

/** Resolves when PostgreSQL answers. Otherwise the child is ended and what its log says is thrown. */
async function untilReady(
  child: GuardedChild,
  cluster: string,
  { connection, layout, logFile, signal }: PostmasterParts,
): Promise<void> {
  let ended = false;
  void child.exited.then(() => {
    ended = true;
  });
  let lastSign = performance.now();
  while (!ended && !signal?.aborted && performance.now() - lastSign < SILENCE_MS) {
    const status = statusOf(cluster);
    if (status === 'ready' && (await answers(connection))) return;
    if (status === 'starting') lastSign = performance.now();
    await sleep(10);
  }
  const said = logFile.tail(2_000);
  await endChild(child, STOP_STEPS);
  if (signal?.aborted) throw new EmbeddedPostgresError('PostgreSQL was stopped while it started');
  if (saysDiskFull(said)) throw new DiskFullError(layout.dataDir);
  throw new EmbeddedPostgresError(`PostgreSQL did not start. The end of its log (${layout.log}):\n${said}`);
}

/** What PostgreSQL says of itself in the last line of postmaster.pid. To ask it by connecting would fill its log. */
function statusOf(cluster: string): string | undefined {
  try {
    return readFileSync(join(cluster, 'postmaster.pid'), 'utf8').split('\n')[7]?.trim();
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
    return undefined;
  }
}

async function answers(connection: EmbeddedConnection): Promise<boolean> {
  const client = new pg.Client({ ...connection, connectionTimeoutMillis: 5_000 });
  client.on('error', () => {});
  try {
    await client.connect();
    return true;
  } catch {
    return false;
  } finally {
    await client.end().catch(() => {});
  }
}
