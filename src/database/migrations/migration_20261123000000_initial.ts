import { Migration } from '@mikro-orm/migrations';

/**
 * The first schema. A sealed column holds its plaintext, the 28 bytes of a seal and a few that name the key: at most 64
 * more in all. Entries are bounded by what the settings allow at most.
 */
export class Migration20261123000000Initial extends Migration {
  override up(): void {
    this.addSql(`create table users (
      id uuid primary key,
      username_lookup bytea not null constraint users_username_lookup_unique unique check (octet_length(username_lookup) = 32),
      srp_salt bytea not null check (octet_length(srp_salt) between 60 and 96),
      srp_verifier bytea not null check (octet_length(srp_verifier) between 540 and 576),
      master_key_salt bytea not null check (octet_length(master_key_salt) between 60 and 96),
      encrypted_vault_header bytea not null check (octet_length(encrypted_vault_header) between 58 and 16448),
      kdf_algorithm int not null,
      kdf_memory_kib int not null,
      kdf_iterations int not null,
      kdf_parallelism int not null,
      credential_generation bigint not null default 0,
      history_id bytea not null check (octet_length(history_id) = 16),
      revision bigint not null default 0 check (revision >= 0),
      entry_count int not null default 0 check (entry_count >= 0),
      tombstones_purged_at timestamptz,
      change_session_id uuid,
      change_begun_by uuid,
      change_opened_at timestamptz,
      change_expires_at timestamptz,
      change_remaining_entries int check (change_remaining_entries >= 0),
      new_srp_salt bytea check (octet_length(new_srp_salt) between 60 and 96),
      new_srp_verifier bytea check (octet_length(new_srp_verifier) between 540 and 576),
      new_master_key_salt bytea check (octet_length(new_master_key_salt) between 60 and 96),
      new_encrypted_vault_header bytea check (octet_length(new_encrypted_vault_header) between 58 and 16448),
      new_kdf_algorithm int,
      new_kdf_memory_kib int,
      new_kdf_iterations int,
      new_kdf_parallelism int,
      new_eph_private_b bytea check (octet_length(new_eph_private_b) between 68 and 104),
      new_eph_public_b bytea check (octet_length(new_eph_public_b) = 512),
      created_at timestamptz not null default now(),
      constraint users_change_is_whole check (
        num_nulls(change_session_id, change_begun_by, change_opened_at, change_expires_at, change_remaining_entries,
          new_srp_salt, new_srp_verifier, new_master_key_salt, new_encrypted_vault_header, new_kdf_algorithm,
          new_kdf_memory_kib, new_kdf_iterations, new_kdf_parallelism, new_eph_private_b, new_eph_public_b) in (0, 15)
      )
    ) with (fillfactor = 80)`);
    this.addSql('create index users_open_change_index on users (id) where change_session_id is not null');

    this.addSql(`create table auth_ephemerals (
      id uuid primary key,
      user_id uuid constraint auth_ephemerals_user_id_foreign references users (id) on delete cascade,
      username_lookup bytea not null check (octet_length(username_lookup) = 32),
      credential_generation bigint not null,
      client_protocol bigint not null check (client_protocol >= 0),
      server_protocol int not null check (server_protocol >= 0),
      kind smallint not null check (kind in (1, 2)),
      eph_private_b bytea not null check (octet_length(eph_private_b) between 68 and 104),
      eph_public_b bytea not null check (octet_length(eph_public_b) = 512),
      begun_by_session uuid,
      new_srp_salt bytea check (octet_length(new_srp_salt) between 60 and 96),
      new_srp_verifier bytea check (octet_length(new_srp_verifier) between 540 and 576),
      new_master_key_salt bytea check (octet_length(new_master_key_salt) between 60 and 96),
      new_encrypted_vault_header bytea check (octet_length(new_encrypted_vault_header) between 58 and 16448),
      new_kdf_algorithm int,
      new_kdf_memory_kib int,
      new_kdf_iterations int,
      new_kdf_parallelism int,
      new_eph_private_b bytea check (octet_length(new_eph_private_b) between 68 and 104),
      new_eph_public_b bytea check (octet_length(new_eph_public_b) = 512),
      expires_at timestamptz not null,
      created_at timestamptz not null default now(),
      constraint auth_ephemerals_kind_is_whole check (
        num_nulls(begun_by_session, new_srp_salt, new_srp_verifier, new_master_key_salt, new_encrypted_vault_header,
          new_kdf_algorithm, new_kdf_memory_kib, new_kdf_iterations, new_kdf_parallelism, new_eph_private_b,
          new_eph_public_b) = case kind when 1 then 11 else 0 end
      )
    )`);
    this.addSql('create index auth_ephemerals_user_id_index on auth_ephemerals (user_id)');
    this.addSql('create index auth_ephemerals_expires_at_index on auth_ephemerals (expires_at)');

    // Every sealed call updates its session's row: room for versions on the page, no index on what changes, and an
    // autovacuum that looks often.
    this.addSql(`create table login_sessions (
      id uuid primary key,
      user_id uuid not null constraint login_sessions_user_id_foreign references users (id) on delete cascade,
      session_key bytea not null check (octet_length(session_key) between 60 and 96),
      kind smallint not null check (kind in (1, 2)),
      highest_request_number bigint not null default -1 check (highest_request_number between -1 and 9007199254740991),
      request_window bigint not null default 0,
      request_count bigint not null default 0,
      maximum_requests bigint check (maximum_requests > 0),
      expires_at timestamptz,
      last_used_at timestamptz not null default now(),
      created_at timestamptz not null default now()
    ) with (fillfactor = 50, autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_threshold = 200)`);
    this.addSql('create index login_sessions_user_id_index on login_sessions (user_id)');
    this.addSql(
      'create index login_sessions_expires_at_index on login_sessions (expires_at) where expires_at is not null',
    );

    this.addSql(`create table secure_data (
      user_id uuid not null constraint secure_data_user_id_foreign references users (id) on delete cascade,
      entry_id uuid not null,
      entry_name bytea check (octet_length(entry_name) between 30 and 65565),
      entry_data bytea check (octet_length(entry_data) between 30 and 1048605),
      new_entry_name bytea check (octet_length(new_entry_name) between 30 and 65565),
      new_entry_data bytea check (octet_length(new_entry_data) between 30 and 1048605),
      new_change_session_id uuid,
      revision bigint not null check (revision > 0),
      created_at timestamptz not null default now(),
      updated_at timestamptz not null default now(),
      primary key (user_id, entry_id),
      constraint secure_data_entry_is_whole check (num_nulls(entry_name, entry_data) in (0, 2)),
      constraint secure_data_new_bytes_are_whole check (
        num_nulls(new_entry_name, new_entry_data, new_change_session_id) in (0, 3)
      )
    ) with (fillfactor = 90)`);
    // Ciphertext does not compress.
    for (const column of ['entry_name', 'entry_data', 'new_entry_name', 'new_entry_data']) {
      this.addSql(`alter table secure_data alter column ${column} set storage external`);
    }
    this.addSql('create index secure_data_user_id_revision_index on secure_data (user_id, revision)');
    this.addSql(
      'create index secure_data_tombstones_index on secure_data (updated_at) where entry_name is null',
    );

    this.addSql(`create table invites (
      code_hash bytea primary key check (octet_length(code_hash) = 32),
      created_at timestamptz not null default now(),
      expires_at timestamptz,
      used_by bytea check (octet_length(used_by) = 32),
      used_at timestamptz,
      constraint invites_use_is_whole check (num_nulls(used_by, used_at) in (0, 2))
    )`);

    this.addSql(`create table server_keys (
      id int primary key,
      purpose smallint not null check (purpose in (1, 2)),
      key_file_slot bytea not null,
      recovery_slot bytea,
      canary bytea not null,
      state smallint not null check (state in (1, 2)),
      created_at timestamptz not null default now()
    )`);
  }

  override down(): void {
    throw new Error('there is nothing below the first schema');
  }
}
