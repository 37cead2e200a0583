/**
 * Statements that travel to PostgreSQL together and run in one transaction: their messages are followed by one Sync, which
 * commits (PostgreSQL's documentation, "Pipelining" in the chapter on the protocol). Each sees what was committed before it
 * began, as in any transaction under READ COMMITTED. So a lock, and what is decided under it, take one round trip.
 *
 * A statement that a connection knows is bound and executed, and its columns are not asked for again: a third of what the
 * driver costs. PostgreSQL refuses to run a prepared statement whose columns have changed (SQLSTATE 0A000).
 */
import type pg from 'pg';
import { prepareValue } from 'pg/lib/utils.js';

/** A statement with its parameters. */
export interface BatchStatement {
  readonly text: string;
  readonly values: readonly unknown[];
}

/** How a connection reads the values of one column. */
interface Column {
  readonly name: string;
  readonly read: (text: string) => unknown;
}

/** A statement of a connection: its name there, and its columns once it has been answered. */
export interface PreparedStatement {
  /** Empty: prepared for one time alone. */
  readonly name: string;
  readonly text: string;
  columns: readonly Column[] | undefined;
}

/** A statement as it is sent. */
export interface BoundStatement {
  readonly prepared: PreparedStatement;
  readonly values: readonly unknown[];
}

/** Rows by column, as pg reads them. */
export type Rows = { readonly rows: Record<string, unknown>[] };

/** Done when all is committed or nothing is; `done` gets the rows of each statement. */
export class StatementBatch implements pg.Submittable {
  readonly #statements: readonly BoundStatement[];
  readonly #client: Pick<pg.ClientBase, 'getTypeParser'>;
  readonly #done: (error: Error | undefined, results: readonly Rows[]) => void;
  readonly #results: Rows[] = [];
  #rows: Record<string, unknown>[] = [];

  constructor(
    statements: readonly BoundStatement[],
    client: Pick<pg.ClientBase, 'getTypeParser'>,
    done: (error: Error | undefined, results: readonly Rows[]) => void,
  ) {
    this.#statements = statements;
    this.#client = client;
    this.#done = done;
  }

  submit(connection: pg.Connection): void {
    connection.stream.cork();
    for (const { prepared, values } of this.#statements) {
      const { name, text, columns } = prepared;
      if (columns === undefined) {
        // It may be there from a time when it failed; to close what is not there is no error.
        if (name !== '') connection.close({ type: 'S', name }, true);
        connection.parse({ name, text, types: [] }, true);
      }
      connection.bind({ statement: name, values: values.map((value) => prepareValue(value)) }, true);
      if (columns === undefined) connection.describe({ type: 'P' }, true);
      connection.execute(null, true);
    }
    connection.sync();
    connection.stream.uncork();
  }

  /** What follows are pg's calls with the messages that it has read. */
  handleRowDescription({ fields }: { fields: readonly pg.FieldDef[] }): void {
    this.#current.columns = fields.map(({ name, dataTypeID }) => ({
      name,
      read: this.#client.getTypeParser(dataTypeID, 'text'),
    }));
  }

  handleDataRow({ fields }: { fields: readonly (string | null)[] }): void {
    const columns = this.#current.columns!;
    const row: Record<string, unknown> = {};
    for (let index = 0; index < fields.length; index += 1) {
      const { name, read } = columns[index]!;
      const value = fields[index]!;
      row[name] = value === null ? null : read(value);
    }
    this.#rows.push(row);
  }

  handleCommandComplete(): void {
    this.#current.columns ??= [];
    this.#results.push({ rows: this.#rows });
    this.#rows = [];
  }

  handleEmptyQuery(): void {
    this.handleCommandComplete();
  }

  handleReadyForQuery(): void {
    this.#done(undefined, this.#results);
  }

  handleError(error: Error): void {
    this.#done(error, []);
  }

  get #current(): PreparedStatement {
    return this.#statements[this.#results.length]!.prepared;
  }
}
