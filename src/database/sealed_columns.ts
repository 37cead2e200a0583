/** Which columns hold sealed values, and what names their row in the seal. */
import type { Row } from './database.ts';

/** A table with sealed columns. */
export interface SealedTable {
  readonly table: string;
  /** Sealed columns, and those that `rowId` reads. */
  readonly columns: readonly string[];
  readonly named: readonly string[];
  rowId(row: Row): string;
}

/** Names a session's row: what is moved to another user or kind does not open. */
export function sessionRowId(session: { sessionId: string; userId: string; kind: number }): string {
  return `${session.sessionId} ${session.userId} ${session.kind}`;
}

const CREDENTIALS = ['srp_salt', 'srp_verifier', 'master_key_salt', 'encrypted_vault_header'];
const NEW_CREDENTIALS = [...CREDENTIALS.map((column) => `new_${column}`), 'new_eph_private_b'];

/** Every table with sealed columns. */
export const SEALED_TABLES: readonly SealedTable[] = [
  {
    table: 'users',
    columns: [...CREDENTIALS, ...NEW_CREDENTIALS],
    named: ['id'],
    rowId: ({ id }) => id as string,
  },
  {
    table: 'auth_ephemerals',
    columns: ['eph_private_b', ...NEW_CREDENTIALS],
    named: ['id'],
    rowId: ({ id }) => id as string,
  },
  {
    table: 'login_sessions',
    columns: ['session_key'],
    named: ['id', 'user_id', 'kind'],
    rowId: ({ id, user_id, kind }) =>
      sessionRowId({ sessionId: id as string, userId: user_id as string, kind: kind as number }),
  },
];
