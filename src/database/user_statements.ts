/** Accounts, log-ins and sessions as SQL: what runs a few times a session. */
import { ATTEMPT_ALIVE, gatedRead, unexpired } from './gate_statements.ts';

/** The sealed credentials of a user, in the order in which they are written. */
export const CREDENTIALS = `srp_salt, srp_verifier, master_key_salt, encrypted_vault_header,
  kdf_algorithm, kdf_memory_kib, kdf_iterations, kdf_parallelism`;

/** What a password is verified with: the columns of `u`, or parameters from `first` on where there is no such row. */
const loginCredentials = (first: number): string =>
  [
    'srp_salt',
    'srp_verifier',
    'master_key_salt',
    'kdf_algorithm',
    'kdf_memory_kib',
    'kdf_iterations',
    'kdf_parallelism',
  ]
    .map((column, index) => `coalesce(u.${column}, $${first + index}) as ${column}`)
    .join(', ');

/**
 * What a log-in begins with: one row, whether the name is known or not, and as large. $1 lookup, $2–$8 a decoy's sealed
 * salts and verifier and its parameters. Row: id, null for an unknown name.
 */
export const FIND_LOGIN = `select u.id, coalesce(u.credential_generation, 0) as credential_generation, ${loginCredentials(2)}
from (select) as always left join users u on u.username_lookup = $1`;

/** The credentials by name. $1 lookup. */
export const FIND_CREDENTIALS = `select id, credential_generation, ${CREDENTIALS} from users where username_lookup = $1`;

/** Renames the locked account; log-ins that are under way end by their generation. $1 user id, $2 new lookup. */
export const CHANGE_USERNAME = `update users set username_lookup = $2, credential_generation = credential_generation + 1
where id = $1`;

/** Counts accounts, as far as $1. Row: users. */
export const COUNT_USERS = 'select count(*)::int as users from (select from users limit $1) counted';

/** Ends all starts of a password change that are under way; log-ins end by their generation. $1 user id. */
export const DELETE_ATTEMPTS = 'delete from auth_ephemerals where user_id = $1';

/** How long a pending attempt lives, in seconds. */
export const ATTEMPT_SECONDS = 180;

/** Keeps a log-in attempt, with no word on whether the name is known. $1 id, $2 lookup, $3 generation, $4 client and $5 server protocol, $6 sealed b, $7 B. */
export const INSERT_LOGIN_ATTEMPT = `insert into auth_ephemerals
  (id, username_lookup, credential_generation, client_protocol, server_protocol, kind, eph_private_b, eph_public_b, expires_at)
values ($1, $2, $3, $4, $5, 1, $6, $7, clock_timestamp() + interval '${ATTEMPT_SECONDS} seconds')`;

/** Consumes a log-in attempt and reads the credentials that it is about. $1 id, $2–$8 as of FIND_LOGIN. */
export const CONSUME_LOGIN_ATTEMPT = `with consumed as (
  delete from auth_ephemerals where id = $1 and kind = 1
  returning username_lookup, credential_generation, client_protocol, server_protocol, eph_private_b, eph_public_b,
    ${ATTEMPT_ALIVE} as alive
)
select c.username_lookup, c.credential_generation as attempt_generation, c.client_protocol, c.server_protocol,
  c.eph_private_b, c.eph_public_b, c.alive, u.id, u.credential_generation, ${loginCredentials(2)}
from consumed c left join users u on u.username_lookup = c.username_lookup`;

/** Locks the account of a log-in that was proved. $1 user id. */
export const LOCK_FOR_LOGIN =
  'select credential_generation, encrypted_vault_header from users where id = $1 for no key update';

/** A log-in session `s` that lives. */
const LIVE_SESSION = `s.kind = 1 and ${unexpired('s')}`;

/**
 * Opens a log-in session of the locked account while its credentials are of a generation, and makes room for it: those used
 * longest ago go. $1 id, $2 user id, $3 sealed K, $4 maximum of requests or null, $5 seconds to live or null, $6 generation,
 * $7 how many may be there beside it. Rows: those that went.
 */
export const OPEN_SESSION = `with account as (select id from users where id = $2 and credential_generation = $6),
opened as (
  insert into login_sessions (id, user_id, session_key, kind, maximum_requests, expires_at, last_used_at, created_at)
  select $1, id, $3, 1, $4, clock_timestamp() + make_interval(secs => $5), clock_timestamp(), clock_timestamp() from account
)
delete from login_sessions where id in (
  select s.id from account, login_sessions s where s.user_id = $2 and ${LIVE_SESSION}
  order by s.last_used_at desc, s.created_at desc, s.id offset $7::int
) returning id`;

/** The user's live log-in sessions, oldest first; the one that asks as this request leaves it. */
export const LIST_SESSIONS = gatedRead(`result as (
  select s.id, s.created_at, case when s.id = $1 then clock_timestamp() else s.last_used_at end as last_used_at,
    s.expires_at, coalesce(s.maximum_requests - s.request_count - (s.id = $1)::int, -1) as remaining_requests
  from gate, login_sessions s where not gate.change_open and s.user_id = $2 and ${LIVE_SESSION}
  order by s.created_at, s.id
)`);

/** Ends one live log-in session; the one that asks lives, were this its last request. $1 user id, $2 session id, $3 the one that asks. */
export const DELETE_SESSION = `delete from login_sessions s
where s.user_id = $1 and s.id = $2 and (s.id = $3::uuid or (${LIVE_SESSION})) returning s.id`;

/** Ends all sessions. $1 user id. */
export const DELETE_ALL_SESSIONS = 'delete from login_sessions where user_id = $1 returning id';
