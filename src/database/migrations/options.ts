import { migrations } from './index.ts';

/** The options under which MikroORM finds the migrations. */
export const MIGRATION_OPTIONS = {
  tableName: 'schema_migrations',
  migrationsList: [...migrations],
  snapshot: false,
  transactional: true,
  allOrNothing: true,
  silent: true,
} as const;
