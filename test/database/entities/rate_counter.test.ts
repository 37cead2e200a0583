import { randomBytes } from 'node:crypto';
import { expect } from 'chai';
import { openDatabase } from '../../../src/database/database.ts';
import { RateCounter } from '../../../src/database/entities/rate_counter.ts';
import { refusedState } from '../../support/sample_rows.ts';
import { createTestDatabase } from '../../support/test_database.ts';

describe('the RateCounter entity', () => {
  it('is refused with a key of another length and with a count below nothing, and comes back as it was written', async () => {
    const test = await createTestDatabase();
    const row = { key: randomBytes(16), minute: 1, count: 2, previous: 3 };
    for (const wrong of [{ key: randomBytes(15) }, { count: -1 }, { previous: -1 }])
      expect(await refusedState(test, 'rate_counters', { ...row, ...wrong })).to.equal('23514');
    const database = await openDatabase({ connection: test.connection, poolSize: 1 });
    await database.em().insert(RateCounter, { ...row, minute: 1n });
    const found = await database.em().findOneOrFail(RateCounter, { key: row.key });
    expect(found).to.include({ minute: 1n, count: 2, previous: 3 });
    await database.close();
    await test.drop();
  });
});
