/** A pool whose connections are bounded in time, prepare statements by name, and are never handed on inside a transaction. */

import type { PostgresPool, PostgresPoolClient } from 'kysely';
import pg from 'pg';
import { NamedStatementClient } from './named_statement_client.ts';
import { toFault } from './sqlstate.ts';
import type { BatchStatement, Rows } from './statement_batch.ts';
import { WatchedClient } from './watched_client.ts';

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

/** What a pool is made with. */
export interface PoolOptions {
  readonly connection: ConnectionOptions;
  /** Connections at most. */
  readonly size: number;
  /** Whether a commit waits for the disk. Behind PgBouncer it always does. */
  readonly synchronousCommit: 'on' | 'off';
  /** PgBouncer in transaction mode: no startup parameters and no named statements. */
  readonly pgbouncer: boolean;
  /** Takes no connection to a standby: it is behind, and what it lacks would look as if it had never been. */
  readonly primaryOnly: boolean;
  /** How long connecting, or waiting for a free connection, may take; in milliseconds. */
  readonly connectTimeoutMs: number;
  /** Told of errors on connections, which the pool replaces by itself. */
  readonly onError: (error: Error) => void;
}

/** In milliseconds, enforced by the server: a client that gives up alone leaves a transaction open for the next caller. */
const STATEMENT_TIMEOUT_MS = 30_000;
const LOCK_TIMEOUT_MS = 15_000;
const IDLE_IN_TRANSACTION_TIMEOUT_MS = 30_000;

const IDLE_CONNECTION_MS = 60_000;
/** The system's own default lets two hours pass before it asks whether the other end is still there. */
const KEEP_ALIVE_DELAY_MS = 10_000;

const types = new pg.TypeOverrides();
types.setTypeParser(pg.types.builtins.INT8, (text: string) => BigInt(text));

/** What PostgreSQL lists the program's connections as. */
export const APPLICATION_NAME = 'passmanager';

function settings(synchronousCommit: 'on' | 'off'): [name: string, value: string][] {
  return [
    ['synchronous_commit', synchronousCommit],
    ['statement_timeout', `${STATEMENT_TIMEOUT_MS}`],
    ['lock_timeout', `${LOCK_TIMEOUT_MS}`],
    ['idle_in_transaction_session_timeout', `${IDLE_IN_TRANSACTION_TIMEOUT_MS}`],
    ['application_name', APPLICATION_NAME],
  ];
}

/** For pg: the address, with `options` after those that a URL brings, and without the timeout that pg runs itself. */
export function clientConfig(connection: ConnectionOptions, options?: string): pg.ClientConfig {
  if (!('connectionString' in connection)) return { ...connection, ...(options && { options }) };
  const url = new URL(connection.connectionString);
  const theirs = url.searchParams.get('options');
  // pg lets a URL's parameters win over the fields beside it.
  if (options !== undefined) url.searchParams.delete('options');
  url.searchParams.delete('query_timeout');
  const all = [theirs, options].filter((part) => part !== null && part !== undefined).join(' ');
  return { connectionString: url.href, ...(options !== undefined && { options: all }) };
}

/** A pool for the query builder that also runs statements by itself: the way of every hot call. */
export interface StatementPool extends PostgresPool {
  /** Runs one statement in its own transaction. Throws DatabaseFault. */
  execute(text: string, parameters: readonly unknown[]): Promise<Rows>;
  /** Runs statements in one transaction and one round trip. Throws DatabaseFault. */
  batch(statements: readonly BatchStatement[]): Promise<readonly Rows[]>;
  load(): PoolLoad;
  /** Ends every connection at once; what runs on them is lost. Nothing gets a connection from then on. */
  abandon(): void;
}

/** Connections that work and that do not, and callers that wait for one. */
export interface PoolLoad {
  readonly busy: number;
  readonly idle: number;
  readonly waiting: number;
}

/** Opens nothing yet; may be ended more than once. Getting a connection fails with an outage; what fails on it later was sent. */
export function openPool(poolOptions: PoolOptions): StatementPool {
  const { connection, size, pgbouncer, primaryOnly, connectTimeoutMs, onError } = poolOptions;
  // Its connections are shared out anew for every transaction, whoever asks: what one pool turned off, a writer would meet.
  const wanted = settings(pgbouncer ? 'on' : poolOptions.synchronousCommit);
  const startup = wanted.map(([name, value]) => `-c ${name}=${value}`).join(' ');
  const clients = new Set<pg.Client>();
  const pool = new pg.Pool({
    ...clientConfig(connection, pgbouncer ? undefined : startup),
    Client: pgbouncer ? WatchedClient : NamedStatementClient,
    max: size,
    types,
    connectionTimeoutMillis: connectTimeoutMs,
    idleTimeoutMillis: IDLE_CONNECTION_MS,
    keepAlive: true,
    keepAliveInitialDelayMillis: KEEP_ALIVE_DELAY_MS,
    // What throws here ends the connection.
    onConnect: async (client) => {
      clients.add(client as pg.Client);
      client.once('end', () => clients.delete(client as pg.Client));
      if (pgbouncer) await client.query(wanted.map(([name, value]) => `set ${name} = '${value}'`).join('; '));
      if (primaryOnly) await refuseStandby(client);
    },
  });
  pool.on('error', onError);
  pool.on('connect', (client) => client.on('error', onError));

  async function checkOut(): Promise<WatchedPoolClient> {
    try {
      return (await pool.connect()) as WatchedPoolClient;
    } catch (error) {
      throw toFault(error, false);
    }
  }

  async function withClient<T>(work: (client: WatchedPoolClient) => Promise<T>): Promise<T> {
    const client = await checkOut();
    try {
      return await work(client);
    } catch (error) {
      throw client.judge(error);
    } finally {
      client.release(!isReusable(client));
    }
  }

  const batch = (statements: readonly BatchStatement[]) => withClient((client) => client.batch(statements));
  const execute = async (text: string, values: readonly unknown[]) => (await batch([{ text, values }]))[0]!;

  async function connect(): Promise<PostgresPoolClient> {
    const client = await checkOut();
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
  }

  const load = (): PoolLoad => ({
    busy: pool.totalCount - pool.idleCount,
    idle: pool.idleCount,
    waiting: pool.waitingCount,
  });
  let ended: Promise<void> | undefined;
  const end = (): Promise<void> => {
    ended ??= pool.end();
    return ended;
  };
  const abandon = (): void => {
    void end();
    for (const client of clients) client.connection.stream.destroy();
  };
  return { options: pool.options, connect, execute, batch, end, load, abandon } as StatementPool;
}

/** A primary becomes a standby by a restart alone, so one look at each connection is enough. */
async function refuseStandby(client: pg.ClientBase): Promise<void> {
  const { rows } = await client.query('select pg_is_in_recovery() as standby');
  if (rows[0].standby) throw new Error('the database is a standby');
}

type WatchedPoolClient = pg.PoolClient & WatchedClient & { getTransactionStatus(): string | null };

/** A client in an open or broken transaction, or one that is to end, must not reach the next caller. */
function isReusable(client: WatchedPoolClient): boolean {
  // 'I' is idle; 'T' and 'E' are inside a transaction.
  return !client.mustEnd && client.getTransactionStatus() === 'I';
}
