/** Backups that are being written, and those that a killed process or a power cut left. */
import { randomBytes } from 'node:crypto';
import { lstat, readdir, rm } from 'node:fs/promises';
import { join } from 'node:path';

/** What the name of a file ends with until it is whole. */
const UNFINISHED = /^(.+?)(?:\.[0-9a-f]{12})?\.part$/;

/** A backup that is being made grows all the time: one that was not touched for this long, in milliseconds, is nobody's. */
const STALE_MS = 600_000;

/** A name beside `path` that nobody else writes under. */
export const unfinishedPath = (path: string): string => `${path}.${randomBytes(6).toString('hex')}.part`;

/** The name that a file of unfinishedPath is to have once it is whole; any other path as it is. */
export const publishedPath = (path: string): string => path.replace(/\.[0-9a-f]{12}\.part$/, '');

/**
 * Removes the unfinished files of a directory that nobody writes any more and whose name, once whole, would have been
 * one of `isOurs`. `now`: milliseconds since 1970. Throws what readdir does.
 */
export async function removeUnfinished(
  directory: string,
  isOurs: (name: string) => boolean,
  now = Date.now(),
): Promise<void> {
  for (const name of await readdir(directory)) {
    const [, whole] = UNFINISHED.exec(name) ?? [];
    if (whole === undefined || !isOurs(whole)) continue;
    const path = join(directory, name);
    const stats = await lstat(path).catch(() => undefined);
    // A file of the future is of a clock that was wrong.
    if (stats?.isFile() === true && Math.abs(now - stats.mtimeMs) > STALE_MS) await rm(path, { force: true });
  }
}
