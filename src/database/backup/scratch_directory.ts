/** A directory for a database that is thrown away, and those that a killed process left. */
import { existsSync } from 'node:fs';
import { lstat, mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { lockDataDirectory } from '../embedded/data_directory_lock.ts';

/** How long a directory is left alone that has no lock yet or whose PostgreSQL may still be ending, in milliseconds. */
const YOUNG_MS = 60_000;

/**
 * Runs `work` on a new directory below the system's one for temporary files, whose name begins with `prefix` and whose
 * data directory is to be `data`, and removes it. Before that, those of this user are removed that nobody uses. Answers
 * and throws what `work` does.
 */
export async function withScratchDirectory<T>(
  prefix: string,
  work: (directory: string) => Promise<T>,
): Promise<T> {
  await removeAbandoned(prefix).catch(() => {});
  const directory = await mkdtemp(join(tmpdir(), prefix));
  try {
    return await work(directory);
  } finally {
    await rm(directory, { recursive: true, force: true, maxRetries: 5 });
  }
}

async function removeAbandoned(prefix: string): Promise<void> {
  for (const name of await readdir(tmpdir())) {
    if (!name.startsWith(prefix)) continue;
    const directory = join(tmpdir(), name);
    const stats = await lstat(directory).catch(() => undefined);
    if (stats?.isDirectory() !== true || stats.uid !== process.geteuid?.()) continue;
    if (Math.abs(Date.now() - stats.mtimeMs) < YOUNG_MS) continue;
    const release = lockIfFree(join(directory, 'data'));
    if (release === undefined) continue;
    await rm(directory, { recursive: true, force: true, maxRetries: 5 }).catch(() => {});
    release();
  }
}

/** What releases the lock; undefined: somebody has it. */
function lockIfFree(dataDir: string): (() => void) | undefined {
  if (!existsSync(dataDir)) return () => {};
  try {
    return lockDataDirectory(dataDir);
  } catch {
    return undefined;
  }
}
