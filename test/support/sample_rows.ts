/** Rows that every constraint of the schema takes, for tests that spoil one value at a time. */
import { randomBytes, randomUUID } from 'node:crypto';
import type { TestDatabase } from './test_database.ts';

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

/** The start of a password change. */
export const sampleStart = (userId: unknown): Values => ({
  ...sampleAttempt(),
  user_id: userId,
  client_protocol: 0,
  server_protocol: 0,
  kind: 2,
  begun_by_session: randomUUID(),
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

/** Inserts a row past the program. */
export async function insertRow(database: TestDatabase, table: string, values: Values): Promise<void> {
  const columns = Object.keys(values);
  const places = columns.map((_, index) => `$${index + 1}`);
  await database.query(
    `insert into ${table} (${columns.join(', ')}) values (${places.join(', ')})`,
    Object.values(values),
  );
}

/** The SQLSTATE with which a row is refused, or undefined. */
export async function refusedState(
  database: TestDatabase,
  table: string,
  values: Values,
): Promise<string | undefined> {
  return insertRow(database, table, values).then(
    () => undefined,
    (error: { code?: string }) => error.code,
  );
}
