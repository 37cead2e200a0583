/** Every migration, in order. Released ones never change. */
import { Migration20261123000000Initial } from './migration_20261123000000_initial.ts';

export const migrations = [
  { name: 'Migration20261123000000Initial', class: Migration20261123000000Initial },
] as const;
