/** What the tests of the embedded PostgreSQL share: data directories, child servers, and a look at its processes. */
import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { chmodSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import pg from 'pg';
import { startEmbeddedPostgres } from '../../src/database/embedded/embedded_postgres.ts';
import type { EmbeddedConnection } from '../../src/database/embedded/postmaster.ts';
import { eventually } from './eventually.ts';

export const isRoot = process.getuid?.() === 0;

/** Users that have no files here: daemon of every Linux, and one that nobody gave a name. */
export const ORDINARY_ID = 1;
export const NAMELESS_ID = 54_321;

/** A log that keeps what it was told. */
export function recordingLog() {
  const messages: string[] = [];
  const record = (_details: object, message: string): void => void messages.push(message);
  return { info: record, warn: record, error: record, messages };
}

/** A new empty directory. */
export const temporaryDirectory = (): string => mkdtempSync(join(tmpdir(), 'pm-embedded-'));

/** Deletes a directory although a PostgreSQL that was killed may still be letting go of it. */
export function remove(directory: string): void {
  rmSync(directory, { recursive: true, force: true, maxRetries: 20, retryDelay: 50 });
}

/** A data directory that has had its first start, below a directory of its own. */
export async function usedDataDirectory(): Promise<string> {
  const dataDir = join(temporaryDirectory(), 'data');
  await (await startEmbeddedPostgres({ dataDir, log: recordingLog() })).stop();
  return dataDir;
}

/** Does `work` as a user that `directory` is closed to. */
export async function closedTo<T>(directory: string, work: () => T | Promise<T>): Promise<T> {
  const { mode } = statSync(directory);
  chmodSync(directory, 0);
  if (isRoot) process.seteuid!(ORDINARY_ID);
  try {
    return await work();
  } finally {
    if (isRoot) process.seteuid!(0);
    chmodSync(directory, mode);
  }
}

/** One statement on a connection of its own. */
export async function query(
  connection: EmbeddedConnection,
  text: string,
  parameters: unknown[] = [],
): Promise<Record<string, unknown>[]> {
  const client = new pg.Client(connection);
  client.on('error', () => {});
  await client.connect();
  try {
    return (await client.query(text, parameters)).rows;
  } finally {
    await client.end();
  }
}

/** A child that runs test/support/embedded_child.ts. */
export interface ChildServer {
  readonly process: ChildProcess;
  /** Its next line of JSON, or undefined at its end. */
  next(): Promise<
    { connection?: EmbeddedConnection; name?: string; message?: string; signal?: string } | undefined
  >;
  /** Resolves when it has ended. */
  readonly ended: Promise<number | null>;
}

/** Starts one; `prefix` goes before its command, `uid` is who it runs as, `line` the one of its log at which it kills itself. */
export function startChildServer(
  dataDir: string,
  { prefix = [], uid, line }: { prefix?: readonly string[]; uid?: number; line?: number } = {},
): ChildServer {
  const program = fileURLToPath(new URL('embedded_child.ts', import.meta.url));
  const [file, ...parameters] = [
    ...[...prefix, process.execPath, program, dataDir],
    ...(line === undefined ? [] : [`${line}`]),
  ];
  const child = spawn(file!, parameters, {
    stdio: ['pipe', 'pipe', 'inherit'],
    detached: true,
    cwd: '/',
    ...(uid === undefined ? {} : { uid, gid: uid }),
  });
  const lines = createInterface({ input: child.stdout! })[Symbol.asyncIterator]();
  return {
    process: child,
    ended: new Promise((resolve) => child.once('close', resolve)),
    async next() {
      const { value, done } = await lines.next();
      return done === true ? undefined : JSON.parse(value);
    },
  };
}

/** Whether a process of another account can read a path. */
export function canRead(uid: number, path: string): boolean {
  return spawnSync('test', ['-r', path], { uid, gid: uid }).status === 0;
}

/** The process ids of all PostgreSQLs whose data directory this is, from the kernel. Linux. */
export function processesOn(cluster: string): number[] {
  const { dev, ino } = statSync(cluster);
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .map(Number)
    .filter((pid) => {
      try {
        const cwd = statSync(`/proc/${pid}/cwd`);
        return (
          cwd.dev === dev &&
          cwd.ino === ino &&
          readFileSync(`/proc/${pid}/cmdline`, 'utf8').includes('postgres')
        );
      } catch {
        return false;
      }
    });
}

/** Waits until no PostgreSQL runs on a cluster. The shell that guards one may outlive it by a moment. */
export async function untilNothingRunsOn(cluster: string): Promise<void> {
  await eventually(() => processesOn(cluster).length === 0);
}
