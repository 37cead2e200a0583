import { expect } from 'chai';
import { openDatabase } from '../../src/database/database.ts';
import { estimatedRows } from '../../src/database/row_estimate.ts';
import { insertRow, sampleUser } from '../support/sample_rows.ts';
import { createTestDatabase } from '../support/test_database.ts';

describe('an estimate of rows', () => {
  it('is nothing of a table that is not there, and about what there is', async () => {
    const own = await createTestDatabase();
    const database = await openDatabase({ connection: own.connection, poolSize: 1 });
    expect(await estimatedRows(database, 'missing')).to.equal(0);
    expect(await estimatedRows(database, 'users')).to.equal(0);
    for (let index = 0; index < 5; index += 1) await insertRow(own, 'users', sampleUser());
    await own.query('analyze users');
    expect(await estimatedRows(database, 'users')).to.equal(5);
    await database.close();
    await own.drop();
  });
});
