/** Logs in a file that is rotated by size; older ones get a number and go when there are too many. */
import type { Writable } from 'node:stream';

/** Megabytes of a file before it is rotated. */
export const LOG_FILE_MEGABYTES = 10;

/** How many rotated files are kept. */
export const LOG_FILES_KEPT = 9;

/** Opens the log at `path`, mode 0600. Rejects with the error of the file system where it cannot be written. */
export async function openLogFile(path: string, megabytes = LOG_FILE_MEGABYTES): Promise<Writable> {
  const { createStream } = await import('rotating-file-stream');
  const { open } = await import('node:fs/promises');
  const { basename, dirname, resolve } = await import('node:path');
  // The library tells of a path that cannot be written when it is too late to say so.
  const file = await open(path, 'a', 0o600);
  await file.close();
  const stream = createStream((index) => (index === null ? basename(path) : `${basename(path)}.${index}`), {
    path: dirname(resolve(path)),
    size: `${megabytes}M`,
    rotate: LOG_FILES_KEPT,
    mode: 0o600,
  });
  // A full disk must not end the server: what cannot be logged is lost.
  stream.on('error', () => {});
  stream.on('warning', () => {});
  return stream;
}
