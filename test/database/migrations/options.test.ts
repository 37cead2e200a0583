import { expect } from 'chai';
import { migrations } from '../../../src/database/migrations/index.ts';
import { MIGRATION_OPTIONS } from '../../../src/database/migrations/options.ts';

describe('the options of migrations', () => {
  it('list them explicitly, each run in a transaction', () => {
    expect(MIGRATION_OPTIONS.migrationsList.map(({ name }) => name)).to.deep.equal(
      migrations.map(({ name }) => name),
    );
    expect(MIGRATION_OPTIONS).to.deep.include({ transactional: true, allOrNothing: true });
  });
});
