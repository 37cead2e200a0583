/** What a failed statement means: one table from SQLSTATE and connection errors to the few things a caller can do about it. */

/**
 * - outage: the database is out of reach; nothing was done.
 * - lost: the connection died after the work was sent; whether it was done is unknown.
 * - conflict: the transaction was chosen as the victim of a conflict; the whole of it may run again.
 * - full: the disk is full or the database is read-only; reading goes on.
 * - unique: a unique constraint was met.
 * - foreignKey: the row that was referred to is gone.
 * - timeout: the server gave up waiting; the statement was rolled back.
 * - staleStatement: a prepared statement no longer fits its tables.
 * - unexpected: anything else.
 */
export const FAULT_KINDS = [
  'outage',
  'lost',
  'conflict',
  'full',
  'unique',
  'foreignKey',
  'timeout',
  'staleStatement',
  'unexpected',
] as const;
/** One of them. */
export type FaultKind = (typeof FAULT_KINDS)[number];

/** A statement or transaction that failed. Its message names the state, never a value. */
export class DatabaseFault extends Error {
  readonly kind: FaultKind;
  /** Five characters, or undefined for an error of the connection. */
  readonly sqlState: string | undefined;
  /** The constraint that was met, with unique and foreignKey. */
  readonly constraint: string | undefined;

  constructor(kind: FaultKind, options: { sqlState?: string; constraint?: string; cause?: unknown } = {}) {
    super(`database: ${kind}${options.sqlState === undefined ? '' : ` (SQLSTATE ${options.sqlState})`}`, {
      cause: options.cause,
    });
    this.name = 'DatabaseFault';
    this.kind = kind;
    this.sqlState = options.sqlState;
    this.constraint = options.constraint;
  }
}

/** SQLSTATE to kind (PostgreSQL's Appendix A). A class of two characters stands for the states that have no row. */
export const SQLSTATE_TABLE: ReadonlyMap<string, FaultKind> = new Map([
  ['40001', 'conflict'], // serialization_failure
  ['40P01', 'conflict'], // deadlock_detected
  ['40003', 'lost'], // statement_completion_unknown
  ['53100', 'full'], // disk_full
  ['25006', 'full'], // read_only_sql_transaction
  ['23505', 'unique'],
  ['23503', 'foreignKey'],
  ['57014', 'timeout'], // query_canceled, by statement_timeout
  ['55P03', 'timeout'], // lock_not_available, by lock_timeout
  ['25P03', 'timeout'], // idle_in_transaction_session_timeout
  ['25P04', 'timeout'], // transaction_timeout
  ['0A000', 'staleStatement'], // cached plan must not change result type
  ['26000', 'staleStatement'], // the prepared statement does not exist
  ['57P01', 'lost'], // admin_shutdown
  ['57P02', 'lost'], // crash_shutdown
  ['57P05', 'lost'], // idle_session_timeout, which may meet a statement on its way
  ['57P03', 'outage'], // cannot_connect_now
  ['53300', 'outage'], // too_many_connections
  ['08', 'lost'], // connection exceptions
  ['53', 'outage'], // insufficient resources
]);

/** SQLSTATE undefined_table and undefined_column. */
const FOREIGN_SCHEMA: ReadonlySet<string | undefined> = new Set(['42P01', '42703']);

/** Whether a statement failed for want of this version's tables. */
export const isForeignSchemaError = (error: unknown): boolean =>
  error instanceof DatabaseFault && FOREIGN_SCHEMA.has(error.sqlState);

/** What an error of the driver means, for work that was `sent` or for a connection that was still being made. */
export function toFault(error: unknown, sent: boolean): DatabaseFault {
  if (error instanceof DatabaseFault) return error;
  const { code, constraint } = error as { code?: unknown; constraint?: string };
  const isState = typeof code === 'string' && /^[0-9A-Z]{5}$/.test(code) && !code.startsWith('E');
  if (isState) {
    // Whatever kept a connection from being made, nothing was done.
    const found = SQLSTATE_TABLE.get(code) ?? SQLSTATE_TABLE.get(code.slice(0, 2)) ?? 'unexpected';
    return new DatabaseFault(sent ? found : 'outage', {
      sqlState: code,
      cause: error,
      ...(constraint === undefined ? {} : { constraint }),
    });
  }
  if (!sent) return new DatabaseFault('outage', { cause: error });
  return new DatabaseFault(isConnectionError(error) ? 'lost' : 'unexpected', { cause: error });
}

/** Errors of the socket carry the system's code; those that the driver makes itself carry a text alone. */
function isConnectionError(error: unknown): boolean {
  const { code, message } = error as { code?: unknown; message?: unknown };
  if (typeof code === 'string' && /^E[A-Z]+$/.test(code)) return true;
  return (
    typeof message === 'string' &&
    /connection terminated|connection error|not queryable|client was closed/i.test(message)
  );
}
