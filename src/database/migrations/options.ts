import type { Constructor } from '@mikro-orm/core';
import type { Migration } from '@mikro-orm/migrations';
import { migrations } from './index.ts';

/** The options under which MikroORM finds the migrations. */
export const MIGRATION_OPTIONS = {
  tableName: 'schema_migrations',
  migrationsList: [...migrations] as { name: string; class: Constructor<Migration> }[],
  snapshot: false,
  transactional: true,
  allOrNothing: true,
  silent: true,
};
