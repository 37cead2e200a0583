/** A small database with something of everything in it, and its key file. */
import { randomBytes } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { BackupKdf } from '../../src/database/backup/backup_seal.ts';
import { openDatabase } from '../../src/database/database.ts';
import { openServerKeys } from '../../src/database/server_keys.ts';
import { insertRow, sampleUser } from './sample_rows.ts';
import { createTestDatabase, type TestDatabase } from './test_database.ts';

/** Argon2id at its least, for tests that derive often. */
export const QUICK_KDF: BackupKdf = { memoryKib: 8, iterations: 1, parallelism: 1 };

export const PASSPHRASE = 'correct horse battery staple';

export interface BackupWorld {
  readonly directory: string;
  readonly keyFile: string;
  readonly database: TestDatabase;
  /** A path below the directory. */
  at(name: string): string;
  drop(): Promise<void>;
}

/** Makes `users` accounts with `entries` entries each; random bytes of the right lengths, which is all that a backup sees. */
export async function createBackupWorld({ users = 2, entries = 5 } = {}): Promise<BackupWorld> {
  const directory = await mkdtemp(join(tmpdir(), 'pm-backup-'));
  const keyFile = join(directory, 'key');
  const database = await createTestDatabase();
  const opened = await openDatabase({ connection: database.connection, poolSize: 1 });
  await openServerKeys({ database: opened, keyFile, random: randomBytes });
  await opened.close();
  for (let user = 0; user < users; user += 1) {
    const row: Record<string, unknown> = { ...sampleUser(), entry_count: entries, revision: entries };
    await insertRow(database, 'users', row);
    await database.query(
      `insert into secure_data (user_id, entry_id, entry_name, entry_data, revision)
         select $1, gen_random_uuid(), decode(repeat(md5(random()::text), 6), 'hex'), decode(repeat(md5(random()::text), 18), 'hex'), n
           from generate_series(1, $2::int) n`,
      [row.id, entries],
    );
  }
  await database.query("insert into audit_events (event) values ('invite made')");
  await database.query(`insert into invites (code_hash) values ($1)`, [randomBytes(32)]);
  return {
    directory,
    keyFile,
    database,
    at: (name) => join(directory, name),
    drop: async () => {
      await database.drop();
      await rm(directory, { recursive: true, force: true });
    },
  };
}

/** Everything that a backup keeps, but what a restore gives anew. */
export const contentsOf = (database: TestDatabase): Promise<unknown> =>
  database.query(
    `select (select json_agg(to_jsonb(u) - 'history_id' order by id) from users u) as users,
            (select json_agg(to_jsonb(e) order by user_id, entry_id) from secure_data e) as entries,
            (select json_agg(to_jsonb(i) order by code_hash) from invites i) as invites,
            (select json_agg(to_jsonb(k) - 'key_file_slot' order by id) from server_keys k) as keys`,
  );
