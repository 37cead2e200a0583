import { randomBytes } from 'node:crypto';
import { chmod, rename, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect } from 'chai';
import { OTHER_USER } from '../../../src/cli/doctor/check.ts';
import { KEY_CHECKS } from '../../../src/cli/doctor/key_checks.ts';
import { type Database, openDatabase } from '../../../src/database/database.ts';
import {
  activateSealingKey,
  makeRecoveryCode,
  openServerKeys,
  stageSealingKey,
} from '../../../src/database/server_keys.ts';
import { look, subjectOf } from '../../support/doctor.ts';
import { closedTo, remove, temporaryDirectory } from '../../support/embedded.ts';
import { insertRow, sampleUser } from '../../support/sample_rows.ts';
import { createTestDatabase, type TestDatabase } from '../../support/test_database.ts';

describe('the checks of the keys', () => {
  let own: TestDatabase;
  let database: Database;
  const keyFile = join(tmpdir(), `pm-doctor-key-${process.pid}`);
  const check = (name: string) => look(KEY_CHECKS, name, subjectOf({}, { database, keyFile }));
  const parts = () => ({ database, keyFile, random: randomBytes });

  before(async () => {
    own = await createTestDatabase();
    database = await openDatabase({ connection: own.connection, poolSize: 1 });
  });

  after(async () => {
    await database.close();
    await own.drop();
    await rm(keyFile, { force: true });
  });

  it('find that the server was never started', async () => {
    expect((await check('server_keys')).advice).to.contain('npm start');
    expect(await check('key_file')).to.include({ state: 'failure' });
  });

  it('find a key file that is missing, another one, or open to others', async () => {
    await openServerKeys(parts());
    expect(await check('key_file')).to.include({ state: 'good' });
    expect(await check('server_keys')).to.include({ state: 'good' });
    await chmod(keyFile, 0o640);
    expect((await check('key_file')).advice).to.contain('chmod 600');
    await chmod(keyFile, 0o600);
    await rename(keyFile, `${keyFile}.away`);
    expect((await check('key_file')).advice).to.contain('keys recover');
    expect(await check('server_keys')).to.include({ state: 'failure' });
    await rename(`${keyFile}.away`, keyFile);
  });

  it('take a key file that this user may not see for no lost one', async () => {
    const directory = temporaryDirectory();
    const subject = subjectOf({}, { database, keyFile: join(directory, 'key') });
    const found = await closedTo(directory, () => look(KEY_CHECKS, 'key_file', subject));
    expect(found).to.include({ state: 'failure', advice: OTHER_USER });
    remove(directory);
  });

  it('warn until a recovery code was made', async () => {
    expect((await check('recovery_code')).advice).to.contain('keys recovery-code');
    await makeRecoveryCode(parts());
    expect(await check('recovery_code')).to.include({ state: 'good' });
  });

  it('warn of a rotation that was cut short, and of rows under an earlier key', async () => {
    expect(await check('key_rotation')).to.include({ state: 'good' });
    const { id } = await stageSealingKey(parts());
    expect(await check('key_rotation')).to.include({ state: 'warning', detail: 'a rotation was cut short' });
    await activateSealingKey(database, id);
    expect(await check('key_rotation')).to.include({ state: 'good' });
    await insertRow(own, 'users', sampleUser());
    expect((await check('key_rotation')).detail).to.contain('1 rows');
  });
});
