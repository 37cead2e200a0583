/**
 * The session check of every sealed request, as SQL. A statement made here finds the account, spends the request
 * number and does its work in one round trip and one transaction; none of the three happens without the others.
 *
 * Parameters of every statement: $1 session id, $2 user id, $3 request number; those of the work follow from $4.
 * The work sees `gate`: one row when the number was accepted, with the user's id, revision, history_id, entry_count and max_entries;
 * `gate.admitted` is false while a password change is open. It defines a CTE named `result`.
 *
 * Lock order everywhere: the user's row, then the session's, then entries.
 */

/** Upper bound of requests of a session without a limit of its own. */
export const UNLIMITED_REQUESTS = 2n ** 32n;

/**
 * How far the database's clock may jump back, in seconds. Whoever was last seen further in its future has ended until the
 * clock is right again: nothing lives longer than it may because the clock was put back.
 */
export const CLOCK_TOLERANCE_SECONDS = 60;
const LATEST_SEEN = `clock_timestamp() + interval '${CLOCK_TOLERANCE_SECONDS} seconds'`;

/** A session `alias` that has not expired and has requests left. */
export const unexpired = (
  alias: string,
): string => `(${alias}.expires_at is null or ${alias}.expires_at > clock_timestamp())
    and ${alias}.last_used_at < ${LATEST_SEEN}
    and ${alias}.request_count < coalesce(${alias}.maximum_requests, ${UNLIMITED_REQUESTS})`;

/** Whether a password change is open on a row of users `alias`. */
const changeOpen = (alias: string): string => `(${alias}.change_session_id is not null
    and ${alias}.change_expires_at > clock_timestamp() and ${alias}.change_opened_at < ${LATEST_SEEN})`;

/** A session of user `u` that lives: not expired, not spent; one of a password change only while that change is open. */
const sessionLives = (open: string): string => `u.id = $2 and s.id = $1 and s.user_id = u.id
    and ${unexpired('s')}
    and (s.kind = 1 or (${open} and u.change_session_id = s.id))`;

/** RFC 4303 §3.4.3 with a window of 64. CASE, because PostgreSQL may evaluate AND in any order. */
const NUMBER_IS_NEW = `case
      when $3::bigint > s.highest_request_number then true
      when $3 + 64 <= s.highest_request_number then false
      else (s.request_window >> (s.highest_request_number - $3)::int) & 1 = 0
    end`;

const SPEND = `update login_sessions as s set
    highest_request_number = greatest(s.highest_request_number, $3::bigint),
    request_window = case
      when $3 <= s.highest_request_number
        then s.request_window | (1::bigint << (s.highest_request_number - $3)::int)
      when $3 - s.highest_request_number >= 64 then 1
      else (s.request_window << ($3 - s.highest_request_number)::int) | 1
    end,
    request_count = s.request_count + 1,
    last_used_at = clock_timestamp()`;

/** What the work of a statement sees of the user and of what the session may do. */
const gateColumns = (open: string): string =>
  `${open} as change_open, not ${open} as admitted, u.id, u.revision, u.history_id, u.entry_count, u.max_entries`;

/** Spends the number; `users` is the table, or its locked row as a subquery. */
const spendingGate = (users: string, open: string): string => `gate as (
  ${SPEND}
  from ${users} u
  where ${sessionLives(open)}
    and ${NUMBER_IS_NEW}
  returning s.kind, s.request_count, ${gateColumns(open)}
)`;

const READ_OPEN = changeOpen('u');

/** Locked before the session is written, so that writes of one user stand in line and see each other's revision. */
const LOCKED_USER = `(
    select id, revision, history_id, entry_count, max_entries, change_session_id, ${changeOpen('users')} as change_open
    from users where id = $2 for no key update
  )`;

const SELECT_RESULT = `select gate.kind as gate_kind, gate.request_count as gate_request_count,
  gate.change_open as gate_change_open, result.*
from gate left join result on true`;

/** A sealed read in its two forms. */
export interface GatedRead {
  /** Spends the number. */
  readonly text: string;
  /** Checks the session and spends nothing: for a database that cannot write, and for asking again after a lost answer. */
  readonly unspentText: string;
}

/** A sealed write in its two forms. */
export interface GatedWrite {
  /** Locks the account, spends the number and does the work. */
  readonly text: string;
  /** The work alone, for a transaction that has locked the account in a statement before: it sees all that is committed. */
  readonly workText: string;
}

/** Composes a sealed read from the CTEs of its work. No row: the number was not accepted. */
export function gatedRead(work: string): GatedRead {
  return {
    text: `with ${spendingGate('users', READ_OPEN)}, ${work}\n${SELECT_RESULT}`,
    unspentText: `with gate as materialized (
  select s.kind, s.request_count, ${gateColumns(READ_OPEN)} from login_sessions s, users u
  where ${sessionLives(READ_OPEN)} and $3::bigint is not null
), ${work}\n${SELECT_RESULT}`,
  };
}

/**
 * Composes a sealed read of at most one row: `columns` of what is left-joined by `join` to the user's row `u`, as one
 * update that joins. While a password change is open the row comes along and the gate throws it away.
 */
export function gatedRowRead(columns: string, join: string): GatedRead {
  const answer = `s.kind as gate_kind, s.request_count as gate_request_count, ${READ_OPEN} as gate_change_open, ${columns}`;
  return {
    text: `${SPEND}
  from users u ${join}
  where ${sessionLives(READ_OPEN)}
    and ${NUMBER_IS_NEW}
  returning ${answer}`,
    unspentText: `select ${answer} from login_sessions s, users u ${join}
  where ${sessionLives(READ_OPEN)} and $3::bigint is not null`,
  };
}

/** Composes a sealed write from the CTEs of its work. No row: the number was not accepted. */
export function gatedWrite(work: string): GatedWrite {
  return {
    text: `with ${spendingGate(LOCKED_USER, 'u.change_open')}, ${work}\n${SELECT_RESULT}`,
    workText: `with gate as materialized (
  select ${gateColumns(READ_OPEN)} from users u where u.id = $2 and $1::uuid is not null and $3::bigint is not null
), ${work}\nselect result.* from result`,
  };
}

/** Locks the user's row and tells what a transaction decides by. $1 user id. */
export const LOCK_ACCOUNT = `select id, revision, history_id, entry_count, max_entries, credential_generation, change_session_id,
  change_begun_by, change_opened_at, change_expires_at, change_remaining_entries,
  ${changeOpen('users')} as change_open
from users where id = $1 for no key update`;

/** Spends a number inside a transaction that holds the account's lock. */
export const SPEND_IN_TRANSACTION = `${SPEND}
  from users u
  where ${sessionLives(READ_OPEN)}
    and ${NUMBER_IS_NEW}
  returning s.kind, s.request_count`;

/** How long a password change lives after its last accepted request, and in all, in seconds. */
export const CHANGE_IDLE_SECONDS = 300;
export const CHANGE_TOTAL_SECONDS = 3600;

/** Renews the open password change, or ends it with the last request of its session. $1 user id, $2 change session. */
export const RENEW_CHANGE = `update users set change_expires_at = case
  when s.request_count < coalesce(s.maximum_requests, ${UNLIMITED_REQUESTS}) then least(
    clock_timestamp() + interval '${CHANGE_IDLE_SECONDS} seconds', change_opened_at + interval '${CHANGE_TOTAL_SECONDS} seconds')
  else clock_timestamp() end
from login_sessions s where users.id = $1 and change_session_id = $2 and s.id = $2`;

/** What the session's row says of its window; no row: the session is gone. $1 session id, $2 user id. */
export const SESSION_WINDOW = `select highest_request_number, request_window
from login_sessions where id = $1 and user_id = $2`;

/** The highest number of each session that is there. $1 session ids. */
export const SESSIONS_HIGHEST =
  'select id, highest_request_number from login_sessions where id = any($1::uuid[])';

/** The session for the key cache. $1 session id. */
export const SESSION_KEY = `select user_id, kind, session_key from login_sessions where id = $1`;
