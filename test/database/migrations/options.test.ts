import { readFileSync } from 'node:fs';
import { expect } from 'chai';
import { openDatabase } from '../../../src/database/database.ts';
import { migrations } from '../../../src/database/migrations/index.ts';
import { MIGRATION_OPTIONS } from '../../../src/database/migrations/options.ts';

describe('the options of migrations', () => {
  it('list them explicitly, each run in a transaction', () => {
    expect(MIGRATION_OPTIONS.migrationsList.map(({ name }) => name)).to.deep.equal(
      migrations.map(({ name }) => name),
    );
    expect(MIGRATION_OPTIONS).to.deep.include({ transactional: true, allOrNothing: true });
  });

  it('keep a snapshot of what the entities say: an entity does not change without a migration', async () => {
    const nowhere = { host: '/nonexistent', user: 'none', database: 'none' };
    const database = await openDatabase({ connection: nowhere });
    const directory = new URL('../../../src/database/migrations/', import.meta.url);
    const file = new URL(`${MIGRATION_OPTIONS.snapshotName}.json`, directory);
    const schema = JSON.parse(JSON.stringify(database.orm.schema.getTargetSchema()));
    await database.close();
    expect(JSON.parse(readFileSync(file, 'utf8'))).to.deep.equal(schema);
    expect(new URL(`file://${MIGRATION_OPTIONS.path}/`).href).to.equal(directory.href);
    expect(MIGRATION_OPTIONS).to.deep.include({ snapshot: true, snapshotOnMigrate: false });
  });
});
