/**
 * Some statements that travel to PostgreSQL together and run in one transaction: their messages are followed by one Sync,
 * which commits (PostgreSQL's documentation, "Pipelining" in the chapter on the protocol). Each sees what was committed
 * before it began, as in any transaction under READ COMMITTED. So a lock, and what is decided under it, take one round trip.
 */
import pg from 'pg';

/** What a parameter of a batch may be. */
export type BatchValue = string | number | bigint | Uint8Array | null;

/** A statement with its parameters. */
export interface BatchStatement {
  readonly text: string;
  readonly values: readonly BatchValue[];
}

/** A statement as it is sent. */
export interface NamedStatement extends BatchStatement {
  /** Empty: prepared for this time alone. */
  readonly name: string;
  /** Whether the connection has prepared it by its name. */
  readonly isPrepared: boolean;
}

/** Done when all is committed or nothing is; `callback` gets a result for each of at least two statements. */
export class StatementBatch extends pg.Query {
  constructor(
    statements: readonly NamedStatement[],
    callback: (error: Error | undefined, results: pg.QueryResult[]) => void,
  ) {
    super({ text: '' }, callback as never);
    this.submit = (connection) => {
      connection.stream.cork();
      for (const { name, text, values, isPrepared } of statements) {
        if (!isPrepared) connection.parse({ name, text, types: [] }, true);
        connection.bind({ statement: name, values: values.map(asSent) }, true);
        connection.describe({ type: 'P' }, true);
        connection.execute(null, true);
      }
      connection.sync();
      connection.stream.uncork();
    };
  }
}

/** A value as pg sends it: bytes as they are, all else as text. */
function asSent(value: BatchValue): Buffer | string | null {
  if (value === null) return null;
  if (value instanceof Uint8Array) return Buffer.from(value.buffer, value.byteOffset, value.byteLength);
  return `${value}`;
}
