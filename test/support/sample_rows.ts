/** Rows that every constraint of the schema takes, for tests that spoil one value at a time. */
import { randomBytes, randomUUID } from 'node:crypto';
import { ALL_TABLES } from '../../src/database/backup/backup_tables.ts';
import type { TestDatabase } from './test_database.ts';

type Target = Pick<TestDatabase, 'query'>;

/** Column values. */
export interface Values {
  [column: string]: unknown;
}

export const sampleUser = (): Values => ({
  id: randomUUID(),
  username_lookup: randomBytes(32),
  srp_salt: randomBytes(64),
  srp_verifier: randomBytes(544),
  master_key_salt: randomBytes(64),
  encrypted_vault_header: randomBytes(317),
  kdf_algorithm: 1,
  kdf_memory_kib: 65_536,
  kdf_iterations: 3,
  kdf_parallelism: 1,
  history_id: randomBytes(16),
});

export const sampleAttempt = (): Values => ({
  id: randomUUID(),
  username_lookup: randomBytes(32),
  credential_generation: 0,
  client_protocol: 1,
  server_protocol: 1,
  kind: 1,
  eph_private_b: randomBytes(72),
  eph_public_b: randomBytes(512),
  expires_at: new Date(),
});

/** What the start of a password change announces, as an attempt and an account keep it. */
const sampleAnnouncement = (): Values => ({
  new_srp_salt: randomBytes(64),
  new_srp_verifier: randomBytes(544),
  new_master_key_salt: randomBytes(64),
  new_encrypted_vault_header: randomBytes(125),
  new_kdf_algorithm: 1,
  new_kdf_memory_kib: 65_536,
  new_kdf_iterations: 3,
  new_kdf_parallelism: 1,
  new_eph_private_b: randomBytes(72),
  new_eph_public_b: randomBytes(512),
});

/** The start of a password change. */
export const sampleStart = (userId: unknown): Values => ({
  ...sampleAttempt(),
  user_id: userId,
  client_protocol: 0,
  server_protocol: 0,
  kind: 2,
  begun_by_session: randomUUID(),
  ...sampleAnnouncement(),
});

export const sampleSession = (userId: unknown): Values => ({
  id: randomUUID(),
  user_id: userId,
  session_key: randomBytes(64),
  kind: 1,
});

export const sampleEntry = (userId: unknown): Values => ({
  user_id: userId,
  entry_id: randomUUID(),
  entry_name: randomBytes(93),
  entry_data: randomBytes(285),
  revision: 1,
});

/** The columns of an account with an open password change, beside those of sampleUser. */
export const sampleChange = (sessionId: unknown): Values => ({
  change_session_id: sessionId,
  change_begun_by: randomUUID(),
  change_opened_at: new Date(),
  change_expires_at: new Date(),
  change_remaining_entries: 1,
  ...sampleAnnouncement(),
});

/** Inserts something of everything that the program keeps, in every table but the migrator's. */
export async function insertEverything(database: Target): Promise<void> {
  const change = randomUUID();
  const user = { ...sampleUser(), ...sampleChange(change), max_entries: 7, entry_count: 2, revision: 3 };
  const { id } = user as Values;
  await insertRow(database, 'users', user);
  await insertRow(database, 'users', sampleUser());
  await insertRow(database, 'secure_data', sampleEntry(id));
  await insertRow(database, 'secure_data', {
    ...sampleEntry(id),
    new_entry_name: randomBytes(93),
    new_entry_data: randomBytes(100_000),
    new_change_session_id: change,
    revision: 2,
  });
  await insertRow(database, 'secure_data', { user_id: id, entry_id: randomUUID(), revision: 3 });
  await insertRow(database, 'login_sessions', {
    ...sampleSession(id),
    highest_request_number: '9007199254740991',
    request_window: '-9223372036854775808',
  });
  await insertRow(database, 'auth_ephemerals', sampleAttempt());
  await insertRow(database, 'auth_ephemerals', sampleStart(id));
  await insertRow(database, 'invites', { code_hash: randomBytes(32) });
  await insertRow(database, 'server_keys', {
    id: 1,
    purpose: 1,
    key_file_slot: randomBytes(60),
    canary: randomBytes(44),
    state: 1,
  });
  await insertRow(database, 'rate_counters', {
    key: randomBytes(16),
    minute: 29_000_000,
    count: 3,
    previous: 4,
  });
  await insertRow(database, 'login_networks', { key: randomBytes(16), user_id: id });
  await insertRow(database, 'audit_events', { event: 'a tab\t, a line\nfeed, a \\ and a ü', user_id: id });
}

/** Everything that a database holds, as text, the migrator's own rows and sequence with it. */
export async function everythingIn(database: Target): Promise<Record<string, unknown>> {
  const found: Record<string, unknown> = {};
  for (const { name } of ALL_TABLES)
    found[name] = await database.query(`select to_jsonb(t)::text as row from ${name} t order by 1`);
  found.sequence = await database.query('select last_value, is_called from schema_migrations_id_seq');
  return found;
}

/** Inserts a row past the program. */
export async function insertRow(database: Target, table: string, values: Values): Promise<void> {
  const columns = Object.keys(values);
  const places = columns.map((_, index) => `$${index + 1}`);
  await database.query(
    `insert into ${table} (${columns.join(', ')}) values (${places.join(', ')})`,
    Object.values(values),
  );
}

/** The SQLSTATE with which a row is refused, or undefined. */
export async function refusedState(
  database: Target,
  table: string,
  values: Values,
): Promise<string | undefined> {
  return insertRow(database, table, values).then(
    () => undefined,
    (error: { code?: string }) => error.code,
  );
}
