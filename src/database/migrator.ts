/** Brings the schema up to this program's, whoever starts first; refuses one that is newer. */
import { Migrator } from '@mikro-orm/migrations';
import type { EntityManager } from '@mikro-orm/postgresql';
import type { Database } from './database.ts';
import { migrations, unknownMigrations } from './migrations/index.ts';

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

type TransactionContext = ReturnType<EntityManager['getTransactionContext']>;

/** The advisory lock of a run: one arbitrary number for all replicas. */
export const MIGRATION_LOCK = 7_283_115_409n;

/** MikroORM's migrator inside a transaction that is open: it neither asks for the database nor for another connection. */
class MigratorInTransaction extends Migrator {
  readonly #transaction: TransactionContext;

  constructor(em: EntityManager, transaction: TransactionContext) {
    super(em);
    this.#transaction = transaction;
  }

  /** Makes the table of what was executed, inside the transaction. */
  protected override async init(): Promise<void> {
    if (this.initialized) return;
    this.initialized = true;
    const storage = this.getStorage();
    storage.setMasterMigration(this.#transaction);
    await storage.ensureTable();
  }

  upAll(): Promise<unknown> {
    return this.up({ transaction: this.#transaction });
  }
}

/**
 * Runs the migrations that are missing, all or none. MikroORM takes no lock: the one transaction of the run holds it, and
 * reads what was executed after it got it. How many they were. Throws NewerSchemaError before anything is changed.
 */
export async function migrate(database: Database): Promise<number> {
  return database.transaction(async ({ em, execute }) => {
    // Waiting for another replica's run, and one's own, take as long as the data needs.
    for (const limit of ['statement_timeout', 'lock_timeout', 'idle_in_transaction_session_timeout']) {
      await execute(`set local ${limit} = 0`, []);
    }
    await execute('select pg_advisory_xact_lock($1)', [MIGRATION_LOCK]);
    const migrator = new MigratorInTransaction(database.em(), em.getTransactionContext());
    const executed = await migrator.getExecuted();
    const unknown = unknownMigrations(executed.map(({ name }) => name));
    if (unknown.length > 0) throw new NewerSchemaError(unknown);
    if (executed.length < migrations.length) await migrator.upAll();
    return migrations.length - executed.length;
  });
}
