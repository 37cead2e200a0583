import { join } from 'node:path';
import { expect } from 'chai';
import { migrations } from '../../../src/database/migrations/index.ts';
import { runCli } from '../../support/cli.ts';
import { remove, temporaryDirectory } from '../../support/embedded.ts';
import { createTestDatabase } from '../../support/test_database.ts';
import { databaseUrl } from '../../support/test_server.ts';

describe('passmanager migrate', function () {
  this.timeout(60_000);
  it('refuses a database that a newer version used', async () => {
    const database = await createTestDatabase();
    try {
      await database.query("insert into schema_migrations (name) values ('migration_of_tomorrow')");
      const { code, notes } = await runCli(['migrate'], { PASSMANAGER_DATABASE_URL: databaseUrl(database) });
      expect(code).to.equal(1);
      expect(notes).to.include('newer');
    } finally {
      await database.drop();
    }
  });

  it('makes the schema, and is done again without harm', async () => {
    const database = await createTestDatabase({ migrated: false });
    try {
      for (const made of [`by ${migrations.length} migrations`, 'was up to date']) {
        const { code, out } = await runCli(['migrate'], { PASSMANAGER_DATABASE_URL: databaseUrl(database) });
        expect(code).to.equal(0);
        expect(out).to.include(made);
      }
      const rows = await database.query('select name from schema_migrations');
      expect(rows).to.have.length(migrations.length);
    } finally {
      await database.drop();
    }
  });

  it('makes the embedded database where there is none', async () => {
    const directory = temporaryDirectory();
    const settings = { PASSMANAGER_DATA_DIR: join(directory, 'data') };
    try {
      expect((await runCli(['migrate'], settings)).code).to.equal(0);
      const { out, notes } = await runCli(['stats', '--json'], settings);
      expect(notes).to.equal('');
      expect(JSON.parse(out)).to.include({ accounts: 0 });
    } finally {
      remove(directory);
    }
  });
});
