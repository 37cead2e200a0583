import { randomBytes } from 'node:crypto';
import { expect } from 'chai';
import { type Database, openDatabase } from '../../../src/database/database.ts';
import { ServerKey } from '../../../src/database/entities/server_key.ts';
import { insertRow, refusedState } from '../../support/sample_rows.ts';
import { createTestDatabase, type TestDatabase } from '../../support/test_database.ts';

describe('the ServerKey entity', () => {
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

  const sample = () => ({
    id: 1,
    purpose: 1,
    key_file_slot: randomBytes(60),
    canary: randomBytes(60),
    state: 1,
  });

  it('is refused with a purpose or state that is none', async () => {
    expect(await refusedState(test, 'server_keys', { ...sample(), purpose: 3 })).to.equal('23514');
    expect(await refusedState(test, 'server_keys', { ...sample(), state: 0 })).to.equal('23514');
  });

  it('never writes its slots out', async () => {
    await insertRow(test, 'server_keys', sample());
    const key = await database.em().findOneOrFail(ServerKey, { id: 1 });
    expect(key.recoverySlot).to.equal(null);
    expect(JSON.stringify(key)).not.to.include('Slot').and.not.to.include('canary');
  });
});
