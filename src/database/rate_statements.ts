/**
 * Counting of what is limited by the minute, for all replicas. A rate is that of a sliding minute: the count of the minute
 * that runs, and of the one before as much as still lies within. Time is the database's.
 */

/** The database's clock: minutes since 1970, and the part of the running one that is over. */
const CLOCK = `clock as materialized (
  select floor(now.minutes)::bigint as minute, now.minutes - floor(now.minutes) as part
  from (select extract(epoch from clock_timestamp())::float8 / 60 as minutes) now
)`;

/** How often in the last minute, of a counter `c`. */
const RATE = `case clock.minute - c.minute when 0 then c.count + c.previous * (1 - clock.part) when 1 then c.count * (1 - clock.part) else 0 end`;

const rateOf = (key: string): string =>
  `coalesce((select ${RATE} from rate_counters c where c.key = ${key}), 0)`;

/** Counts each of `keys` once more. */
const counted = (keys: string): string => `insert into rate_counters as c (key, minute, count, previous)
  select k.key, clock.minute, 1, 0 from clock, ${keys}
  on conflict (key) do update set
    previous = case excluded.minute - c.minute when 0 then c.previous when 1 then c.count else 0 end,
    count = case excluded.minute when c.minute then least(c.count + 1, 1000000) else 1 end,
    minute = excluded.minute`;

/** What is answered: seconds to the end of the minute, and rates. */
const FAILURES = `ceil(60 * (1 - clock.part))::int as seconds_left,
  ${rateOf('$1')} as failures_of_name_and_network, ${rateOf('$2')} as failures_of_name,
  exists (select from login_networks n where n.key = $3) as known_network, ${rateOf('$4')} as failures_of_network`;

/**
 * Counts a handshake of a network and tells the failures of a name and of the network. $1 name and network, $2 name, $3 name
 * and network of a log-in that succeeded, $4 network of failures, $5 network of handshakes. Row: handshakes,
 * failures_of_name_and_network, failures_of_name, failures_of_network, known_network, seconds_left.
 */
export const COUNT_HANDSHAKE = `with ${CLOCK}, counted as (
  ${counted('(values ($5::bytea)) k (key)')}
  returning count, previous
)
select counted.count + counted.previous * (1 - clock.part) as handshakes, ${FAILURES} from clock, counted`;

/** Tells the failures of a name and of a network. Parameters and row as those of COUNT_HANDSHAKE, without the handshakes and $5. */
export const READ_FAILURES = `with ${CLOCK} select ${FAILURES} from clock`;

/** Counts a failure. $1 name and network, $2 name, $3 network. In one order, so that two of them never wait for each other. */
export const COUNT_FAILURE = `with ${CLOCK}
${counted('(select key from unnest(array[$1, $2, $3]::bytea[]) as of_failure (key) order by key) k')}`;

/** How many networks of an account are remembered. */
const NETWORKS_PER_USER = 32;

/** Remembers the network that a session was opened from, if it was opened. $1 name and network, $2 session id. */
export const REMEMBER_NETWORK = `with opened as (select user_id from login_sessions where id = $2),
forgotten as (
  delete from login_networks where key <> $1 and key in (
    select n.key from opened, login_networks n where n.user_id = opened.user_id
    order by n.last_used_at desc offset ${NETWORKS_PER_USER - 1}
  )
)
insert into login_networks as n (key, user_id, last_used_at) select $1, user_id, clock_timestamp() from opened
on conflict (key) do update set last_used_at = excluded.last_used_at
where n.last_used_at < excluded.last_used_at - interval '1 day'`;

/** Drops counters that nobody asks for any more, at most $1. Rows: those that went. */
export const DELETE_OLD_COUNTERS = `delete from rate_counters where key in (
  select key from rate_counters where minute < floor(extract(epoch from now()) / 60) - 1 limit $1 for update skip locked
) returning key`;

/** Forgets networks from which nobody has logged in for half a year, at most $1. Rows: those that went. */
export const DELETE_OLD_NETWORKS = `delete from login_networks where key in (
  select key from login_networks where last_used_at < now() - interval '180 days' limit $1 for update skip locked
) returning key`;
