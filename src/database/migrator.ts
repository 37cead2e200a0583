/** Brings the schema up to this program's, whoever starts first; refuses one that is newer. */
import { Migrator } from '@mikro-orm/migrations';
import type { Database } from './database.ts';
import { migrations } from './migrations/index.ts';

/** The database was written by a newer program. */
export class NewerSchemaError extends Error {
  constructor(unknown: readonly string[]) {
    super(
      `the database has migrations that this version does not know (${unknown.join(', ')}): it was used by a newer ` +
        'version. Start that version or a later one; nothing was changed.',
    );
    this.name = 'NewerSchemaError';
  }
}

/** One arbitrary number for all replicas. */
const LOCK = 7_283_115_409n;

/**
 * Runs the migrations that are missing, one transaction each. MikroORM takes no lock: this one is held round the whole
 * run, and what was executed is read again inside it. Throws NewerSchemaError before anything is changed.
 */
export async function migrate(database: Database): Promise<void> {
  await database.transaction(async (transaction) => {
    await transaction.execute('set local idle_in_transaction_session_timeout = 0', []);
    await transaction.execute('set local lock_timeout = 0', []);
    await transaction.execute('select pg_advisory_xact_lock($1)', [LOCK]);
    const migrator = new Migrator(database.em());
    const executed = await migrator.getExecuted();
    const known = new Set<string>(migrations.map(({ name }) => name));
    const unknown = executed.map(({ name }) => name).filter((name) => !known.has(name));
    if (unknown.length > 0) throw new NewerSchemaError(unknown);
    if (executed.length < migrations.length) await migrator.up();
  });
}
