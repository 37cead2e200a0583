/**
 * The session check of every sealed request, as SQL. A statement made here finds the account, spends the request
 * number and does its work in one round trip and one transaction; none of the three happens without the others.
 *
 * Parameters of every statement: $1 session id, $2 user id, $3 request number; those of the work follow from $4.
 *
 * Lock order everywhere: the user's row, then the session's, then entries.
 */
import { REPLAY_WINDOW_NUMBERS } from '../protocol/sizes.ts';

/** Upper bound of requests of a session without a limit of its own. */
export const UNLIMITED_REQUESTS = 2n ** 32n;

/**
 * How far the database's clock may jump back, in seconds. Whoever was last seen further in its future has ended until the
 * clock is right again: nothing lives longer than it may because the clock was put back.
 */
export const CLOCK_TOLERANCE_SECONDS = 60;
const LATEST_SEEN = `clock_timestamp() + interval '${CLOCK_TOLERANCE_SECONDS} seconds'`;

/** Whether a pending attempt lives, in a statement about its row of auth_ephemerals. */
export const ATTEMPT_ALIVE = `expires_at > clock_timestamp() and created_at < ${LATEST_SEEN}`;

/** A session `alias` that has not expired and has requests left. */
export const unexpired = (
  alias: string,
): string => `(${alias}.expires_at is null or ${alias}.expires_at > clock_timestamp())
    and ${alias}.last_used_at < ${LATEST_SEEN}
    and ${alias}.request_count < coalesce(${alias}.maximum_requests, ${UNLIMITED_REQUESTS})`;

/** Whether a password change is open on a row of users `alias`. */
export const changeOpen = (alias: string): string => `(${alias}.change_session_id is not null
    and ${alias}.change_expires_at > clock_timestamp() and ${alias}.change_opened_at < ${LATEST_SEEN})`;

/** RFC 4303 §3.4.3 with its window. CASE, because PostgreSQL may evaluate AND in any order. */
const NUMBER_IS_NEW = `case
      when $3::bigint > s.highest_request_number then true
      when $3 + ${REPLAY_WINDOW_NUMBERS} <= s.highest_request_number then false
      else (s.request_window >> (s.highest_request_number - $3)::int) & 1 = 0
    end`;

const SPEND = `update login_sessions as s set
    highest_request_number = greatest(s.highest_request_number, $3::bigint),
    request_window = case
      when $3 <= s.highest_request_number
        then s.request_window | (1::bigint << (s.highest_request_number - $3)::int)
      when $3 - s.highest_request_number >= ${REPLAY_WINDOW_NUMBERS} then 1
      else (s.request_window << ($3 - s.highest_request_number)::int) | 1
    end,
    request_count = s.request_count + 1,
    last_used_at = clock_timestamp()`;

const READ_OPEN = changeOpen('u');

/** A log-in session of user `u` that lives: not expired, not spent. */
const LOGIN_LIVES = `u.id = $2 and s.id = $1 and s.user_id = u.id and s.kind = 1 and ${unexpired('s')}`;

/** A session of user `u` that lives; one of a password change only while that change is open. */
const SESSION_LIVES = `u.id = $2 and s.id = $1 and s.user_id = u.id
    and ${unexpired('s')}
    and (s.kind = 1 or (${READ_OPEN} and u.change_session_id = s.id))`;

/** What the work of a read sees of the user and of what the session may do. */
const GATE_COLUMNS = `${READ_OPEN} as change_open, u.revision, u.history_id`;

/** A read by a log-in session, in its two forms. Both answer `gate_change_open`, whether a password change is open. */
export interface GatedRead {
  /** Spends the number. */
  readonly text: string;
  /** Checks the session and spends nothing: for a database that cannot write, and for asking again after a lost answer. */
  readonly unspentText: string;
}

/**
 * Composes a sealed read from the CTEs of its work. No row: the number was not accepted. The work sees `gate`: one row when
 * it was, with the user's revision and history_id, and `gate.change_open`, whether a password change is open: then the work
 * has nothing to do. It defines a CTE named `result`.
 */
export function gatedRead(work: string): GatedRead {
  const select = `select gate.change_open as gate_change_open, result.*
from gate left join result on true`;
  return {
    text: `with gate as (
  ${SPEND}
  from users u
  where ${LOGIN_LIVES}
    and ${NUMBER_IS_NEW}
  returning ${GATE_COLUMNS}
), ${work}\n${select}`,
    unspentText: `with gate as materialized (
  select ${GATE_COLUMNS} from login_sessions s, users u
  where ${LOGIN_LIVES} and $3::bigint is not null
), ${work}\n${select}`,
  };
}

/**
 * Composes a sealed read of at most one row: `columns` of what is left-joined by `join` to the user's row `u`, as one
 * update that joins. While a password change is open the row comes along and the gate throws it away.
 */
export function gatedRowRead(columns: string, join: string): GatedRead {
  const answer = `${READ_OPEN} as gate_change_open, ${columns}`;
  return {
    text: `${SPEND}
  from users u ${join}
  where ${LOGIN_LIVES}
    and ${NUMBER_IS_NEW}
  returning ${answer}`,
    unspentText: `select ${answer} from login_sessions s, users u ${join}
  where ${LOGIN_LIVES} and $3::bigint is not null`,
  };
}

/** The SQLSTATE of a write that undid itself: division_by_zero. */
export const WRITE_UNDONE = '22012';

/**
 * Composes the write of one entry by a log-in session that does all or nothing. `account` are assignments that move the
 * user's row on, which locks it: writes of one user stand in line and see each other's revision. `room` is what else the row
 * must be like. `written` is a statement that writes the entry `from account, gate` and returns its revision.
 *
 * Row: revision. No row: a password change is open or there is no room, and nothing happened. Fails with WRITE_UNDONE when
 * the number is not accepted or nothing was written, so that the account is not moved on. A transaction decides both.
 */
export function gatedWrite(parts: { account: string; room?: string; written: string }): string {
  const { account, room, written } = parts;
  return `with account as (
  update users set ${account}
  where id = $2 and not ${changeOpen('users')}${room === undefined ? '' : ` and ${room}`}
  returning id, revision
), gate as (
  ${SPEND}
  from account
  where s.id = $1 and s.user_id = account.id and s.kind = 1 and ${unexpired('s')}
    and ${NUMBER_IS_NEW}
  returning s.id
), written as (
  ${written}
)
select account.revision / (written.revision is not null)::int as revision from account left join written on true`;
}

/** Locks the user's row and tells what a transaction decides by. $1 user id. */
export const LOCK_ACCOUNT = `select id, revision, history_id, entry_count, max_entries, credential_generation, change_session_id,
  change_begun_by, change_opened_at, change_expires_at, change_remaining_entries,
  ${changeOpen('users')} as change_open
from users where id = $1 for no key update`;

/** Spends a number inside a transaction that holds the account's lock, and names that transaction. */
export const SPEND_IN_TRANSACTION = `${SPEND}
  from users u
  where ${SESSION_LIVES}
    and ${NUMBER_IS_NEW}
  returning s.request_count, pg_current_xact_id()::text as transaction_id`;

/** Whether a transaction committed, of which the connection may have died. $1 its name. */
export const HAS_COMMITTED = `select pg_xact_status($1::text::xid8) = 'committed' as committed`;

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
