import { expect } from 'chai';
import { openDatabase } from '../../src/database/database.ts';
import { migrate, NewerSchemaError } from '../../src/database/migrator.ts';
import { createTestDatabase, type TestDatabase } from '../support/test_database.ts';

describe('the migrator', () => {
  let test: TestDatabase;

  beforeEach(async () => {
    test = await createTestDatabase({ migrated: false });
  });

  afterEach(() => test.drop());

  it('makes the schema once when four start together', async () => {
    const databases = await Promise.all(
      Array.from({ length: 4 }, () => openDatabase({ connection: test.connection })),
    );
    try {
      await Promise.all(databases.map(migrate));
      expect(await test.query('select name from schema_migrations')).to.have.length(1);
      await migrate(databases[0]!);
    } finally {
      await Promise.all(databases.map((database) => database.close()));
    }
  });

  it('refuses a newer schema with what to do, and changes nothing', async () => {
    const database = await openDatabase({ connection: test.connection });
    try {
      await migrate(database);
      await test.query("insert into schema_migrations (name) values ('Migration20990101000000')");
      const error = await migrate(database).then(
        () => undefined,
        (thrown: unknown) => thrown,
      );
      expect(error).to.be.instanceOf(NewerSchemaError);
      expect((error as Error).message)
        .to.include('Migration20990101000000')
        .and.to.include('Start that version');
      expect(await test.query('select name from schema_migrations')).to.have.length(2);
    } finally {
      await database.close();
    }
  });

  it('makes just the tables that the entities describe', async () => {
    const database = await openDatabase({ connection: test.connection });
    try {
      await migrate(database);
      const difference = await database.orm.schema.getUpdateSchemaSQL({ wrap: false, dropTables: false });
      const statements = difference.split('\n').filter((line) => line.trim() !== '');
      // What entities cannot say: partial indexes, checks and storage parameters are the migrations' own.
      expect(
        statements.filter(
          (line) => !/^(alter table "\w+" drop constraint "\w+(check|whole)"|drop index)/.test(line),
        ),
      ).to.deep.equal([]);
    } finally {
      await database.close();
    }
  });
});
