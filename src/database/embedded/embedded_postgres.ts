/**
 * The embedded PostgreSQL: the server's own, run as a child on a Unix socket below the data directory. All its state is
 * there; while it is stopped the directory may be renamed, moved or copied.
 */
import {
  chmodSync,
  existsSync,
  lchownSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
} from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import pg from 'pg';
import { type Account, chooseAccount } from './account.ts';
import { prepareCluster } from './cluster.ts';
import { lockDataDirectory } from './data_directory_lock.ts';
import { DiskFullError, EmbeddedPostgresError, saysDiskFull } from './errors.ts';
import { endChild, type GuardedChild, spawnGuarded } from './guarded_child.ts';
import { type Layout, layoutOf } from './layout.ts';
import { type LogFile, openLogFile } from './log_file.ts';
import { stopOrphan } from './orphan.ts';
import { type PostgresBinaries, postgresBinaries } from './postgres_binaries.ts';
import { DATABASE, ROLE } from './settings.ts';
import { openSocketDirectory, type SocketDirectory } from './socket_directory.ts';
import { type EventLog, Supervisor } from './supervisor.ts';

/** Where the database is: the directory of the socket, for pg's configuration. */
export interface EmbeddedConnection {
  readonly host: string;
  readonly user: string;
  readonly database: string;
}

/** A PostgreSQL that runs. */
export interface EmbeddedPostgres {
  /** The same for as long as it runs, restarts included. */
  readonly connection: EmbeddedConnection;
  /** Stops it within 7 seconds and releases the data directory. Never rejects. */
  stop(): Promise<void>;
}

export interface EmbeddedPostgresOptions {
  /** Made (mode 0700) where it is missing. */
  readonly dataDir: string;
  readonly log: EventLog;
  /** Connections in all. Default 100. */
  readonly maxConnections?: number;
  readonly binaries?: PostgresBinaries;
  /** What PostgreSQL runs under. Default: chosen for this machine. */
  readonly account?: Account;
}

/** Fast shutdown, immediate shutdown (the next start replays the log), the end; each with the milliseconds it has. */
const STOP_STEPS = [
  ['SIGINT', 3_000],
  ['SIGQUIT', 1_000],
  ['SIGKILL', 3_000],
] as const;

/** Milliseconds for PostgreSQL to answer at all; replaying its log after a crash may take as long as it takes. */
const SILENCE_MS = 30_000;

/**
 * Starts PostgreSQL on a data directory, makes its cluster at the first start, and starts it again should it end by
 * itself. Throws DataDirectoryInUseError, ForeignVersionError, DiskFullError, NoPostgresBinariesError and
 * EmbeddedPostgresError; nothing is left running then.
 */
export async function startEmbeddedPostgres(options: EmbeddedPostgresOptions): Promise<EmbeddedPostgres> {
  const { log, maxConnections = 100, binaries = postgresBinaries() } = options;
  const layout = layoutOf(options.dataDir);
  const ending: (() => unknown)[] = [];
  const release = (): void => {
    for (const step of ending.reverse()) step();
  };
  try {
    mkdirSync(layout.dataDir, { recursive: true, mode: 0o700 });
    ending.push(lockDataDirectory(layout.dataDir));
    const account = options.account ?? chooseAccount(binaries.postgres, layout.dataDir);
    makeDirectories(layout, account);
    const orphan = await stopOrphan(layout.cluster);
    if (orphan !== undefined) log.warn({ pid: orphan }, 'stopped a PostgreSQL that had outlived its server');
    await prepareCluster({ layout, binaries, account, maxConnections });
    const logFile = openLogFile(layout.log);
    ending.push(() => logFile.close());
    const socket = openSocketDirectory(layout.socket);
    ending.push(() => socket.close());
    const connection = connectionThrough(socket);
    const launch = async (signal: AbortSignal): Promise<GuardedChild> => {
      await stopOrphan(layout.cluster);
      clearSockets(layout.socket);
      const child = spawnGuarded(account, [binaries.postgres, '-D', layout.cluster], {
        cwd: layout.cluster,
        output: logFile.descriptor,
        lastSignal: 'INT',
      });
      await untilReady(child, connection, { layout, logFile, signal });
      return child;
    };
    const supervisor = new Supervisor({ launch, stopSteps: STOP_STEPS, log });
    await supervisor.start();
    let stopped: Promise<void> | undefined;
    return {
      connection,
      stop: () => {
        stopped ??= supervisor.stop().finally(release);
        return stopped;
      },
    };
  } catch (error) {
    release();
    throw asEmbeddedError(error, layout);
  }
}

/** Whether a server has ever started on this data directory. */
export function hasEmbeddedDatabase(dataDir: string): boolean {
  return existsSync(join(layoutOf(dataDir).cluster, 'PG_VERSION'));
}

/** The way to the PostgreSQL that another process runs on this data directory. `close` when it is needed no more. */
export function embeddedConnection(dataDir: string): { connection: EmbeddedConnection; close(): void } {
  const socket = openSocketDirectory(layoutOf(dataDir).socket);
  return { connection: connectionThrough(socket), close: () => socket.close() };
}

function connectionThrough({ host }: SocketDirectory): EmbeddedConnection {
  return { host, user: ROLE, database: DATABASE };
}

/** The directories around the cluster, with the permissions that the account needs. */
function makeDirectories(
  { dataDir, home, socket }: Layout,
  { ownerId, groupId = ownerId, parentMode }: Account,
): void {
  if (parentMode !== 0o700) chmodSync(dataDir, (statSync(dataDir).mode & 0o7777) | (parentMode & 0o111));
  mkdirSync(home, { recursive: true, mode: parentMode });
  chmodSync(home, parentMode);
  // Around the files of another user there is that one's directory, too.
  if (process.geteuid?.() === 0) lchownSync(home, statSync(dataDir).uid, statSync(dataDir).gid);
  mkdirSync(socket, { recursive: true, mode: 0o700 });
  chmodSync(socket, 0o700);
  if (ownerId !== undefined) lchownSync(socket, ownerId, groupId!);
}

/**
 * Removes what a killed PostgreSQL left in its socket's directory. Its lock file names a process that is gone, but that may
 * not have been reaped, or whose id another has by now; PostgreSQL would refuse to start for as long.
 */
function clearSockets(directory: string): void {
  for (const name of readdirSync(directory)) {
    if (name.startsWith('.s.PGSQL.')) rmSync(join(directory, name), { force: true });
  }
}

/** Resolves when PostgreSQL answers. Otherwise the child is ended and what its log says is thrown. */
async function untilReady(
  child: GuardedChild,
  connection: EmbeddedConnection,
  { layout, logFile, signal }: { layout: Layout; logFile: LogFile; signal: AbortSignal },
): Promise<void> {
  let ended = false;
  void child.exited.then(() => {
    ended = true;
  });
  let lastSign = performance.now();
  while (!ended && !signal.aborted && performance.now() - lastSign < SILENCE_MS) {
    const status = statusOf(layout);
    if (status === 'ready' && (await answers(connection))) return;
    if (status === 'starting') lastSign = performance.now();
    await sleep(10);
  }
  const said = logFile.tail(2_000);
  await endChild(child, STOP_STEPS);
  if (signal.aborted) throw new EmbeddedPostgresError('PostgreSQL was stopped while it started');
  if (saysDiskFull(said)) throw new DiskFullError(layout.dataDir);
  throw new EmbeddedPostgresError(`PostgreSQL did not start. The end of its log (${layout.log}):\n${said}`);
}

/** What PostgreSQL says of itself in the last line of postmaster.pid. To ask it by connecting would fill its log. */
function statusOf({ cluster }: Layout): string | undefined {
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

function asEmbeddedError(error: unknown, { dataDir }: Layout): unknown {
  if (error instanceof EmbeddedPostgresError) return error;
  const { code, message } = error as NodeJS.ErrnoException;
  if (code === undefined) return error;
  if (saysDiskFull(code)) return new DiskFullError(dataDir);
  return new EmbeddedPostgresError(`the data directory ${dataDir} cannot be used: ${message}`, {
    cause: error,
  });
}
