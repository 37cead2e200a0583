/** A client that prepares every parameterised statement by name, so that PostgreSQL parses and plans it once a connection. */
import { createHash } from 'node:crypto';
import type { PreparedStatement } from './statement_batch.ts';
import { WatchedClient } from './watched_client.ts';

/** Names by text; the program has a fixed number of texts. */
const names = new Map<string, string>();

/** `s` and 40 hex digits of the text's SHA-256: PostgreSQL cuts names at 63 bytes, and texts are longer. */
export function statementName(text: string): string {
  const known = names.get(text);
  if (known !== undefined) return known;
  const name = `s${createHash('sha256').update(text).digest('hex').slice(0, 40)}`;
  names.set(text, name);
  return name;
}

/** Takes the place of pg’s client in a pool. */
export class NamedStatementClient extends WatchedClient {
  /** Statements of batches by text; pg keeps those of `query`, under other names. */
  readonly #prepared = new Map<string, PreparedStatement>();

  protected override prepared(text: string, hasParameters: boolean): PreparedStatement {
    if (!hasParameters) return super.prepared(text, hasParameters);
    let prepared = this.#prepared.get(text);
    if (prepared === undefined) {
      prepared = { name: `b${statementName(text)}`, text, columns: undefined };
      this.#prepared.set(text, prepared);
    }
    return prepared;
  }

  // biome-ignore lint/suspicious/noExplicitAny: pg's query has a dozen overloads; this one narrows none of them.
  override query(...parameters: any[]): any {
    const [text, values] = parameters;
    if (typeof text === 'string' && Array.isArray(values) && values.length > 0) {
      return super.query({ name: statementName(text), text, values });
    }
    return super.query(...parameters);
  }
}
