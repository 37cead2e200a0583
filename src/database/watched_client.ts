/** A pg Client that remembers whether it is of any use to the next caller. */
import pg from 'pg';
import { type DatabaseFault, toFault } from './sqlstate.ts';
import { type BatchStatement, type PreparedStatement, type Rows, StatementBatch } from './statement_batch.ts';

/** Ends the connection with the transaction (PostgreSQL 17). */
const TRANSACTION_TIMEOUT = '25P04';

/** Takes the place of pg’s client in a pool, and tells it what not to use again. */
export class WatchedClient extends pg.Client {
  /**
   * Whether the connection is to be ended: a statement no longer fits its tables, as after a migration, or the server said
   * that it ends, which the socket may show only later.
   */
  mustEnd = false;

  // biome-ignore lint/suspicious/noExplicitAny: pg's query has a dozen overloads; this one narrows none of them.
  override query(...parameters: any[]): any {
    const result = (super.query as (...all: unknown[]) => unknown).apply(this, parameters);
    if (result instanceof Promise) result.catch((error: unknown) => this.judge(error));
    return result;
  }

  /**
   * Statements in one transaction and one round trip, and the rows of each of them. The caller hands a failure to `judge`: no
   * second promise watches it.
   */
  batch(statements: readonly BatchStatement[]): Promise<readonly Rows[]> {
    const bound = statements.map(({ text, values }) => ({
      prepared: this.prepared(text, values.length > 0),
      values,
    }));
    return new Promise((resolve, reject) => {
      super.query(
        new StatementBatch(bound, this, (error, results) => {
          if (error === undefined) resolve(results);
          else reject(error);
        }),
      );
    });
  }

  /** The statement as this connection knows it. Here it knows none. */
  protected prepared(text: string, _hasParameters: boolean): PreparedStatement {
    return { name: '', text, columns: undefined };
  }

  /** By the state and not by the severity, which is in the server's language. The error as a fault. */
  judge(error: unknown): DatabaseFault {
    const fault = toFault(error, true);
    const { kind, sqlState } = fault;
    if (kind === 'lost' || kind === 'staleStatement' || sqlState === TRANSACTION_TIMEOUT) this.mustEnd = true;
    return fault;
  }
}
