/** Why a backup is not made, not opened or not brought back. Every message says what to do. */

/** A backup that cannot be made, read or restored. */
export class BackupError extends Error {
  constructor(message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = 'BackupError';
  }
}

/** The passphrase is another one than that of the file. */
export class WrongPassphraseError extends BackupError {
  constructor() {
    super('the passphrase is not the one that this backup was made with');
    this.name = 'WrongPassphraseError';
  }
}

/** The file is not whole: it was cut off, or bytes of it were changed. */
export class DamagedBackupError extends BackupError {
  constructor(what: string) {
    super(`the backup is damaged: ${what}. Take another copy of it, or an earlier backup`);
    this.name = 'DamagedBackupError';
  }
}

/** The file is of a later version of this program. */
export class NewerBackupError extends BackupError {
  constructor(what: string) {
    super(
      `the backup was made by a newer version of this program (${what}): restore it with that version or a later one`,
    );
    this.name = 'NewerBackupError';
  }
}

/** What is there would be lost. */
export class TargetNotEmptyError extends BackupError {
  constructor(accounts: number) {
    super(
      `the database holds ${accounts} accounts, which a restore would delete. Say so with --replace, or restore into an empty one`,
    );
    this.name = 'TargetNotEmptyError';
  }
}

/** Tables of our names that this program did not make. */
export class ForeignTablesError extends BackupError {
  constructor(names: readonly string[]) {
    super(
      `the database holds tables of another program (${names.join(', ')}), which a restore would delete: give this one a ` +
        'database or a schema of its own',
    );
    this.name = 'ForeignTablesError';
  }
}

/** A server has the database open. */
export class ServerRunsError extends BackupError {
  constructor() {
    super('a server is connected to this database: stop it first');
    this.name = 'ServerRunsError';
  }
}
