/**
 * Clean-up, by now(), which an index can be asked for. Nothing depends on when it runs: what has expired is decided where
 * it is used. Rows that another replica is cleaning are left to it. Every statement takes at most $1 rows and answers
 * those that it cleaned.
 */
import { UNLIMITED_REQUESTS } from './gate_statements.ts';

/** Drops attempts that have expired. */
export const DELETE_EXPIRED_ATTEMPTS = `delete from auth_ephemerals where id in (
  select id from auth_ephemerals where expires_at <= now() limit $1 for update skip locked
) returning id`;

/** Drops log-in sessions that have expired. */
export const DELETE_EXPIRED_SESSIONS = `delete from login_sessions where id in (
  select id from login_sessions where expires_at <= now() limit $1 for update skip locked
) returning id`;

/** Drops log-in sessions that have spent their requests. */
export const DELETE_SPENT_SESSIONS = `delete from login_sessions where id in (
  select id from login_sessions where kind = 1 and request_count >= coalesce(maximum_requests, ${UNLIMITED_REQUESTS})
  limit $1 for update skip locked
) returning id`;

/** Locks accounts whose password change has expired. Rows: id. */
export const LOCK_EXPIRED_CHANGES = `select id from users
where change_session_id is not null and change_expires_at <= now() limit $1 for no key update skip locked`;

/** How old a tombstone gets, and how rarely those of one account are purged. */
const TOMBSTONE_AGE = `interval '1 year'`;

/** Locks accounts that have tombstones to purge. Rows: id. */
export const LOCK_OLD_TOMBSTONES = `select u.id from users u
where coalesce(u.tombstones_purged_at, u.created_at) <= now() - ${TOMBSTONE_AGE} and u.id in (
  select e.user_id from secure_data e where e.entry_name is null and e.updated_at <= now() - ${TOMBSTONE_AGE}
)
limit $1 for no key update skip locked`;

/** Purges the tombstones of a locked account. $1 user id. */
export const PURGE_TOMBSTONES = `delete from secure_data where user_id = $1 and entry_name is null
  and updated_at <= now() - ${TOMBSTONE_AGE}`;

/** Gives a locked account a new history. $1 user id, $2 history id of 16 bytes. */
export const NEW_HISTORY =
  'update users set history_id = $2, tombstones_purged_at = clock_timestamp() where id = $1';
