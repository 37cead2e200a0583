import { expect } from 'chai';
import {
  DataDirectoryInUseError,
  DiskFullError,
  EmbeddedPostgresError,
  ForeignVersionError,
  NextMajorPendingError,
  NoPostgresBinariesError,
  NoRoomForNextMajorError,
  saysDiskFull,
} from '../../../src/database/embedded/errors.ts';

describe('the errors of the embedded PostgreSQL', () => {
  it('have a kind of their own and one in common', () => {
    const errors = {
      DataDirectoryInUseError: new DataDirectoryInUseError('/data'),
      DiskFullError: new DiskFullError('/data'),
      ForeignVersionError: new ForeignVersionError('/data', '17', '18'),
      NextMajorPendingError: new NextMajorPendingError('/data', '17', '18'),
      NoRoomForNextMajorError: new NoRoomForNextMajorError('/data', 2 ** 30, 2 ** 20),
      NoPostgresBinariesError: new NoPostgresBinariesError('package'),
      EmbeddedPostgresError: new EmbeddedPostgresError('why'),
    };
    for (const [name, error] of Object.entries(errors)) {
      expect(error).to.be.instanceOf(EmbeddedPostgresError);
      expect(error.name).to.equal(name);
    }
  });

  it('say of each foreign version another way on', () => {
    const ways = ['9.6', '16', '17', '19'].map((found) =>
      new ForeignVersionError('/data', found, '18').message.replaceAll(found, ''),
    );
    expect(ways[0]).to.equal(ways[1]);
    expect(new Set(ways)).to.have.length(3);
  });

  it('tell a full disk by what programs and the system say of it', () => {
    for (const text of [
      'could not write to file "pg_wal/xlogtemp.12": No space left on device',
      'initdb: error: could not write file: Disk quota exceeded',
      'could not extend file "base/1/1249": File too large',
      'ENOSPC',
    ]) {
      expect(saysDiskFull(text), text).to.equal(true);
    }
    for (const text of ['', 'Permission denied', 'EACCES']) expect(saysDiskFull(text), text).to.equal(false);
  });
});
