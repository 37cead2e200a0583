/** Making, proving and bringing back backups, and moving from one database to another by the same way. */
import { join } from 'node:path';
import pg from 'pg';
import { recordEvent } from '../audit_log.ts';
import { type ConnectionOptions, clientConfig } from '../connection_pool.ts';
import { startEmbeddedPostgres } from '../embedded/embedded_postgres.ts';
import type { EventLog } from '../event_log.ts';
import { readKeyFile, writeKeyFile } from '../key_file.ts';
import { proveKeyFile, wrappingKey } from '../server_keys.ts';
import { readBackupFile, writeBackupFile } from './backup_file.ts';
import type { Frame } from './backup_frames.ts';
import type { BackupKdf } from './backup_seal.ts';
import { type Restored, type RestoreOptions, refuseServers, restoreSnapshot } from './restore_snapshot.ts';
import { withScratchDirectory } from './scratch_directory.ts';
import { executorOf, type Progress, readSnapshot } from './snapshot.ts';

/** What a directory for proving a backup is called, before its random end. */
const SCRATCH = 'passmanager-verify-';

/** What connections of backups are called, beside the servers'. */
const CLIENT_NAME = 'passmanager backup';

const CONNECT_TIMEOUT_MS = 10_000;

/** A database and the key file that opens its server keys. */
export interface Place {
  readonly connection: ConnectionOptions;
  readonly keyFile: string;
}

/** What a backup holds. */
export interface BackupReport {
  /** Of the file. */
  readonly bytes: number;
  readonly tables: readonly { readonly table: string; readonly rows: number }[];
}

/**
 * Backs a database up into a file, while servers serve. The file is whole or not there, also where `signal` ends it. Throws
 * BackupError and its kinds, KeyFileError, and errors of PostgreSQL and of the file system.
 */
export async function makeBackup(
  { connection, keyFile }: Place,
  path: string,
  options: { passphrase: string; kdf?: BackupKdf; progress?: Progress; signal?: AbortSignal },
): Promise<BackupReport> {
  const key = await wrappingKey(keyFile);
  options.signal?.throwIfAborted();
  return withClient(connection, async (client) => {
    await proveKeyFile(executorOf(client), key, keyFile);
    const tables: { table: string; rows: number }[] = [];
    const frames = noting(
      readSnapshot(client, { keyFile: key, ...(options.progress && { progress: options.progress }) }),
      tables,
    );
    const bytes = await writeBackupFile(path, frames, options);
    // A disk too full for one row more is no reason to have no backup.
    await recordEvent(executorOf(client), 'backup made').catch(() => {});
    return { bytes, tables };
  });
}

/**
 * Restores a backup into a PostgreSQL of its own below the system's directory for temporary files, reads every row again
 * and compares counts and hashes, and opens its server keys with its key file. Throws BackupError and its kinds.
 */
export async function verifyBackup(
  path: string,
  options: { passphrase: string; log: EventLog; progress?: Progress; signal?: AbortSignal },
): Promise<Restored> {
  const frames = readBackupFile(path, options.passphrase);
  try {
    // A file that cannot be opened needs no PostgreSQL to say so.
    const first = await frames.next();
    return await withScratchDirectory(SCRATCH, async (directory) => {
      options.signal?.throwIfAborted();
      const postgres = await startEmbeddedPostgres({ dataDir: join(directory, 'data'), log: options.log });
      try {
        return await withClient(postgres.connection, (client) =>
          restoreSnapshot(client, following(first, frames), {
            replace: false,
            settle: false,
            wrapUnder: async (backupKey) => backupKey,
            ...(options.progress && { progress: options.progress }),
            ...(options.signal && { signal: options.signal }),
          }),
        );
      } finally {
        await postgres.stop();
      }
    });
  } finally {
    await frames.return(undefined);
  }
}

/**
 * Brings a backup back into a database that no server has open: all of it or, where it is refused or cut short, nothing. The
 * server keys are wrapped under the key file that is there; where there is none the backup's is written first. All sessions
 * end and every account gets a new history. Throws BackupError and its kinds, KeyFileError, and errors of PostgreSQL.
 */
export async function restoreBackup(
  path: string,
  { connection, keyFile }: Place,
  options: { passphrase: string } & Pick<RestoreOptions, 'replace' | 'progress' | 'signal'>,
): Promise<Restored> {
  return restoreBackupInto(path, { keyFile, reach: (work) => work(connection) }, options);
}

/** As restoreBackup, into a database that `reach` starts or makes once the file was opened. Throws what `reach` does, too. */
export async function restoreBackupInto(
  path: string,
  {
    keyFile,
    reach,
  }: Pick<Place, 'keyFile'> & {
    readonly reach: (work: (connection: ConnectionOptions) => Promise<Restored>) => Promise<Restored>;
  },
  options: { passphrase: string } & Pick<RestoreOptions, 'replace' | 'progress' | 'signal'>,
): Promise<Restored> {
  const frames = readBackupFile(path, options.passphrase);
  try {
    const first = await frames.next();
    options.signal?.throwIfAborted();
    return await reach((connection) =>
      withClient(connection, (client) =>
        restoreSnapshot(client, following(first, frames), {
          ...options,
          settle: true,
          wrapUnder: keyFileFor(keyFile),
        }),
      ),
    );
  } finally {
    await frames.return(undefined);
  }
}

/**
 * Moves everything that lasts from one database into another that is empty, and counts and hashes it there. No server may
 * have either open; the first stays as it is. Throws as restoreBackup does.
 */
export async function moveDatabase(
  from: Place,
  to: Place,
  options: Pick<RestoreOptions, 'replace' | 'progress' | 'signal'>,
): Promise<Restored> {
  const key = await wrappingKey(from.keyFile);
  return withClient(from.connection, async (source) => {
    await refuseServers(source);
    return withClient(to.connection, (target) =>
      restoreSnapshot(target, readSnapshot(source, { keyFile: key }), {
        ...options,
        settle: true,
        wrapUnder: keyFileFor(to.keyFile),
      }),
    );
  });
}

/** The key file that is there, or the given key written as one. */
const keyFileFor =
  (path: string) =>
  async (backupKey: Uint8Array): Promise<Uint8Array> => {
    const existing = await readKeyFile(path);
    if (existing !== undefined) return existing;
    await writeKeyFile(path, backupKey);
    return backupKey;
  };

async function withClient<T>(
  connection: ConnectionOptions,
  work: (client: pg.Client) => Promise<T>,
): Promise<T> {
  const client = new pg.Client({
    ...clientConfig(connection),
    application_name: CLIENT_NAME,
    connectionTimeoutMillis: CONNECT_TIMEOUT_MS,
    keepAlive: true,
  });
  // A lost connection is told by the statement that runs.
  client.on('error', () => {});
  await client.connect();
  try {
    return await work(client);
  } finally {
    await client.end().catch(() => {});
  }
}

async function* noting(
  frames: AsyncIterable<Frame>,
  tables: { table: string; rows: number }[],
): AsyncGenerator<Frame> {
  for await (const frame of frames) {
    if (frame.type === 'summary') tables.push({ table: frame.summary.table, rows: frame.summary.rows });
    yield frame;
  }
}

async function* following(first: IteratorResult<Frame>, rest: AsyncIterable<Frame>): AsyncGenerator<Frame> {
  if (!first.done) yield first.value;
  yield* rest;
}
