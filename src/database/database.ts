/**
 * The connection to PostgreSQL: MikroORM for entities and transactions, and the query builder underneath it for what
 * runs on every call. Two pools: one whose commits are on disk when they are acknowledged, and a small one for reads,
 * whose only writes are spent request numbers.
 */

import { DriverException } from '@mikro-orm/core';
import { Migrator } from '@mikro-orm/migrations';
import type { EntityManager } from '@mikro-orm/postgresql';
import { MikroORM } from '@mikro-orm/postgresql';
import { CompiledQuery, type Kysely, PostgresDialect } from 'kysely';
import pg from 'pg';
import type { Around } from './around.ts';
import { type ConnectionOptions, openPool, type PoolLoad, type StatementPool } from './connection_pool.ts';
import { entities } from './entities/index.ts';
import { WRITE_UNDONE } from './gate_statements.ts';
import { MIGRATION_OPTIONS } from './migrations/options.ts';
import { NotificationListener } from './notification_listener.ts';
import { DatabaseFault, FAULT_KINDS, type FaultKind, toFault } from './sqlstate.ts';
import type { BatchStatement } from './statement_batch.ts';

export type { ConnectionOptions } from './connection_pool.ts';
export type { BatchStatement } from './statement_batch.ts';

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

/** What a database is opened with. */
export interface DatabaseOptions {
  readonly connection: ConnectionOptions;
  /** Connections of the durable pool; the one for reads has half as many. Default 10. */
  readonly poolSize?: number;
  /** PgBouncer in transaction mode: no startup parameters, no named statements, no LISTEN; every commit waits for the disk. Default false. */
  readonly pgbouncer?: boolean;
  /** A connection that a standby takes counts as none: an outage. Default false. */
  readonly primaryOnly?: boolean;
  /** How long connecting, or waiting for a free connection, may take; in milliseconds. Default 5,000. */
  readonly connectTimeoutMs?: number;
  /** Told of errors on idle connections, which heal by themselves. */
  readonly onError?: (error: Error) => void;
  /** Told of every statement and transaction. Default: nobody is. */
  readonly around?: Around;
}

/** How long connecting, or waiting for a free connection, may take; in milliseconds. */
const CONNECT_TIMEOUT_MS = 5_000;

/** How often a statement or transaction that met a conflict runs, in all. */
const CONFLICT_ATTEMPTS = 5;

/** One statement of a transaction of the query builder, errors as faults. */
async function runIn(
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

/** Runs `attempt` again, from the start, when it met a conflict or a connection whose statements no longer fit. */
async function untilSettled<T>(
  poolSize: number,
  onFault: (fault: DatabaseFault) => void,
  attempt: () => Promise<T>,
): Promise<T> {
  let conflicts = 0;
  let stale = 0;
  for (;;) {
    try {
      return await attempt();
    } catch (error) {
      if (!(error instanceof DatabaseFault)) throw error;
      onFault(error);
      if (error.kind === 'conflict') conflicts += 1;
      // After a migration every connection may hold the old statement; each one that fails with it is ended.
      else if (error.kind === 'staleStatement') stale += 1;
      else throw error;
      if (conflicts === CONFLICT_ATTEMPTS || stale > poolSize) throw error;
    }
  }
}

/** Runs single statements, each in its own transaction, again when it met a conflict. */
class PoolExecutor implements Executor {
  readonly #pool: StatementPool;
  readonly #poolSize: number;
  readonly #onFault: (fault: DatabaseFault) => void;
  readonly #around: Around | undefined;

  constructor(
    pool: StatementPool,
    poolSize: number,
    onFault: (fault: DatabaseFault) => void,
    around: Around | undefined,
  ) {
    this.#pool = pool;
    this.#poolSize = poolSize;
    this.#onFault = onFault;
    this.#around = around;
  }

  execute(text: string, parameters: readonly unknown[]): Promise<{ rows: Row[] }> {
    if (this.#around === undefined) return this.#settled(text, parameters);
    return this.#around('statement', text, () => this.#settled(text, parameters));
  }

  #settled(text: string, parameters: readonly unknown[]): Promise<{ rows: Row[] }> {
    return untilSettled(this.#poolSize, this.#onFault, () => this.#pool.execute(text, parameters));
  }
}

/** An open database: its pools, the entity manager above them, and its listeners. */
export class Database {
  readonly orm: MikroORM;
  /** Statements whose commit is on disk when they return. */
  readonly writes: Executor;
  /** Statements that a crash of the machine may forget: reads, and request numbers that they spend. */
  readonly reads: Executor;
  readonly #pools: { readonly writes: StatementPool; readonly reads: StatementPool };
  readonly #options: DatabaseOptions;
  readonly #poolSize: number;
  #onFull: () => void = () => {};
  readonly #faults = new Map<FaultKind, number>(FAULT_KINDS.map((kind) => [kind, 0]));
  readonly #listeners = new Set<NotificationListener>();

  constructor(
    orm: MikroORM,
    pools: { writes: StatementPool; reads: StatementPool },
    options: DatabaseOptions,
  ) {
    this.orm = orm;
    this.#poolSize = poolSizes(options).writes;
    const onFault = (fault: DatabaseFault) => this.#count(fault);
    const { around } = options;
    this.writes = new PoolExecutor(pools.writes, this.#poolSize, onFault, around);
    this.reads = new PoolExecutor(pools.reads, poolSizes(options).reads, onFault, around);
    this.#pools = pools;
    this.#options = options;
  }

  /** Has `listener` told whenever something is not written because the disk is full or the database read-only. */
  whenFull(listener: () => void): void {
    this.#onFull = listener;
  }

  /** How many attempts at statements and transactions have failed, by kind. A write that undid itself is none. */
  faults(): ReadonlyMap<FaultKind, number> {
    return this.#faults;
  }

  #count({ kind, sqlState }: DatabaseFault): void {
    if (kind === 'full') this.#onFull();
    if (sqlState !== WRITE_UNDONE) this.#faults.set(kind, this.#faults.get(kind)! + 1);
  }

  /** What the pools hold now. */
  load(): Record<'writes' | 'reads', PoolLoad> {
    return { writes: this.#pools.writes.load(), reads: this.#pools.reads.load() };
  }

  /** A fresh entity manager, for one call. */
  em(): EntityManager {
    return this.orm.em.fork() as EntityManager;
  }

  /** Runs `work` in a durable transaction, again from the start when it met a conflict. Throws what `work` threw, or DatabaseFault. */
  transaction<T>(work: (transaction: Transaction) => Promise<T>): Promise<T> {
    const { around } = this.#options;
    const run = () =>
      untilSettled(
        this.#poolSize,
        (fault) => this.#count(fault),
        () => this.#transaction(work),
      );
    return around === undefined ? run() : around('transaction', '', run);
  }

  /**
   * Runs statements in a durable transaction that takes one round trip, again when it met a conflict; rows for
   * each. Each sees what was committed before it began, so what follows a lock is decided under it. Throws DatabaseFault.
   */
  batch(statements: readonly BatchStatement[]): Promise<readonly { rows: Row[] }[]> {
    const { around } = this.#options;
    const run = () =>
      untilSettled(
        this.#poolSize,
        (fault) => this.#count(fault),
        () => this.#pools.writes.batch(statements),
      );
    return around === undefined
      ? run()
      : around('statement', statements.map(({ text }) => text).join(';\n'), run);
  }

  async #transaction<T>(work: (transaction: Transaction) => Promise<T>): Promise<T> {
    // What `work` throws by itself passes through unchanged; all else is the database's.
    let thrown: { error: unknown } | undefined;
    try {
      return await this.em().transactional(async (em) => {
        const context = em.getTransactionContext() as unknown as Kysely<unknown>;
        let savepoints = 0;
        const execute = (text: string, parameters: readonly unknown[]) => runIn(context, text, parameters);
        const { around } = this.#options;
        try {
          return await work({
            em: em as EntityManager,
            execute:
              around === undefined
                ? execute
                : (text, parameters) => around('statement', text, () => execute(text, parameters)),
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
      await listener.stop();
      this.#listeners.delete(listener);
    };
  }

  /** Loses every statement that runs and takes no other: for a database that answers no more. close() has nothing to wait for then. */
  abandon(): void {
    for (const part of [...Object.values(this.#pools), ...this.#listeners]) part.abandon();
  }

  /** Ends every connection. Statements that run are waited for. */
  async close(): Promise<void> {
    await Promise.all([...this.#listeners].map((listener) => listener.stop()));
    await this.orm.close(true);
    // MikroORM ends the pool of writes where it used it itself.
    await Promise.all([this.#pools.writes.end(), this.#pools.reads.end()]);
  }
}

/** Of the entity manager's statements: MikroORM wraps whatever the driver throws and keeps its code. */
function isDriverError(error: unknown): boolean {
  return error instanceof DriverException;
}

/** Half as many connections for reads, which are short. */
function poolSizes({ poolSize = 10 }: DatabaseOptions): { writes: number; reads: number } {
  return { writes: poolSize, reads: Math.max(1, Math.ceil(poolSize / 2)) };
}

/** Opens the pools. Connects when the first statement needs it. */
export async function openDatabase(options: DatabaseOptions): Promise<Database> {
  const common = {
    connection: options.connection,
    pgbouncer: options.pgbouncer ?? false,
    primaryOnly: options.primaryOnly ?? false,
    connectTimeoutMs: options.connectTimeoutMs ?? CONNECT_TIMEOUT_MS,
    onError: options.onError ?? (() => {}),
  };
  const sizes = poolSizes(options);
  const writePool = openPool({ ...common, size: sizes.writes, synchronousCommit: 'on' });
  const readPool = openPool({ ...common, size: sizes.reads, synchronousCommit: 'off' });
  const orm = await MikroORM.init({
    entities: [...entities],
    dbName: new pg.Client(options.connection).database ?? 'postgres',
    // MikroORM would make a database of another name, and reconnect to it.
    ensureDatabase: false,
    driverOptions: new PostgresDialect({ pool: writePool }),
    extensions: [Migrator],
    migrations: MIGRATION_OPTIONS,
    // What is not said here is taken from MIKRO_ORM_* variables: MIKRO_ORM_DEBUG prints statements with their values.
    debug: false,
    logger: () => {},
  });
  return new Database(orm as unknown as MikroORM, { writes: writePool, reads: readPool }, options);
}
