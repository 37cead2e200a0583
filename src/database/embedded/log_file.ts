/** PostgreSQL's own log: a file of bounded size in the data directory, and the one before it. */
import {
  closeSync,
  constants,
  copyFileSync,
  fstatSync,
  ftruncateSync,
  openSync,
  readSync,
  rmSync,
} from 'node:fs';
import { dirname } from 'node:path';
import { giveToOwner } from './durable_file.ts';

/** What the file may hold when it is looked at, in bytes, and how often that is, in milliseconds. */
const LOG_BYTES = 1_048_576;
const LOG_CHECK_MS = 10_000;

/** An open log. */
export interface LogFile {
  /** For the child to write to; it appends, so that the file may be cut under it. */
  readonly descriptor: number;
  /** The end of it, at most `bytes`, in whole lines. */
  tail(bytes: number): string;
  /** Puts what is there aside under the same name and `.1` when it has grown too large. */
  rotate(): void;
  close(): void;
}

/** For reading and appending. A link in the place of the log is not followed: the directory may be another user's. */
const FLAGS = constants.O_RDWR | constants.O_APPEND | constants.O_CREAT | constants.O_NOFOLLOW;

/** Opens the log (mode 0600) and keeps it small. Throws what opening does. */
export function openLogFile(path: string, { limit = LOG_BYTES, checkMs = LOG_CHECK_MS } = {}): LogFile {
  const descriptor = openSync(path, FLAGS, 0o600);
  giveToOwner(descriptor, dirname(path));
  const rotate = (): void => {
    if (fstatSync(descriptor).size <= limit) return;
    try {
      rmSync(`${path}.1`, { force: true });
      copyFileSync(path, `${path}.1`, constants.COPYFILE_EXCL);
    } finally {
      // On a full disk the old lines are given up.
      ftruncateSync(descriptor);
    }
  };
  rotate();
  const timer = setInterval(() => {
    try {
      rotate();
    } catch {
      // Tried again at the next turn.
    }
  }, checkMs);
  timer.unref();
  return {
    descriptor,
    rotate,
    tail(bytes) {
      const { size } = fstatSync(descriptor);
      const start = Math.max(0, size - bytes);
      const buffer = Buffer.alloc(size - start);
      const text = buffer.toString('utf8', 0, readSync(descriptor, buffer, 0, buffer.length, start));
      return (start === 0 ? text : text.slice(text.indexOf('\n') + 1)).trim();
    },
    close() {
      clearInterval(timer);
      closeSync(descriptor);
    },
  };
}
