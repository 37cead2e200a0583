/**
 * The work of DataService as SQL, one statement a call. Every statement names the user, so another user's entry is out
 * of reach by construction. A tombstone is a row whose name and data are null.
 */
import { gatedRead, gatedRowRead, gatedWrite } from './gate_statements.ts';

/** What fits into the entries of one answer, in bytes: pages end early where they would grow beyond it. */
export const PAGE_BYTES = 3 * 1024 * 1024;

/** What the fields of an entry beside name and data take on the wire at most, in bytes. */
export const ENTRY_OVERHEAD_BYTES = 128;

/** The columns of an entry `e`. */
export const ENTRY = 'e.entry_id, e.entry_name, e.entry_data, e.revision, e.created_at, e.updated_at';
const ENTRY_BYTES = `coalesce(octet_length(e.entry_name), 0) + coalesce(octet_length(e.entry_data), 0) + ${ENTRY_OVERHEAD_BYTES}`;

/** Creates an entry. $4 entry id, $5 name, $6 data, $7 maximum of entries where the account has none of its own. */
export const CREATE_ENTRY = gatedWrite({
  account: 'revision = revision + 1, entry_count = entry_count + 1',
  room: 'entry_count < coalesce(max_entries, $7::int)',
  written: `insert into secure_data (user_id, entry_id, entry_name, entry_data, revision, created_at, updated_at)
  select account.id, $4::uuid, $5::bytea, $6::bytea, account.revision, clock_timestamp(), clock_timestamp() from account, gate
  on conflict (user_id, entry_id) do nothing
  returning revision`,
});

/** Updates an entry to other bytes. $4 entry id, $5 name, $6 data, $7 expected revision or null. */
export const UPDATE_ENTRY = gatedWrite({
  account: 'revision = revision + 1',
  written: `update secure_data as e
  set entry_name = $5::bytea, entry_data = $6::bytea, revision = account.revision, updated_at = clock_timestamp()
  from account, gate
  where e.user_id = account.id and e.entry_id = $4::uuid and e.entry_name is not null
    and ($7::bigint is null or e.revision = $7) and (e.entry_name <> $5 or e.entry_data <> $6)
  returning e.revision`,
});

/** Deletes an entry. $4 entry id, $5 expected revision or null. */
export const DELETE_ENTRY = gatedWrite({
  account: 'revision = revision + 1, entry_count = entry_count - 1',
  room: 'entry_count > 0',
  written: `update secure_data as e
  set entry_name = null, entry_data = null, new_entry_name = null, new_entry_data = null, new_change_session_id = null,
    revision = account.revision, updated_at = clock_timestamp()
  from account, gate
  where e.user_id = account.id and e.entry_id = $4::uuid and e.entry_name is not null
    and ($5::bigint is null or e.revision = $5)
  returning e.revision`,
});

/** One live entry. $4 entry id. */
export const GET_ENTRY = gatedRowRead(
  ENTRY,
  'left join secure_data e on e.user_id = u.id and e.entry_id = $4::uuid and e.entry_name is not null',
);

/** A page of names in ascending order of id, one more than asked for. $4 the last id of the page before or null, $5 size. */
export const LIST_ENTRIES = gatedRead(`result as (
  select e.entry_id, e.entry_name, e.revision from secure_data e, gate
  where not gate.change_open and e.user_id = $2 and e.entry_name is not null
    and e.entry_id >= coalesce($4::uuid, '00000000-0000-0000-0000-000000000000') and ($4 is null or e.entry_id <> $4)
  order by e.entry_id limit $5::int + 1
)`);

/** Chooses of `wanted` (with columns of ENTRY and position) what fits into one message; at least the first. */
const fitting = (order: string): string => `measured as (
  select e.*, row_number() over w as ordinal, sum(${ENTRY_BYTES}) over w as total_bytes
  from wanted e window w as (order by ${order})
)`;

/** The CTEs from `wanted` to `result`: entries in request order, with the bytes of those that fit into one message. */
export const FITTING_ENTRIES = `${fitting('e.position')}, result as (
  select m.position, m.entry_id, m.revision, m.created_at, m.updated_at, m.fits,
    case when m.fits then m.entry_name end as entry_name, case when m.fits then m.entry_data end as entry_data
  from (select *, total_bytes <= ${PAGE_BYTES} or ordinal = 1 as fits from measured) m order by m.position
)`;

/**
 * Entries by id in request order. $4 array of ids, each once. Rows: position (from 1) of every live entry asked for;
 * `fits` tells whether its bytes are there, and name and data are null where they did not fit.
 */
export const BATCH_GET_ENTRIES = gatedRead(`wanted as (
  select asked.position, ${ENTRY} from gate, unnest($4::uuid[]) with ordinality as asked(entry_id, position)
  join secure_data e on e.user_id = $2 and e.entry_id = asked.entry_id and e.entry_name is not null
  where not gate.change_open
), ${FITTING_ENTRIES}`);

/**
 * What changed since a revision, in ascending order. $4 since, $5 size, $6 history id or empty. Every row carries the
 * account's revision, history id, reset and has_more; entry_id is null when nothing changed.
 */
export const SYNC_ENTRIES = gatedRead(`start as (
  select gate.revision as current_revision, gate.history_id, r.reset, case when r.reset then 0 else $4::bigint end as since
  from gate, lateral (select $4::bigint > gate.revision
    or ($6::bytea <> gate.history_id and not ($4 = 0 and octet_length($6) = 0)) as reset) r
  where not gate.change_open
), wanted as (
  select ${ENTRY} from start, lateral (
    select * from secure_data d where d.user_id = $2 and d.revision > start.since order by d.revision limit $5::int + 1
  ) e
), ${fitting('e.revision')}, chosen as (
  select * from measured where ordinal <= $5 and (total_bytes <= ${PAGE_BYTES} or ordinal = 1)
), result as (
  select start.current_revision, start.history_id, start.reset,
    (select count(*) from chosen) < (select count(*) from measured) as has_more, c.entry_id, c.entry_name, c.entry_data,
    c.revision, c.created_at, c.updated_at
  from start left join chosen c on true order by c.revision
)`);

/** Nothing but the account's revision: for requests whose work is done elsewhere. */
export const ACCOUNT_REVISION = gatedRead(
  `result as (select gate.revision from gate where not gate.change_open)`,
);

/**
 * How the entries of a batch stand, in request order, inside a transaction that holds the account's lock. $1 user id,
 * $2 ids, $3 names, $4 data (null arrays' elements compare as not the same). Row: revision or null (unknown), deleted, same.
 */
export const BATCH_STATE = `select e.revision, e.entry_id is not null and e.entry_name is null as deleted,
  coalesce(e.entry_name = a.entry_name and e.entry_data = a.entry_data, false) as same
from unnest($2::uuid[], $3::bytea[], $4::bytea[]) with ordinality as a(entry_id, entry_name, entry_data, position)
left join secure_data e on e.user_id = $1 and e.entry_id = a.entry_id
order by a.position`;

/** Creates entries. $1 user id, $2 ids, $3 names, $4 data, $5 revisions. */
export const BATCH_CREATE = `insert into secure_data
  (user_id, entry_id, entry_name, entry_data, revision, created_at, updated_at)
select $1::uuid, a.entry_id, a.entry_name, a.entry_data, a.revision, clock_timestamp(), clock_timestamp()
from unnest($2::uuid[], $3::bytea[], $4::bytea[], $5::bigint[]) as a(entry_id, entry_name, entry_data, revision)`;

/** Updates entries. $1 user id, $2 ids, $3 names, $4 data, $5 revisions. */
export const BATCH_UPDATE = `update secure_data as e
set entry_name = a.entry_name, entry_data = a.entry_data, revision = a.revision, updated_at = clock_timestamp()
from unnest($2::uuid[], $3::bytea[], $4::bytea[], $5::bigint[]) as a(entry_id, entry_name, entry_data, revision)
where e.user_id = $1 and e.entry_id = a.entry_id`;

/** Deletes entries. $1 user id, $2 ids, $3 revisions. */
export const BATCH_DELETE = `update secure_data as e
set entry_name = null, entry_data = null, new_entry_name = null, new_entry_data = null, new_change_session_id = null,
  revision = a.revision, updated_at = clock_timestamp()
from unnest($2::uuid[], $3::bigint[]) as a(entry_id, revision)
where e.user_id = $1 and e.entry_id = a.entry_id`;

/** Moves the account on by a batch. $1 user id, $2 how many revisions, $3 how many live entries. */
export const BATCH_ACCOUNT =
  'update users set revision = revision + $2::bigint, entry_count = entry_count + $3::int where id = $1';
