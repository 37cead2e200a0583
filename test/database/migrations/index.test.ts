import { readdirSync } from 'node:fs';
import { expect } from 'chai';
import { migrations, unknownMigrations } from '../../../src/database/migrations/index.ts';

describe('the list of migrations', () => {
  it('names every migration that has a file, in order, each under its class’s name', () => {
    const directory = new URL('../../../src/database/migrations/', import.meta.url);
    const files = readdirSync(directory).filter((name) => name.startsWith('migration_'));
    expect(migrations).to.have.length(files.length);
    const names = migrations.map(({ name }) => name);
    expect(names).to.deep.equal([...names].sort());
    for (const migration of migrations) expect(migration.name).to.equal(migration.class.name);
  });

  it('tells which of the executed ones are of a newer version', () => {
    const known = migrations.map(({ name }) => name);
    expect(unknownMigrations([...known, 'MigrationOfTomorrow'])).to.deep.equal(['MigrationOfTomorrow']);
    expect(unknownMigrations(known)).to.deep.equal([]);
  });
});
