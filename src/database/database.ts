/**
 * The connection to PostgreSQL: MikroORM for entities and transactions, and the query builder underneath it for what
 * runs on every call. Two pools: one whose commits are on disk when they are acknowledged, and a small one for reads,
 * whose only writes are spent request numbers.
 */

import { Migrator } from '@mikro-orm/migrations';
import type { EntityManager } from '@mikro-orm/postgresql';
import { MikroORM } from '@mikro-orm/postgresql';
import { CompiledQuery, Kysely, PostgresDialect, type PostgresPool, type PostgresPoolClient } from 'kysely';
import pg from 'pg';
import { entities } from './entities/index.ts';
import { MIGRATION_OPTIONS } from './migrations/options.ts';
import { NamedStatementClient } from './named_statement_client.ts';
import { NotificationListener } from './notification_listener.ts';
import { DatabaseFault, toFault } from './sqlstate.ts';

/** A row by column: uuid as text, bigint as BigInt, bytea as Buffer, timestamptz as Date. */
export type Row = Record<string, unknown>;

/** Runs one statement. Throws DatabaseFault and nothing else. */
export interface Executor {
  execute(text: string, parameters: readonly unknown[]): Promise<{ rows: Row[] }>;
}

/** An open transaction (READ COMMITTED). */
export interface Transaction extends Executor {
  /** The entity manager of this transaction. */
  readonly em: EntityManager;
  /** Runs `work` inside a savepoint; a throw rolls back to it and goes on. */
  savepoint<T>(work: () => Promise<T>): Promise<T>;
}

/** Where the database is: fields of pg's configuration, or a URL. */
export type ConnectionOptions =
  | {
      readonly host: string;
      readonly port?: number;
      readonly user: string;
      readonly database: string;
      readonly password?: string;
    }
  | { readonly connectionString: string };

export interface DatabaseOptions {
  readonly connection: ConnectionOptions;
  /** Connections of the durable pool; the one for reads has half as many. Default 10. */
  readonly poolSize?: number;
  /** PgBouncer in transaction mode: no startup parameters, no named statements, no LISTEN. Default false. */
  readonly pgbouncer?: boolean;
  /** Told of errors on idle connections, which heal by themselves. */
  readonly onError?: (error: Error) => void;
}

/** Times in milliseconds. All but the first are enforced by the server: a client that gives up alone leaves a transaction open. */
const CONNECT_TIMEOUT_MS = 5_000;
const STATEMENT_TIMEOUT_MS = 30_000;
const LOCK_TIMEOUT_MS = 15_000;
const IDLE_IN_TRANSACTION_TIMEOUT_MS = 30_000;

/** How often a transaction that met a conflict runs, in all. */
const CONFLICT_ATTEMPTS = 5;

const types = new pg.TypeOverrides();
types.setTypeParser(pg.types.builtins.INT8, (text: string) => BigInt(text));

/** Settings of every connection; `synchronous_commit` is the difference between the two pools. */
function settings(synchronousCommit: 'on' | 'off'): Record<string, string> {
  return {
    synchronous_commit: synchronousCommit,
    statement_timeout: `${STATEMENT_TIMEOUT_MS}`,
    lock_timeout: `${LOCK_TIMEOUT_MS}`,
    idle_in_transaction_session_timeout: `${IDLE_IN_TRANSACTION_TIMEOUT_MS}`,
    application_name: 'passmanager',
  };
}

/**
 * A pool whose connections are named, bounded and never handed on inside a transaction. Connecting fails with an outage;
 * what fails later was sent.
 */
function openPool(options: DatabaseOptions, size: number, synchronousCommit: 'on' | 'off'): PostgresPool {
  const { connection, pgbouncer = false, onError = () => {} } = options;
  const wanted = settings(synchronousCommit);
  const pool = new pg.Pool({
    ...connection,
    max: size,
    types,
    connectionTimeoutMillis: CONNECT_TIMEOUT_MS,
    idleTimeoutMillis: 60_000,
    keepAlive: true,
    ...(pgbouncer
      ? {}
      : {
          Client: NamedStatementClient,
          options: Object.entries(wanted)
            .map(([name, value]) => `-c ${name}=${value}`)
            .join(' '),
        }),
  });
  pool.on('error', onError);
  pool.on('connect', (client) => client.on('error', onError));
  const prepared = new WeakSet<object>();
  return {
    options: pool.options,
    async connect() {
      const client = await pool.connect().catch((error: unknown) => {
        throw toFault(error, false);
      });
      if (pgbouncer && !prepared.has(client)) {
        prepared.add(client);
        for (const [name, value] of Object.entries(wanted)) await client.query(`set ${name} = '${value}'`);
      }
      const release = client.release.bind(client);
      let released = false;
      const giveBack = (): void => {
        if (released) return;
        released = true;
        client.off('end', giveBack);
        release(!isReusable(client));
      };
      client.release = giveBack;
      // The query builder forgets the connection of a transaction that it could not roll back.
      client.once('end', giveBack);
      return client as unknown as PostgresPoolClient;
    },
    end: () => pool.end(),
  } as PostgresPool;
}

/** A client in an open or broken transaction, or with statements that fit no more, must not reach the next caller. */
function isReusable(client: pg.PoolClient): boolean {
  if (client instanceof NamedStatementClient && client.hasStaleStatements) return false;
  // 'I' is idle; 'T' and 'E' are inside a transaction.
  return (client as unknown as { getTransactionStatus(): string | null }).getTransactionStatus() === 'I';
}

/** One statement on a connection or transaction of the query builder, errors as faults. */
async function run(
  target: { executeQuery(query: CompiledQuery): Promise<{ rows: unknown[] }> },
  text: string,
  parameters: readonly unknown[],
): Promise<{ rows: Row[] }> {
  try {
    return (await target.executeQuery(CompiledQuery.raw(text, parameters as unknown[]))) as { rows: Row[] };
  } catch (error) {
    throw toFault(error, true);
  }
}

/** Runs single statements, each in its own transaction. */
class PoolExecutor implements Executor {
  readonly #kysely: Kysely<unknown>;

  constructor(kysely: Kysely<unknown>) {
    this.#kysely = kysely;
  }

  async execute(text: string, parameters: readonly unknown[]): Promise<{ rows: Row[] }> {
    try {
      return await run(this.#kysely, text, parameters);
    } catch (error) {
      // After a migration the connection was ended with its statements; a new one prepares them anew.
      if (error instanceof DatabaseFault && error.kind === 'staleStatement') {
        return run(this.#kysely, text, parameters);
      }
      throw error;
    }
  }
}

export class Database {
  readonly orm: MikroORM;
  /** Statements whose commit is on disk when they return. */
  readonly writes: Executor;
  /** Statements that a crash of the machine may forget: reads, and request numbers that they spend. */
  readonly reads: Executor;
  readonly #readPool: Kysely<unknown>;
  readonly #options: DatabaseOptions;
  readonly #listeners = new Set<NotificationListener>();

  constructor(orm: MikroORM, readPool: Kysely<unknown>, options: DatabaseOptions) {
    this.orm = orm;
    this.writes = new PoolExecutor(orm.em.getKysely() as unknown as Kysely<unknown>);
    this.reads = new PoolExecutor(readPool);
    this.#readPool = readPool;
    this.#options = options;
  }

  /** A fresh entity manager, for one call. */
  em(): EntityManager {
    return this.orm.em.fork() as EntityManager;
  }

  /** Runs `work` in a durable transaction, again from the start when it met a conflict. Throws what `work` threw, or DatabaseFault. */
  async transaction<T>(work: (transaction: Transaction) => Promise<T>): Promise<T> {
    for (let attempt = 1; ; attempt += 1) {
      try {
        return await this.#transaction(work);
      } catch (error) {
        const again =
          error instanceof DatabaseFault && (error.kind === 'conflict' || error.kind === 'staleStatement');
        if (!again || attempt === CONFLICT_ATTEMPTS) throw error;
      }
    }
  }

  async #transaction<T>(work: (transaction: Transaction) => Promise<T>): Promise<T> {
    // What `work` throws by itself passes through unchanged; all else is the database's.
    let thrown: { error: unknown } | undefined;
    try {
      return await this.em().transactional(async (em) => {
        const context = em.getTransactionContext() as unknown as Kysely<unknown>;
        let savepoints = 0;
        const execute = (text: string, parameters: readonly unknown[]) => run(context, text, parameters);
        try {
          return await work({
            em: em as EntityManager,
            execute,
            async savepoint(inner) {
              savepoints += 1;
              const name = `s${savepoints}`;
              await execute(`savepoint ${name}`, []);
              try {
                const result = await inner();
                await execute(`release savepoint ${name}`, []);
                return result;
              } catch (error) {
                // Where the connection is gone there is nothing to roll back to.
                await execute(`rollback to savepoint ${name}`, []).catch(() => {});
                throw error;
              }
            },
          });
        } catch (error) {
          thrown = { error };
          throw error;
        }
      });
    } catch (error) {
      if (thrown !== undefined && thrown.error === error)
        throw isDriverError(error) ? toFault(error, true) : error;
      throw toFault(error, true);
    }
  }

  /**
   * Calls `onNotify` with the payload of every notification on a channel. The connection is made again when it dies, and
   * `onReconnect` is told, since notifications were missed. Returns what ends it. Does nothing behind PgBouncer.
   */
  async listen(
    channel: string,
    onNotify: (payload: string) => void,
    onReconnect: () => void,
  ): Promise<() => Promise<void>> {
    if (this.#options.pgbouncer === true) return async () => {};
    const listener = new NotificationListener(this.#options.connection, channel, { onNotify, onReconnect });
    this.#listeners.add(listener);
    await listener.start();
    return async () => {
      this.#listeners.delete(listener);
      await listener.stop();
    };
  }

  /** Ends every connection. Statements that run are waited for. */
  async close(): Promise<void> {
    await Promise.all([...this.#listeners].map((listener) => listener.stop()));
    await Promise.all([this.orm.close(true), this.#readPool.destroy()]);
  }
}

/** Errors of pg and of MikroORM's wrapping of them carry a code. */
function isDriverError(error: unknown): boolean {
  return !(error instanceof DatabaseFault) && error instanceof pg.DatabaseError;
}

/** Opens the pools. Connects when the first statement needs it. */
export async function openDatabase(options: DatabaseOptions): Promise<Database> {
  const size = options.poolSize ?? 10;
  const orm = await MikroORM.init({
    entities: [...entities],
    // The migrator would make a database of another name, and reconnect to it.
    dbName: new pg.Client(options.connection).database ?? 'postgres',
    ensureDatabase: false,
    driverOptions: new PostgresDialect({ pool: openPool(options, size, 'on') }),
    extensions: [Migrator],
    migrations: MIGRATION_OPTIONS,
  });
  const readPool = new Kysely<unknown>({
    dialect: new PostgresDialect({ pool: openPool(options, Math.max(1, Math.ceil(size / 2)), 'off') }),
  });
  return new Database(orm as unknown as MikroORM, readPool, options);
}
