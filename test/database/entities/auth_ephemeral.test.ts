import { randomBytes, randomUUID } from 'node:crypto';
import { expect } from 'chai';
import { type Database, openDatabase } from '../../../src/database/database.ts';
import { AuthEphemeral } from '../../../src/database/entities/auth_ephemeral.ts';
import { User } from '../../../src/database/entities/user.ts';
import {
  insertRow,
  refusedState,
  sampleAttempt,
  sampleStart,
  sampleUser,
} from '../../support/sample_rows.ts';
import { createTestDatabase, type TestDatabase } from '../../support/test_database.ts';

describe('the AuthEphemeral entity', () => {
  let test: TestDatabase;
  let database: Database;

  before(async () => {
    test = await createTestDatabase();
    database = await openDatabase({ connection: test.connection, poolSize: 2 });
  });

  after(async () => {
    await database.close();
    await test.drop();
  });

  for (const [column, value] of [
    ['username_lookup', randomBytes(33)],
    ['eph_public_b', randomBytes(511)],
    ['eph_private_b', randomBytes(40)],
    ['kind', 3],
    ['kind', 2],
    ['begun_by_session', randomUUID()],
    ['client_protocol', -1],
  ] as const) {
    it(`is refused with ${column} that cannot be (${typeof value})`, async () => {
      expect(await refusedState(test, 'auth_ephemerals', { ...sampleAttempt(), [column]: value })).to.equal(
        '23514',
      );
    });
  }

  it('is of nobody with a log-in, and goes with its user with a password change', async () => {
    const user = sampleUser();
    await insertRow(test, 'users', user);
    const [decoy, real] = [sampleAttempt(), sampleStart(user.id)];
    await insertRow(test, 'auth_ephemerals', decoy);
    await insertRow(test, 'auth_ephemerals', real);
    expect(await refusedState(test, 'auth_ephemerals', sampleStart(randomUUID()))).to.equal('23503');
    await database.em().nativeDelete(User, { id: user.id as string });
    expect(await database.em().findOne(AuthEphemeral, { id: real.id as string })).to.equal(null);
    const kept = await database.em().findOneOrFail(AuthEphemeral, { id: decoy.id as string });
    expect(kept.kind).to.equal(1);
    expect(kept.ephPrivateB).to.equal(undefined);
  });
});
