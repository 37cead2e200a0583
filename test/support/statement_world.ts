/** A user with a session in a database of its own, for tests of single statements. */
import { randomBytes, randomUUID } from 'node:crypto';
import { type Database, openDatabase, type Row } from '../../src/database/database.ts';
import { insertRow, sampleSession, sampleUser } from './sample_rows.ts';
import { createTestDatabase, type TestDatabase } from './test_database.ts';

export class StatementWorld {
  readonly test: TestDatabase;
  readonly database: Database;
  userId = '';
  sessionId = '';
  #next = 0n;

  private constructor(test: TestDatabase, database: Database) {
    this.test = test;
    this.database = database;
  }

  static async open(): Promise<StatementWorld> {
    const test = await createTestDatabase();
    return new StatementWorld(test, await openDatabase({ connection: test.connection, poolSize: 8 }));
  }

  /** Another user with another session. */
  async newUser(): Promise<void> {
    const user = sampleUser();
    await insertRow(this.test, 'users', user);
    this.userId = user.id as string;
    this.sessionId = await this.newSession();
    this.#next = 0n;
  }

  async newSession(values: Row = {}): Promise<string> {
    const session = { ...sampleSession(this.userId), ...values };
    await insertRow(this.test, 'login_sessions', session);
    return session.id as string;
  }

  /** Runs a gated statement under the next number. */
  async run(
    text: string,
    parameters: readonly unknown[],
    requestNumber: bigint = this.#next++,
  ): Promise<Row[]> {
    const { rows } = await this.database.writes.execute(text, [
      this.sessionId,
      this.userId,
      requestNumber,
      ...parameters,
    ]);
    return rows;
  }

  async account(): Promise<{ revision: bigint; entry_count: number }> {
    const { rows } = await this.database.reads.execute(
      'select revision, entry_count from users where id = $1',
      [this.userId],
    );
    return rows[0] as { revision: bigint; entry_count: number };
  }

  /** Opens a password change by hand, until `seconds` from now. */
  async openChange(changeSessionId: string, seconds = 300): Promise<void> {
    await this.test.query(
      `update users set change_session_id = $2, change_begun_by = $3, change_opened_at = clock_timestamp(),
        change_expires_at = clock_timestamp() + make_interval(secs => $4), change_remaining_entries = entry_count,
        new_srp_salt = srp_salt, new_srp_verifier = srp_verifier, new_master_key_salt = master_key_salt,
        new_encrypted_vault_header = encrypted_vault_header, new_kdf_algorithm = 1, new_kdf_memory_kib = 65536,
        new_kdf_iterations = 3, new_kdf_parallelism = 1, new_eph_private_b = $5, new_eph_public_b = $6
      where id = $1`,
      [this.userId, changeSessionId, this.sessionId, seconds, randomBytes(72), randomBytes(512)],
    );
  }

  async close(): Promise<void> {
    await this.database.close();
    await this.test.drop();
  }
}

export const newId = (): string => randomUUID();
export const blob = (length: number): Buffer => randomBytes(length);
