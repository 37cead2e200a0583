import { expect } from 'chai';
import { ALL_TABLES, BACKUP_TABLES } from '../../../src/database/backup/backup_tables.ts';
import { createTestDatabase, type TestDatabase } from '../../support/test_database.ts';

describe('the tables of a backup', () => {
  let test: TestDatabase;

  before(async () => {
    test = await createTestDatabase();
  });

  after(() => test.drop());

  it('are all tables but those that are left out on purpose', async () => {
    const rows = await test.query(
      `select table_name as name from information_schema.tables where table_schema = 'public' order by 1`,
    );
    expect(rows.map(({ name }) => name)).to.deep.equal(ALL_TABLES.map(({ name }) => name).sort());
  });

  it('are ordered by their primary keys, and come after what they refer to', async () => {
    for (const { name, key } of ALL_TABLES) {
      const rows = await test.query(
        `select a.attname as column from pg_index i, unnest(i.indkey) with ordinality k(attnum, position)
           join pg_attribute a on a.attnum = k.attnum
          where i.indrelid = $1::regclass and i.indisprimary and a.attrelid = i.indrelid order by position`,
        [name],
      );
      expect(rows.map(({ column }) => column)).to.deep.equal([...key]);
    }
    const foreign = await test.query(
      `select conrelid::regclass::text as name, confrelid::regclass::text as other from pg_constraint where contype = 'f'`,
    );
    for (const tables of [BACKUP_TABLES, ALL_TABLES]) {
      const position = (name: unknown) => tables.findIndex((table) => table.name === name);
      for (const { name, other } of foreign)
        if (position(name) >= 0) expect(position(other)).to.be.within(0, position(name) - 1);
    }
  });
});
