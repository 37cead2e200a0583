/** A password change as SQL. All of it runs in transactions that hold the account's lock. */
import { ENTRY, FITTING_ENTRIES } from './entry_statements.ts';
import { ATTEMPT_ALIVE, CHANGE_IDLE_SECONDS } from './gate_statements.ts';
import { ATTEMPT_SECONDS, CREDENTIALS } from './user_statements.ts';

/** The current credentials. $1 user id. */
export const CURRENT_CREDENTIALS = `select ${CREDENTIALS} from users where id = $1`;

const NEW_CREDENTIALS = `new_srp_salt, new_srp_verifier, new_master_key_salt, new_encrypted_vault_header,
  new_kdf_algorithm, new_kdf_memory_kib, new_kdf_iterations, new_kdf_parallelism`;

/** Drops the pending starts of a session. $1 user id, $2 session id. */
export const DELETE_STARTS =
  'delete from auth_ephemerals where user_id = $1 and begun_by_session = $2 and kind = 2';

/**
 * Keeps a start. $1 id, $2 user id, $3 session id, $4 generation, $5 sealed b, $6 B, $7 sealed b and $8 B of the new
 * verifier, $9–$16 new credentials. The protocol numbers of a change are 0.
 */
export const INSERT_START = `insert into auth_ephemerals (id, user_id, username_lookup, begun_by_session,
  credential_generation, client_protocol, server_protocol, kind, eph_private_b, eph_public_b, new_eph_private_b,
  new_eph_public_b, ${NEW_CREDENTIALS}, expires_at)
select $1::uuid, id, username_lookup, $3::uuid, $4::bigint, 0, 0, 2, $5::bytea, $6::bytea, $7::bytea, $8::bytea,
  $9::bytea, $10::bytea, $11::bytea, $12::bytea, $13::int, $14::int, $15::int, $16::int,
  clock_timestamp() + interval '${ATTEMPT_SECONDS} seconds'
from users where id = $2`;

/** Consumes a start of this session. $1 id, $2 user id, $3 session id. */
export const CONSUME_START = `delete from auth_ephemerals
where id = $1 and user_id = $2 and begun_by_session = $3 and kind = 2
returning credential_generation, eph_private_b, eph_public_b, new_eph_private_b, new_eph_public_b, ${NEW_CREDENTIALS},
  ${ATTEMPT_ALIVE} as alive`;

/** Ends the sessions of a change. $1 user id. */
export const DELETE_CHANGE_SESSIONS =
  'delete from login_sessions where user_id = $1 and kind = 2 returning id';

/** Opens the session of a change; its expiry stands in the user's row. $1 id, $2 user id, $3 sealed K, $4 maximum of requests. */
export const INSERT_CHANGE_SESSION = `insert into login_sessions
  (id, user_id, session_key, kind, maximum_requests, expires_at, last_used_at, created_at)
values ($1, $2, $3, 2, $4, null, clock_timestamp(), clock_timestamp())`;

/**
 * Opens a change. $1 user id, $2 change session, $3 session that began it, $4 entries to update, $5 sealed b and $6 B of
 * the new verifier, $7–$14 new credentials.
 */
export const OPEN_CHANGE = `update users set change_session_id = $2, change_begun_by = $3,
  change_opened_at = clock_timestamp(), change_expires_at = clock_timestamp() + interval '${CHANGE_IDLE_SECONDS} seconds',
  change_remaining_entries = $4, new_eph_private_b = $5, new_eph_public_b = $6, new_srp_salt = $7, new_srp_verifier = $8,
  new_master_key_salt = $9, new_encrypted_vault_header = $10, new_kdf_algorithm = $11, new_kdf_memory_kib = $12,
  new_kdf_iterations = $13, new_kdf_parallelism = $14
where id = $1`;

/** The ids of all live entries. $1 user id. */
export const LIVE_ENTRY_IDS = `select entry_id from secure_data where user_id = $1 and entry_name is not null order by entry_id`;

/** One live entry with its old bytes. $1 user id, $2 entry id. */
export const GET_OLD_ENTRY = `select ${ENTRY} from secure_data e
where e.user_id = $1 and e.entry_id = $2 and e.entry_name is not null`;

/** Live entries with their old bytes, in request order, as many as fit into one message. $1 user id, $2 ids. */
export const BATCH_GET_OLD_ENTRIES = `with wanted as (
  select asked.position, ${ENTRY} from unnest($2::uuid[]) with ordinality as asked(entry_id, position)
  join secure_data e on e.user_id = $1 and e.entry_id = asked.entry_id and e.entry_name is not null
), ${FITTING_ENTRIES} select * from result`;

/** How entries stand to their new bytes, in request order. $1 user id, $2 change session, $3 ids, $4 names, $5 data. */
export const NEW_BYTES_STATE = `select e.entry_id is not null as known,
  coalesce(e.new_change_session_id = $2::uuid, false) as updated,
  coalesce(e.new_entry_name = a.entry_name and e.new_entry_data = a.entry_data, false) as same
from unnest($3::uuid[], $4::bytea[], $5::bytea[]) with ordinality as a(entry_id, entry_name, entry_data, position)
left join secure_data e on e.user_id = $1 and e.entry_id = a.entry_id and e.entry_name is not null
order by a.position`;

/** Keeps new bytes beside the old ones. $1 user id, $2 change session, $3 ids, $4 names, $5 data. */
export const WRITE_NEW_BYTES = `update secure_data as e
set new_entry_name = a.entry_name, new_entry_data = a.entry_data, new_change_session_id = $2
from unnest($3::uuid[], $4::bytea[], $5::bytea[]) as a(entry_id, entry_name, entry_data)
where e.user_id = $1 and e.entry_id = a.entry_id`;

/** Counts down what is left to update. $1 user id, $2 how many were updated. Row: change_remaining_entries. */
export const COUNT_UPDATED = `update users set change_remaining_entries = change_remaining_entries - $2::int
where id = $1 returning change_remaining_entries`;

/** What a commit verifies the new password with. $1 user id. */
export const PENDING_CREDENTIALS = `select new_eph_private_b, new_eph_public_b, ${NEW_CREDENTIALS} from users where id = $1`;

/** Whether an entry misses its new bytes. $1 user id, $2 change session. */
export const ENTRIES_INCOMPLETE = `select exists (
  select from secure_data where user_id = $1 and entry_name is not null and new_change_session_id is distinct from $2
) as incomplete`;

/** Puts the new bytes of every live entry in force, each with a revision of its own. $1 user id, $2 the revision before. */
export const COMMIT_ENTRIES = `update secure_data as e
set entry_name = e.new_entry_name, entry_data = e.new_entry_data, new_entry_name = null, new_entry_data = null,
  new_change_session_id = null, revision = $2::bigint + o.ordinal, updated_at = clock_timestamp()
from (
  select entry_id, row_number() over (order by revision, entry_id) as ordinal
  from secure_data where user_id = $1 and entry_name is not null
) o
where e.user_id = $1 and e.entry_id = o.entry_id
returning e.entry_id`;

/** Assignments that leave no password change open in a user's row. */
export const NO_CHANGE = `change_session_id = null, change_begun_by = null, change_opened_at = null, change_expires_at = null,
  change_remaining_entries = null, new_eph_private_b = null, new_eph_public_b = null, new_srp_salt = null,
  new_srp_verifier = null, new_master_key_salt = null, new_encrypted_vault_header = null, new_kdf_algorithm = null,
  new_kdf_memory_kib = null, new_kdf_iterations = null, new_kdf_parallelism = null`;

/** Puts new credentials in force and ends the change. $1 user id, $2 how many revisions, $3–$10 credentials. */
export const COMMIT_CREDENTIALS = `update users set revision = revision + $2::bigint,
  credential_generation = credential_generation + 1, srp_salt = $3, srp_verifier = $4, master_key_salt = $5,
  encrypted_vault_header = $6, kdf_algorithm = $7, kdf_memory_kib = $8, kdf_iterations = $9, kdf_parallelism = $10,
  ${NO_CHANGE}
where id = $1`;

/** Ends a change without a trace in the user's row. $1 user id. */
export const CLOSE_CHANGE = `update users set ${NO_CHANGE} where id = $1`;

/** Drops new bytes of whatever change. $1 user id. */
export const DROP_NEW_BYTES = `update secure_data
set new_entry_name = null, new_entry_data = null, new_change_session_id = null
where user_id = $1 and new_change_session_id is not null`;

/** Whether a session was opened after the change. $1 session id, $2 user id. */
export const OPENED_AFTER_CHANGE = `select s.created_at > u.change_opened_at as after_change
from login_sessions s join users u on u.id = s.user_id where s.id = $1 and s.user_id = $2`;
