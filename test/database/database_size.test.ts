import { expect } from 'chai';
import { databaseSize } from '../../src/database/database_size.ts';
import { StatementWorld } from '../support/statement_world.ts';

describe('the size of the database', () => {
  it('grows with what is written', async () => {
    const world = await StatementWorld.open();
    try {
      const before = await databaseSize(world.database);
      await world.test.query(
        'create table filler as select repeat(md5(n::text), 30) as t from generate_series(1, 2000) n',
      );
      expect(await databaseSize(world.database)).to.be.at.least(before + 1_000_000);
    } finally {
      await world.close();
    }
  });
});
