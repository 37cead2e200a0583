import { randomBytes } from 'node:crypto';
import { expect } from 'chai';
import { type Database, openDatabase } from '../../../src/database/database.ts';
import { Invite } from '../../../src/database/entities/invite.ts';
import { insertRow, refusedState } from '../../support/sample_rows.ts';
import { createTestDatabase, type TestDatabase } from '../../support/test_database.ts';

describe('the Invite entity', () => {
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

  it('is refused with a hash of another length, or used by somebody at no time', async () => {
    expect(await refusedState(test, 'invites', { code_hash: randomBytes(31) })).to.equal('23514');
    expect(
      await refusedState(test, 'invites', { code_hash: randomBytes(32), used_by: randomBytes(32) }),
    ).to.equal('23514');
  });

  it('begins unused', async () => {
    const codeHash = randomBytes(32);
    await insertRow(test, 'invites', { code_hash: codeHash });
    const invite = await database.em().findOneOrFail(Invite, { codeHash });
    expect(invite.usedBy).to.equal(null);
    expect(invite.createdAt).to.be.instanceOf(Date);
  });
});
