import { randomBytes } from 'node:crypto';
import { expect } from 'chai';
import { type Database, openDatabase } from '../../../src/database/database.ts';
import { User } from '../../../src/database/entities/user.ts';
import { insertRow, refusedState, sampleUser } from '../../support/sample_rows.ts';
import { createTestDatabase, type TestDatabase } from '../../support/test_database.ts';

describe('the User entity', () => {
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
    ['username_lookup', randomBytes(31)],
    ['history_id', randomBytes(15)],
    ['srp_salt', randomBytes(59)],
    ['srp_salt', randomBytes(97)],
    ['srp_verifier', randomBytes(512)],
    ['srp_verifier', randomBytes(577)],
    ['encrypted_vault_header', randomBytes(16_449)],
    ['revision', -1],
    ['entry_count', -1],
    ['new_eph_public_b', randomBytes(511)],
    ['change_remaining_entries', -1],
  ] as const) {
    it(`is refused with a ${column} that cannot be (${Buffer.isBuffer(value) ? `${value.length} bytes` : value})`, async () => {
      expect(await refusedState(test, 'users', { ...sampleUser(), [column]: value })).to.equal('23514');
    });
  }

  it('is refused without what every user has, and with a name that another has', async () => {
    const user = sampleUser();
    for (const column of Object.keys(user)) {
      expect(await refusedState(test, 'users', { ...user, [column]: null }), column).to.equal('23502');
    }
    await insertRow(test, 'users', user);
    expect(
      await refusedState(test, 'users', { ...sampleUser(), username_lookup: user.username_lookup }),
    ).to.equal('23505');
  });

  it('begins without changes, entries and a password change', async () => {
    const row = sampleUser();
    await insertRow(test, 'users', row);
    const user = await database.em().findOneOrFail(User, { id: row.id as string });
    expect(user.revision).to.equal(0n);
    expect(user.credentialGeneration).to.equal(0n);
    expect(user.entryCount).to.equal(0);
    expect(user.changeSessionId).to.equal(null);
    expect(user.createdAt).to.be.instanceOf(Date);
  });

  it('loads no secret unless it is asked for, and never writes one out', async () => {
    const row = sampleUser();
    await insertRow(test, 'users', row);
    const lean = await database.em().findOneOrFail(User, { id: row.id as string });
    expect(lean.srpVerifier).to.equal(undefined);
    const whole = await database
      .em()
      .findOneOrFail(User, { id: row.id as string }, { populate: ['srpVerifier', 'srpSalt'] });
    expect(Buffer.from(whole.srpVerifier)).to.deep.equal(row.srp_verifier);
    expect(JSON.stringify(whole)).not.to.include('srpVerifier').and.not.to.include('srpSalt');
  });
});
