/**
 * The embedded PostgreSQL: the server's own, run as a child on a Unix socket below the data directory. All its state is
 * there; while it is stopped the directory may be renamed, moved or copied.
 */
import { chmodSync, existsSync, lchownSync, mkdirSync, readdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import type { EventLog } from '../event_log.ts';
import { type Account, chooseAccount } from './account.ts';
import { prepareCluster } from './cluster.ts';
import { lockDataDirectory } from './data_directory_lock.ts';
import {
  ClosedDataDirectoryError,
  DiskFullError,
  EmbeddedPostgresError,
  ForeignVersionError,
  NextMajorPendingError,
  NoPostgresBinariesError,
  saysDiskFull,
} from './errors.ts';
import type { GuardedChild } from './guarded_child.ts';
import { type Layout, layoutOf } from './layout.ts';
import { openLogFile } from './log_file.ts';
import { stopOrphan } from './orphan.ts';
import { type PostgresBinaries, postgresBinaries, previousBinaries } from './postgres_binaries.ts';
import { connectionThrough, type EmbeddedConnection, STOP_STEPS, startPostmaster } from './postmaster.ts';
import { openSocketDirectory } from './socket_directory.ts';
import { Supervisor } from './supervisor.ts';

/** A PostgreSQL that runs. */
export interface EmbeddedPostgres {
  /** The same for as long as it runs, restarts included. */
  readonly connection: EmbeddedConnection;
  /** Stops it within 7 seconds and releases the data directory. Never rejects. */
  stop(): Promise<void>;
}

/** What PostgreSQL is started with. */
export interface EmbeddedPostgresOptions {
  /** Made (mode 0700) where it is missing. */
  readonly dataDir: string;
  readonly log: EventLog;
  /** Connections in all. Default 100. */
  readonly maxConnections?: number;
  readonly binaries?: PostgresBinaries;
  /** The programs of the major version before. Default: those of its package. */
  readonly previous?: () => PostgresBinaries;
  /** Whether a database of the major version before is brought to this one. Default: yes. */
  readonly goOn?: boolean;
  /** What PostgreSQL runs under. Default: chosen for this machine. */
  readonly account?: Account;
}

/**
 * Starts PostgreSQL on a data directory, makes its cluster at the first start, brings it from the major version before to
 * this one, and starts PostgreSQL again should it end by itself. Throws DataDirectoryInUseError, ForeignVersionError,
 * NextMajorPendingError, NoRoomForNextMajorError, DiskFullError, NoPostgresBinariesError and EmbeddedPostgresError;
 * nothing is left running then.
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
    const logFile = openLogFile(layout.log);
    ending.push(() => logFile.close());
    const socket = openSocketDirectory(layout.socket);
    ending.push(() => socket.close());
    const connection = connectionThrough(socket);
    const parts = { layout, binaries, account, maxConnections };
    await prepareCluster(parts, async (found) => {
      const previous = previousOf(options, found, binaries.majorVersion);
      // Needed once in a year, and it brings the migrations along.
      const { goToNextMajor } = await import('./next_major.ts');
      await goToNextMajor({ ...parts, previous, socket, logFile, log });
    });
    const launch = (signal: AbortSignal): Promise<GuardedChild> =>
      startPostmaster({ layout, binaries, account, connection, logFile, signal });
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

/** Whether a server has ever started on this data directory. Throws ClosedDataDirectoryError where this user may not look. */
export function hasEmbeddedDatabase(dataDir: string): boolean {
  const { cluster, next } = layoutOf(dataDir);
  return [cluster, next].some((path) => {
    try {
      return statSync(join(path, 'PG_VERSION'), { throwIfNoEntry: false }) !== undefined;
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'EACCES') throw new ClosedDataDirectoryError(dataDir);
      return false;
    }
  });
}

/** The clusters of earlier major versions that were set aside, as absolute paths. */
export function clustersSetAside(dataDir: string): string[] {
  const { home, aside } = layoutOf(dataDir);
  if (!existsSync(home)) return [];
  return readdirSync(home)
    .map((name) => join(home, name))
    .filter((path) => path.startsWith(aside));
}

/** The way to the PostgreSQL that another process runs on this data directory. `close` when it is needed no more. */
export function embeddedConnection(dataDir: string): { connection: EmbeddedConnection; close(): void } {
  const socket = openSocketDirectory(layoutOf(dataDir).socket);
  return { connection: connectionThrough(socket), close: () => socket.close() };
}

/** The programs that read a cluster of the major version before. */
function previousOf(
  { dataDir, goOn = true, previous = previousBinaries }: EmbeddedPostgresOptions,
  found: string,
  ours: string,
): PostgresBinaries {
  if (!goOn) throw new NextMajorPendingError(dataDir, found, ours);
  try {
    const binaries = previous();
    if (binaries.majorVersion === found) return binaries;
  } catch (error) {
    if (!(error instanceof NoPostgresBinariesError)) throw error;
  }
  throw new ForeignVersionError(dataDir, found, ours);
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

function asEmbeddedError(error: unknown, { dataDir }: Layout): unknown {
  if (error instanceof EmbeddedPostgresError) return error;
  const { code, message } = error as NodeJS.ErrnoException;
  if (code === undefined) return error;
  if (saysDiskFull(code)) return new DiskFullError(dataDir);
  return new EmbeddedPostgresError(`the data directory ${dataDir} cannot be used: ${message}`, {
    cause: error,
  });
}
