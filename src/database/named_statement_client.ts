/** A client that prepares every parameterised statement by name, so that PostgreSQL parses and plans it once a connection. */
import { createHash } from 'node:crypto';
import type pg from 'pg';
import type { BatchStatement } from './statement_batch.ts';
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
  /** Names of what batches have prepared; pg keeps those of single statements. */
  readonly #prepared = new Set<string>();

  override statement(text: string, values: unknown[]): Promise<pg.QueryResult> {
    return super.statement(text, values, values.length === 0 ? undefined : statementName(text));
  }

  override async batch(statements: readonly BatchStatement[]): Promise<pg.QueryResult[]> {
    const named = statements.map((statement) => {
      const name = `b${statementName(statement.text)}`;
      const isPrepared = this.#prepared.has(name);
      this.#prepared.add(name);
      return { ...statement, name, isPrepared };
    });
    try {
      return await this.sendBatch(named);
    } catch (error) {
      // Nobody says which of them were prepared before one failed.
      if (named.some(({ isPrepared }) => !isPrepared)) this.mustEnd = true;
      throw error;
    }
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
