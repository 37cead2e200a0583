import type { Constructor } from '@mikro-orm/core';
import type { Migration } from '@mikro-orm/migrations';
import { MIGRATIONS_TABLE, migrations } from './index.ts';

/** The options under which MikroORM finds the migrations. Whatever they leave out, MIKRO_ORM_MIGRATIONS_* variables could set. */
export const MIGRATION_OPTIONS = {
  tableName: MIGRATIONS_TABLE,
  migrationsList: [...migrations] as { name: string; class: Constructor<Migration> }[],
  /** What the entities said when the last migration was written; nothing writes it while the server runs. */
  snapshot: true,
  snapshotName: '.snapshot-passmanager',
  snapshotOnMigrate: false,
  path: import.meta.dirname,
  pathTs: import.meta.dirname,
  transactional: true,
  allOrNothing: true,
  /** Turning them off takes a superuser. */
  disableForeignKeys: false,
  silent: true,
};
