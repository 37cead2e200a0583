import { expect } from 'chai';
import { rejection } from '../../support/rejection.ts';
import { createTestDatabase, type TestDatabase } from '../../support/test_database.ts';

describe('the states of a key', () => {
  let test: TestDatabase;

  before(async () => {
    test = await createTestDatabase();
  });

  after(() => test.drop());

  it('are active, retired and staged, and no other', async () => {
    const insert = (id: number, state: number) =>
      test.query(
        `insert into server_keys (id, purpose, key_file_slot, canary, state) values ($1, 1, '', '', $2)`,
        [id, state],
      );
    expect(String(await rejection(insert(9, 4)))).to.include('server_keys_state_check');
    for (const state of [1, 2, 3]) await insert(state, state);
  });
});
