import { randomBytes, randomUUID } from 'node:crypto';
import { expect } from 'chai';
import { openDatabase } from '../../../src/database/database.ts';
import { LoginNetwork } from '../../../src/database/entities/login_network.ts';
import { User } from '../../../src/database/entities/user.ts';
import { insertRow, refusedState, sampleUser } from '../../support/sample_rows.ts';
import { createTestDatabase } from '../../support/test_database.ts';

describe('the LoginNetwork entity', () => {
  it('is of an account, with which it goes', async () => {
    const test = await createTestDatabase();
    const row = { key: randomBytes(16), user_id: randomUUID() };
    expect(await refusedState(test, 'login_networks', row)).to.equal('23503');
    const user = sampleUser();
    await insertRow(test, 'users', user);
    expect(await refusedState(test, 'login_networks', { key: randomBytes(17), user_id: user.id })).to.equal(
      '23514',
    );
    await insertRow(test, 'login_networks', { ...row, user_id: user.id });
    const database = await openDatabase({ connection: test.connection, poolSize: 1 });
    expect(await database.em().find(LoginNetwork, {})).to.have.length(1);
    await database.em().nativeDelete(User, { id: user.id as string });
    expect(await database.em().find(LoginNetwork, {})).to.have.length(0);
    await database.close();
    await test.drop();
  });
});
