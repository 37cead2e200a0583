/** PostgreSQL: whether it answers, keeps what it acknowledges, and stays in shape. */
import type { Database, Row } from '../../database/database.ts';
import { MIGRATIONS_TABLE, migrations, unknownMigrations } from '../../database/migrations/index.ts';
import { formatBytes } from '../table.ts';
import { type Check, databaseCheck, failure, good, skipped, warning } from './check.ts';

/** The oldest PostgreSQL that this program runs on, as server_version_num has it. */
const OLDEST_VERSION = 140_000;

/** A round trip that every call feels, in milliseconds. */
const SLOW_ROUND_TRIP_MS = 20;

/** How far clocks may differ, in milliseconds: times in logs are compared by people. */
const CLOCK_TOLERANCE_MS = 2_000;

/** Age in transactions at which PostgreSQL is about to stop taking writes, at 2^31. */
const OLD_TRANSACTIONS = 1_000_000_000;

/** Nobody else listens to this channel. */
const NOTIFICATION_CHANNEL = 'passmanager_doctor';
const NOTIFICATION_MS = 5_000;

const one = async (database: Database, text: string): Promise<Row> =>
  (await database.reads.execute(text, [])).rows[0]!;

const setting = async (database: Database, name: string): Promise<string> =>
  (await one(database, `select current_setting('${name}') as value`)).value as string;

/** The first one is whether there is a database at all; the others are skipped without. */
export const DATABASE_CHECKS: readonly Check[] = [
  {
    name: 'database',
    look: async ({ database, databaseProblem, config }) => {
      if (database === undefined)
        return failure(
          databaseProblem || 'the database does not answer',
          config.databaseUrl === undefined
            ? 'Do as it says; what PostgreSQL says is in postgres/postgres.log of the data directory.'
            : 'See whether PostgreSQL runs and PASSMANAGER_DATABASE_URL is right.',
        );
      const times: number[] = [];
      for (let round = 0; round < 5; round += 1) {
        const begin = performance.now();
        await database.reads.execute('select 1 as one', []);
        times.push(performance.now() - begin);
      }
      const ms = Math.min(...times);
      const text = `${config.databaseUrl === undefined ? 'embedded' : 'by URL'}, round trip ${ms.toFixed(1)} ms`;
      return ms < SLOW_ROUND_TRIP_MS
        ? good(text)
        : warning(text, 'Bring server and database closer: every call waits for it once.');
    },
  },
  databaseCheck('database_version', async (database) => {
    const version = Number(await setting(database, 'server_version_num'));
    const text = `PostgreSQL ${await setting(database, 'server_version')}`;
    return version >= OLDEST_VERSION ? good(text) : failure(text, 'Use PostgreSQL 14 or newer.');
  }),
  databaseCheck('database_encryption', async (database, { config: { databaseUrl } }) => {
    if (databaseUrl === undefined) return good('a socket below the data directory');
    const url = new URL(databaseUrl);
    const host = url.searchParams.get('host') ?? url.hostname;
    if (host === '' || host.startsWith('/') || /^(localhost|127\.|\[?::1)/.test(host))
      return good('does not leave the machine');
    const { ssl } = await one(database, 'select ssl from pg_stat_ssl where pid = pg_backend_pid()');
    return ssl === true
      ? good('TLS')
      : warning(
          'the connection to the database is in clear text',
          'Add sslmode=verify-full to PASSMANAGER_DATABASE_URL, or connect by a private network of its own.',
        );
  }),
  databaseCheck('schema', async (database) => {
    const { missing: isMissing } = await one(
      database,
      `select to_regclass('${MIGRATIONS_TABLE}') is null or to_regclass('users') is null as missing`,
    );
    if (isMissing === true)
      return failure(
        'there is no schema yet',
        'Start the server, or run npx passmanager migrate. Restore again what was cut short.',
      );
    const { rows } = await database.reads.execute(`select name from ${MIGRATIONS_TABLE}`, []);
    const executed = rows.map(({ name }) => name as string);
    const newer = unknownMigrations(executed);
    if (newer.length > 0)
      return failure(`of a newer version: ${newer.join(', ')}`, 'Install that version, or restore a backup.');
    const missing = migrations.filter(({ name }) => !executed.includes(name));
    return missing.length === 0
      ? good(`${executed.length} migrations, all there are`)
      : warning(
          `${missing.length} migrations wait`,
          'Restart the server, or run npx passmanager migrate: the start runs them.',
        );
  }),
  databaseCheck('database_writable', async (database) => {
    const { standby, readonly } = await one(
      database,
      `select pg_is_in_recovery() as standby, current_setting('transaction_read_only') = 'on' as readonly`,
    );
    if (standby === true)
      return failure(
        'this is a standby: it takes no writes',
        'Point PASSMANAGER_DATABASE_URL to the primary (by a proxy that follows it: docs/cluster.md).',
      );
    return readonly === true
      ? failure('it takes no writes', 'See default_transaction_read_only and its disk.')
      : good('it takes writes');
  }),
  databaseCheck('fsync', async (database) => {
    const [fsync, fullPageWrites] = [
      await setting(database, 'fsync'),
      await setting(database, 'full_page_writes'),
    ];
    return fsync === 'on' && fullPageWrites === 'on'
      ? good('on, with full pages')
      : failure(
          `fsync ${fsync}, full_page_writes ${fullPageWrites}: a power cut may destroy the database`,
          'Turn both on in postgresql.conf and reload it.',
        );
  }),
  databaseCheck('synchronous_commit', async (database) => {
    const { rows } = await database.writes.execute(
      `select current_setting('synchronous_commit') as value`,
      [],
    );
    const value = rows[0]!.value as string;
    return value === 'off'
      ? failure(
          'off: what was acknowledged may be lost in a power cut',
          'Remove synchronous_commit=off from the role, the database and postgresql.conf.',
        )
      : good(value);
  }),
  databaseCheck('connections', async (database, { config: { databasePoolSize } }) => {
    const { used, most } = await one(
      database,
      `select (select count(*) from pg_stat_activity where backend_type = 'client backend')::int as used,
              current_setting('max_connections')::int - current_setting('superuser_reserved_connections')::int as most`,
    );
    const needed = Math.ceil(1.5 * databasePoolSize) + 1;
    const text = `${used} of ${most} used; a server takes ${needed} at most`;
    return (most as number) >= needed + 3 && (used as number) < 0.9 * (most as number)
      ? good(text)
      : warning(text, 'Raise max_connections, lower PASSMANAGER_DATABASE_POOL_SIZE, or use PgBouncer.');
  }),
  databaseCheck('clock', async (database, { config: { databaseUrl } }) => {
    const before = Date.now();
    const { now } = await one(database, 'select clock_timestamp() as now');
    const difference = (now as Date).getTime() - (before + Date.now()) / 2;
    const { ahead } = await one(
      database,
      `select extract(epoch from greatest((select max(created_at) from users), (select max(last_used_at) from login_sessions))
                - clock_timestamp())::float8 as ahead`,
    );
    const advice =
      'Keep all machines on time (systemd-timesyncd, chrony). Sessions go by the clock of the database.';
    if (Number(ahead) * 1_000 > CLOCK_TOLERANCE_MS)
      return warning(
        `there are rows from ${Number(ahead).toFixed(1)} s ahead: the clock of the database was there before`,
        advice,
      );
    // The embedded one has this machine's clock.
    if (databaseUrl === undefined)
      return good('no row is from the future; this machine’s clock is not compared with another');
    const text = `the database's is ${Math.abs(difference / 1_000).toFixed(1)} s ${difference < 0 ? 'behind' : 'ahead'}`;
    return Math.abs(difference) <= CLOCK_TOLERANCE_MS
      ? good(`${text}, and no row is from the future`)
      : warning(text, advice);
  }),
  databaseCheck('whole_rows', async (database) => {
    const { rows } = await one(
      database,
      `select (select count(*) from users where num_nulls(change_session_id, change_begun_by, change_opened_at,
                change_expires_at, change_remaining_entries, new_srp_salt, new_srp_verifier, new_master_key_salt,
                new_encrypted_vault_header, new_kdf_algorithm, new_kdf_memory_kib, new_kdf_iterations,
                new_kdf_parallelism, new_eph_private_b, new_eph_public_b) not in (0, 15))
            + (select count(*) from secure_data where num_nulls(entry_name, entry_data) = 1
                or num_nulls(new_entry_name, new_entry_data, new_change_session_id) not in (0, 3)) as rows`,
    );
    return Number(rows) === 0
      ? good('every account and every entry')
      : failure(
          `${rows} rows have one half of what belongs together`,
          'Something else wrote to the tables. Restore a backup, and let nobody but the server write.',
        );
  }),
  databaseCheck('pending_cleanup', async (database) => {
    const { rows: overdue } = await one(
      database,
      `select (select count(*) from login_sessions where expires_at < now() - interval '15 min')
            + (select count(*) from auth_ephemerals where expires_at < now() - interval '15 min')
            + (select count(*) from users where change_expires_at < now() - interval '15 min') as rows`,
    );
    return Number(overdue) === 0
      ? good('nothing is overdue')
      : warning(
          `${overdue} expired rows are overdue`,
          'They are without effect. A running server deletes them each minute: see its log for “clean-up failed”.',
        );
  }),
  databaseCheck('table_bloat', async (database) => {
    const { rows } = await database.reads.execute(
      `select relname as name, n_live_tup::float8 as live, n_dead_tup::float8 as dead from pg_stat_user_tables
        where n_dead_tup > 10000 and n_dead_tup > n_live_tup order by n_dead_tup desc`,
      [],
    );
    return rows.length === 0
      ? good('no table has more dead rows than live ones')
      : warning(
          rows.map(({ name, live, dead }) => `${name}: ${dead} dead rows, ${live} live`).join('; '),
          'See whether autovacuum runs and what holds it up (long_transactions); then vacuum the table.',
        );
  }),
  databaseCheck('autovacuum', async (database) =>
    (await setting(database, 'autovacuum')) === 'on'
      ? good('on')
      : failure('off: tables grow without end', 'Turn autovacuum on in postgresql.conf and reload it.'),
  ),
  databaseCheck('transaction_age', async (database) => {
    const { age } = await one(
      database,
      'select age(datfrozenxid)::float8 as age from pg_database where datname = current_database()',
    );
    return (age as number) < OLD_TRANSACTIONS
      ? good(`${age} transactions since the oldest frozen one`)
      : failure(
          `${age} transactions since the oldest frozen one; at 2,147 million nothing is written any more`,
          'Vacuum the database, and find out why autovacuum did not.',
        );
  }),
  databaseCheck('long_transactions', async (database) => {
    const { count, longest } = await one(
      database,
      `select count(*)::int as count, coalesce(max(extract(epoch from clock_timestamp() - xact_start)), 0)::int as longest
         from pg_stat_activity where xact_start < clock_timestamp() - interval '10 min' and backend_type = 'client backend'`,
    );
    return count === 0
      ? good('none is older than ten minutes')
      : warning(
          `${count}, the longest for ${longest} s`,
          'End them (pg_terminate_backend): vacuum cannot clean what they may still see.',
        );
  }),
  databaseCheck('replication', async (database) => {
    const { rows } = await database.reads.execute(
      `select application_name as name, state, sync_state, coalesce(pg_wal_lsn_diff(pg_current_wal_lsn(), replay_lsn), 0)::float8 as bytes
         from pg_stat_replication where not pg_is_in_recovery()`,
      [],
    );
    if (rows.length === 0) return skipped('there is no standby: a backup is all that a lost disk leaves');
    const text = rows
      .map(({ name, sync_state, bytes }) => `${name} (${sync_state}) ${formatBytes(bytes as number)} behind`)
      .join(', ');
    return rows.every(({ state, bytes }) => state === 'streaming' && (bytes as number) < 64 * 2 ** 20)
      ? good(text)
      : warning(text, 'See whether the standby keeps up: what it lacks is lost with the primary.');
  }),
  databaseCheck('notifications', async (database, { config: { pgbouncer } }) => {
    if (pgbouncer)
      return good('none through PgBouncer: other devices learn of a change by asking each five seconds');
    let hear: (heard: boolean) => void = () => {};
    const heard = new Promise<boolean>((resolve) => {
      hear = resolve;
      setTimeout(() => resolve(false), NOTIFICATION_MS).unref();
    });
    const stop = await database.listen(
      NOTIFICATION_CHANNEL,
      () => hear(true),
      () => {},
    );
    try {
      await database.reads.execute(`select pg_notify('${NOTIFICATION_CHANNEL}', '')`, []);
      return (await heard)
        ? good('they arrive')
        : warning(
            'they do not arrive: other devices learn of a change after five seconds',
            'If there is a connection pooler on the way, say so with PASSMANAGER_PGBOUNCER=on.',
          );
    } finally {
      await stop();
    }
  }),
  databaseCheck('database_size', async (database) => {
    const { bytes, users, entries } = await one(
      database,
      `select pg_database_size(current_database())::float8 as bytes, (select count(*) from users)::int as users,
              (select coalesce(sum(entry_count), 0) from users)::int as entries`,
    );
    return good(`${formatBytes(bytes as number)} for ${users} accounts with ${entries} entries`);
  }),
];
