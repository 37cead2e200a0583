/**
 * The lock of a data directory: one server at a time. The kernel releases it when the process ends, kill -9 included, so
 * that nothing stale is left to judge. Node has no flock, but it brings SQLite, whose exclusive transaction on a file is
 * a POSIX record lock (fcntl(2)): it holds between processes, containers and users that share the directory. Such a lock
 * also goes when its process closes any other descriptor of the file: nothing here opens it otherwise (docs/adr/0005).
 */
import { chmodSync, closeSync, openSync } from 'node:fs';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { giveToOwner } from './durable_file.ts';
import { DataDirectoryInUseError, EmbeddedPostgresError } from './errors.ts';

/** A lock ends when it is released, not when the garbage collector finds that nobody refers to its file. */
const held = new Set<DatabaseSync>();

/** SQLITE_BUSY, the low byte of SQLite's result codes. */
const SQLITE_BUSY = 5;

/**
 * Takes the lock without waiting and returns what releases it. The file stays and stays empty.
 * Throws DataDirectoryInUseError where another holds it, EmbeddedPostgresError where the file cannot be made.
 */
export function lockDataDirectory(dataDir: string): () => void {
  const path = join(dataDir, 'lock');
  let file: DatabaseSync | undefined;
  try {
    makeFile(path, dataDir);
    file = new DatabaseSync(path, { timeout: 0 });
    // Without a journal in memory SQLite would put one beside the file.
    file.exec('pragma journal_mode = memory; begin exclusive');
    chmodSync(path, 0o600);
    const locked = file;
    held.add(locked);
    return () => {
      if (held.delete(locked)) locked.close();
    };
  } catch (error) {
    file?.close();
    const { errcode } = error as { errcode?: number };
    if (errcode !== undefined && (errcode & 0xff) === SQLITE_BUSY) throw new DataDirectoryInUseError(dataDir);
    throw new EmbeddedPostgresError(
      `the lock file ${path} cannot be opened for writing: is the directory yours, and has its disk room?`,
      {
        cause: error,
      },
    );
  }
}

/** Makes the file where there is none: nobody has a lock on it then. */
function makeFile(path: string, dataDir: string): void {
  let descriptor: number;
  try {
    descriptor = openSync(path, 'wx', 0o600);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EEXIST') return;
    throw error;
  }
  try {
    giveToOwner(descriptor, dataDir);
  } finally {
    closeSync(descriptor);
  }
}
