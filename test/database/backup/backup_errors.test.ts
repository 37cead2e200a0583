import { expect } from 'chai';
import * as errors from '../../../src/database/backup/backup_errors.ts';

describe('the errors of backups', () => {
  it('are kinds of one, named after themselves, and say what to do', () => {
    const all = [
      [new errors.WrongPassphraseError(), 'WrongPassphraseError', /passphrase is not/],
      [new errors.DamagedBackupError('it was cut off'), 'DamagedBackupError', /cut off.*earlier backup/],
      [new errors.NewerBackupError('a file of version 2'), 'NewerBackupError', /version 2.*later one/],
      [new errors.TargetNotEmptyError(3), 'TargetNotEmptyError', /3 accounts.*--replace/],
      [new errors.ForeignTablesError(['users']), 'ForeignTablesError', /users.*of its own/],
      [new errors.ServerRunsError(), 'ServerRunsError', /stop it first/],
    ] as const;
    for (const [error, name, message] of all) {
      expect(error).to.be.instanceOf(errors.BackupError);
      expect(error.name).to.equal(name);
      expect(error.message).to.match(message);
    }
  });
});
