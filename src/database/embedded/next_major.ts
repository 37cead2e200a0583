/**
 * From one major version of PostgreSQL to the next. Its packages hold no pg_upgrade and no pg_dump, so both versions run side
 * by side, and every row is copied, counted and hashed. The old cluster is started and read, nothing else, until the new
 * one is whole and on disk; then it is set aside. Whatever is cut short begins again at the next start
 * (docs/adr/0009-next-major-of-postgresql.md).
 */
import { existsSync } from 'node:fs';
import { lstat, readdir, rename, rm, statfs } from 'node:fs/promises';
import { join } from 'node:path';
import pg from 'pg';
import { type CopiedTable, copyExactly } from '../backup/exact_copy.ts';
import type { Progress } from '../backup/snapshot.ts';
import type { EventLog } from '../event_log.ts';
import { type ClusterParts, makeCluster } from './cluster.ts';
import { syncDirectory } from './durable_file.ts';
import { DiskFullError, EmbeddedPostgresError, NoRoomForNextMajorError, saysDiskFull } from './errors.ts';
import { endChild, type GuardedChild } from './guarded_child.ts';
import type { LogFile } from './log_file.ts';
import type { PostgresBinaries } from './postgres_binaries.ts';
import { connectionThrough, type EmbeddedConnection, startPostmaster } from './postmaster.ts';
import { runProgram } from './run_program.ts';
import type { SocketDirectory } from './socket_directory.ts';

/** What it takes to go to the next major version: `binaries` are those of that one. */
export interface NextMajorParts extends ClusterParts {
  /** Those that the cluster was made by. */
  readonly previous: PostgresBinaries;
  readonly socket: SocketDirectory;
  readonly logFile: LogFile;
  readonly log: EventLog;
  /** Bytes that are free where a path is. */
  readonly freeBytes?: (path: string) => Promise<number>;
}

/** Numbers of sockets that nobody else knows: a command that took the old database for the server's would write into it. */
const OLD_PORT = 5433;
const NEW_PORT = 5434;

/** The old cluster is read, and nothing in it is tidied up. */
const OLD_SETTINGS = {
  listen_addresses: '',
  unix_socket_directories: '../socket',
  autovacuum: 'off',
  default_transaction_read_only: 'on',
};

/** What is written into tables of the same transaction is on disk at its commit, without a log of its own. */
const NEW_SETTINGS = { wal_level: 'minimal', autovacuum: 'off' };

/** A cluster without a row, and its log while rows are copied: bytes beside those of the rows. */
const EMPTY_CLUSTER_BYTES = 128 * 2 ** 20;

/** Fast shutdown, which writes out what is in memory, has all the time that a slow disk takes. In milliseconds. */
const STOP_STEPS = [
  ['SIGINT', 300_000],
  ['SIGQUIT', 5_000],
  ['SIGKILL', 5_000],
] as const;

/** Milliseconds between two lines about one table. */
const PROGRESS_MS = 10_000;

/**
 * Leaves a cluster of the next major version in the place of the layout's, with every row of it, and that one beside it.
 * The caller holds the lock of the data directory, and no PostgreSQL runs in it. Throws NoRoomForNextMajorError,
 * DiskFullError and EmbeddedPostgresError; the cluster is in its place and unharmed then, and nothing runs.
 */
export async function goToNextMajor(parts: NextMajorParts): Promise<void> {
  const { layout, account, binaries, previous, log } = parts;
  const [from, to] = [previous.majorVersion, binaries.majorVersion];
  const aside = `${layout.aside}${from}`;
  const begun = performance.now();
  if (existsSync(aside)) {
    throw new EmbeddedPostgresError(
      `${aside} is in the way, a database that was set aside earlier: move it elsewhere or delete it, then start again. ` +
        'Nothing was changed',
    );
  }
  const bytes = await refuseWithoutRoom(parts);
  log.warn(
    { from, to, bytes },
    'the database goes to the next major version of PostgreSQL: every row is copied',
  );
  let made: string | undefined;
  try {
    made = await makeCluster(parts);
    const tables = await copyInto(made, parts);
    await runProgram(account, [binaries.initdb, '--sync-only', '-D', made], { cwd: layout.home });
    const rows = tables.reduce((sum, table) => sum + table.rows, 0);
    log.info({ rows }, 'every row was counted and hashed on both sides, and is on disk');
    await rename(made, layout.next);
    await syncDirectory(layout.home);
  } catch (error) {
    if (made !== undefined) await rm(made, { recursive: true, force: true, maxRetries: 5 });
    throw asNextMajorError(error, parts);
  }
  // Cut short here, the next start begins again; cut short below, it takes the last step.
  await rename(layout.cluster, aside);
  await syncDirectory(layout.home);
  await rename(layout.next, layout.cluster);
  await syncDirectory(layout.home);
  log.warn(
    { from, to, milliseconds: Math.round(performance.now() - begun) },
    'the database is of the next major version of PostgreSQL; the one before is kept in postgres/data.postgresql-* until you delete it',
  );
}

/** Runs both versions, copies, and stops both. */
async function copyInto(made: string, parts: NextMajorParts): Promise<CopiedTable[]> {
  const { socket, previous } = parts;
  const [source, target] = [connectionThrough(socket, OLD_PORT), connectionThrough(socket, NEW_PORT)];
  return whileRunning(
    () => startPostmaster({ ...parts, binaries: previous, connection: source, settings: OLD_SETTINGS }),
    () =>
      whileRunning(
        () => startPostmaster({ ...parts, cluster: made, connection: target, settings: NEW_SETTINGS }),
        () => copyBetween(source, target, reportTo(parts.log)),
      ),
  );
}

/** Does something while PostgreSQL runs, and ends it then, so that it has written everything out. */
async function whileRunning<T>(start: () => Promise<GuardedChild>, work: () => Promise<T>): Promise<T> {
  const child = await start();
  let done: T;
  try {
    done = await work();
  } catch (error) {
    await endChild(child, STOP_STEPS);
    throw error;
  }
  await endChild(child, STOP_STEPS);
  const { code, signal } = await child.exited;
  if (code !== 0) throw new Error(`PostgreSQL did not end cleanly (${signal ?? code})`);
  return done;
}

async function copyBetween(
  source: EmbeddedConnection,
  target: EmbeddedConnection,
  progress: Progress,
): Promise<CopiedTable[]> {
  const [from, to] = [new pg.Client(source), new pg.Client(target)];
  // A lost connection is told by the statement that runs.
  for (const client of [from, to]) client.on('error', () => {});
  await from.connect();
  await to.connect();
  const copied = await copyExactly(from, to, { progress });
  await Promise.all([from.end(), to.end()]);
  return copied;
}

/** Tells of a table when it is done, and now and then before. */
function reportTo(log: EventLog): Progress {
  let last = performance.now();
  return ({ table, rows, of }) => {
    if (rows < of && performance.now() - last < PROGRESS_MS) return;
    last = performance.now();
    log.info({ table, rows, of }, 'rows are copied');
  };
}

/** Refuses where a copy would not fit; answers what the old cluster takes, in bytes. */
async function refuseWithoutRoom({
  layout,
  freeBytes = freeBytesAt,
}: Pick<NextMajorParts, 'layout' | 'freeBytes'>): Promise<number> {
  const bytes = await sizeOf(layout.cluster);
  const needed = bytes + EMPTY_CLUSTER_BYTES;
  const free = await freeBytes(layout.home);
  if (free < needed) throw new NoRoomForNextMajorError(layout.dataDir, needed, free);
  return bytes;
}

async function freeBytesAt(path: string): Promise<number> {
  const { bavail, bsize } = await statfs(path);
  return bavail * bsize;
}

/** Bytes of a cluster's files, without its log, which is not copied. */
async function sizeOf(cluster: string): Promise<number> {
  let bytes = 0;
  for (const entry of await readdir(cluster, { recursive: true, withFileTypes: true })) {
    if (!entry.isFile() || entry.parentPath.startsWith(join(cluster, 'pg_wal'))) continue;
    bytes += (await lstat(join(entry.parentPath, entry.name))).size;
  }
  return bytes;
}

/** What a program, the system or PostgreSQL said, without values of rows, which PostgreSQL quotes in its messages. */
function asNextMajorError(
  error: unknown,
  { layout, previous, binaries }: NextMajorParts,
): EmbeddedPostgresError {
  if (error instanceof EmbeddedPostgresError) return error;
  const { message, code } = error as Error & { code?: string };
  if (saysDiskFull(message) || code === '53100') return new DiskFullError(layout.dataDir);
  const said =
    error instanceof pg.DatabaseError ? `PostgreSQL refused something (SQLSTATE ${code})` : message;
  return new EmbeddedPostgresError(
    `the database in ${layout.dataDir} cannot go from PostgreSQL ${previous.majorVersion} to ${binaries.majorVersion}: ${said}. ` +
      `It is as it was. What PostgreSQL says is in ${layout.log}; start again, or go back to the release before`,
    { cause: error },
  );
}
