/** What the floor of sealed calls runs on. */
import type pg from 'pg';

export interface BareServerOptions {
  readonly connection: pg.ClientConfig;
  /** Keys of 32 bytes in hexadecimal by session id. */
  readonly sessions: Record<string, { readonly clientToServer: string; readonly serverToClient: string }>;
}

/** What the statements need. Two tables like the server's, with the columns that they touch. */
export const BARE_TABLES = `
create table if not exists bare_sessions (id uuid primary key, highest bigint not null, request_window bigint not null,
  request_count bigint not null, last_used_at timestamptz not null) with (fillfactor = 50);
create table if not exists bare_users (id uuid primary key, revision bigint not null, entry_count int not null) with (fillfactor = 80);
create table if not exists bare_entries (user_id uuid, entry_id uuid, entry_name bytea, entry_data bytea, revision bigint,
  created_at timestamptz, updated_at timestamptz, primary key (user_id, entry_id));
create index if not exists bare_entries_revision on bare_entries (user_id, revision)`;
