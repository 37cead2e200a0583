/** Which tables there are, which of them a backup holds, and which it leaves out. */
import { MIGRATIONS_TABLE } from '../migrations/index.ts';

/** A table. */
export interface BackupTable {
  readonly name: string;
  /** Columns of its primary key, by which rows are ordered. */
  readonly key: readonly string[];
}

/** Tables of a backup, those that others refer to first. */
export const BACKUP_TABLES: readonly BackupTable[] = [
  { name: 'server_keys', key: ['id'] },
  { name: 'users', key: ['id'] },
  { name: 'secure_data', key: ['user_id', 'entry_id'] },
  { name: 'invites', key: ['code_hash'] },
  { name: 'audit_events', key: ['id'] },
];

/**
 * Tables that are left out: sessions and log-ins that are under way end with a restore, since what was recorded of them
 * must not run again. Rates are those of the last minute; networks are known again after a log-in.
 */
export const EPHEMERAL_TABLES: readonly BackupTable[] = [
  { name: 'login_sessions', key: ['id'] },
  { name: 'auth_ephemerals', key: ['id'] },
  { name: 'rate_counters', key: ['key'] },
  { name: 'login_networks', key: ['key'] },
];

/** Every table that the program makes, those that others refer to first. */
export const ALL_TABLES: readonly BackupTable[] = [
  ...BACKUP_TABLES,
  ...EPHEMERAL_TABLES,
  { name: MIGRATIONS_TABLE, key: ['id'] },
];
