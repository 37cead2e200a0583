/** Every migration, in order. Released ones never change. */
import { Migration20261123000000Initial } from './migration_20261123000000_initial.ts';
import { Migration20261124000000AttemptsByName } from './migration_20261124000000_attempts_by_name.ts';
import { Migration20261124000100ChecksByDomain } from './migration_20261124000100_checks_by_domain.ts';
import { Migration20261124150000KeyStates } from './migration_20261124150000_key_states.ts';
import { Migration20261124160000RateLimits } from './migration_20261124160000_rate_limits.ts';
import { Migration20261124170000AuditEvents } from './migration_20261124170000_audit_events.ts';
import { Migration20261127200000ChecksOffHotRows } from './migration_20261127200000_checks_off_hot_rows.ts';

/** Where the migrator keeps what was executed. */
export const MIGRATIONS_TABLE = 'schema_migrations';

/** The name under which each is kept there, and its class. */
export const migrations = [
  { name: 'Migration20261123000000Initial', class: Migration20261123000000Initial },
  { name: 'Migration20261124000000AttemptsByName', class: Migration20261124000000AttemptsByName },
  { name: 'Migration20261124000100ChecksByDomain', class: Migration20261124000100ChecksByDomain },
  { name: 'Migration20261124150000KeyStates', class: Migration20261124150000KeyStates },
  { name: 'Migration20261124160000RateLimits', class: Migration20261124160000RateLimits },
  { name: 'Migration20261124170000AuditEvents', class: Migration20261124170000AuditEvents },
  { name: 'Migration20261127200000ChecksOffHotRows', class: Migration20261127200000ChecksOffHotRows },
] as const;

/** Those of the executed migrations that this version does not know: they are of a newer one. */
export const unknownMigrations = (executed: readonly string[]): string[] =>
  executed.filter((name) => !migrations.some((known) => known.name === name));
