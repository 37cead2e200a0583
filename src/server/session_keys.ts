/** The keys of sessions, cached in memory. The cache saves reading and deriving; whether a session lives, only SQL says. */
import { createSecretKey, type KeyObject } from 'node:crypto';
import type { ColumnSealer } from '../database/column_sealer.ts';
import type { Executor } from '../database/database.ts';
import { SESSION_KEY } from '../database/gate_statements.ts';
import { sessionRowId } from '../database/sealed_columns.ts';
import { deriveSessionKeys } from '../protocol/keys.ts';

/** What a session may do: 1 login, 2 password change. As in the column and in the contract's SessionKind. */
export const SESSION_KIND_LOGIN = 1;
export const SESSION_KIND_PASSWORD_CHANGE = 2;

/** A session as far as it never changes. */
export interface SessionKeySet {
  readonly sessionId: string;
  readonly userId: string;
  readonly kind: number;
  /** AES-256 key of requests. */
  readonly clientToServer: KeyObject;
  /** AES-256 key of responses. */
  readonly serverToClient: KeyObject;
}

/** Derives a session's key set from K (32 bytes). */
export function sessionKeySet(
  session: { sessionId: string; userId: string; kind: number },
  sessionKey: Uint8Array,
): SessionKeySet {
  const { clientToServer, serverToClient } = deriveSessionKeys(sessionKey);
  return {
    ...session,
    clientToServer: createSecretKey(clientToServer),
    serverToClient: createSecretKey(serverToClient),
  };
}

/** Finds key sets by session id, least recently used out first. */
export class SessionKeys {
  readonly #database: Executor;
  readonly #sealer: ColumnSealer;
  readonly #capacity: number;
  readonly #cache = new Map<string, SessionKeySet>();

  /** `capacity`: how many key sets are kept, about 1 KB each. */
  constructor(database: Executor, sealer: ColumnSealer, capacity = 10_000) {
    this.#database = database;
    this.#sealer = sealer;
    this.#capacity = capacity;
  }

  /** The key set of a session that is in the cache. */
  known(sessionId: string): SessionKeySet | undefined {
    const cached = this.#cache.get(sessionId);
    if (cached === undefined) return undefined;
    this.#cache.delete(sessionId);
    this.#cache.set(sessionId, cached);
    return cached;
  }

  /** The key set of a session, or undefined where there is no such session. `sessionId` is a lower-case UUID. */
  async find(sessionId: string): Promise<SessionKeySet | undefined> {
    const cached = this.known(sessionId);
    if (cached !== undefined) return cached;
    const { rows } = await this.#database.execute(SESSION_KEY, [sessionId]);
    const row = rows[0] as { user_id: string; kind: number; session_key: Buffer } | undefined;
    if (row === undefined) return undefined;
    const session = { sessionId, userId: row.user_id, kind: row.kind };
    const sessionKey = this.#sealer.open(
      'login_sessions',
      'session_key',
      sessionRowId(session),
      row.session_key,
    );
    const keySet = sessionKeySet(session, sessionKey);
    sessionKey.fill(0);
    this.#cache.set(sessionId, keySet);
    if (this.#cache.size > this.#capacity) {
      const oldest = this.#cache.keys().next();
      if (!oldest.done) this.#cache.delete(oldest.value);
    }
    return keySet;
  }

  /** Drops the key set of a session that is known to be gone. */
  forget(sessionId: string): void {
    this.#cache.delete(sessionId);
  }
}
