/** `passmanager stats`: how much there is, in numbers; nothing of any one account. */
import { Command, Option } from 'commander';
import type { Database } from '../../database/database.ts';
import type { CliContext } from '../context.ts';
import { formatBytes, formatTable } from '../table.ts';
import { withDatabase } from '../with_database.ts';

/** What the database holds. Sizes in bytes, on disk. */
export interface Stats {
  readonly accounts: number;
  readonly accountsOfTheLast30Days: number;
  /** With a session that was used within 30 days and is still there. */
  readonly accountsInUse: number;
  readonly entries: number;
  readonly deletedEntries: number;
  /** Of the account with the most. */
  readonly mostEntries: number;
  readonly sessions: number;
  readonly pendingLogIns: number;
  readonly openPasswordChanges: number;
  readonly openInvites: number;
  readonly databaseBytes: number;
  readonly tables: readonly { readonly name: string; readonly rows: number; readonly bytes: number }[];
}

/** Counts. The rows of the tables are PostgreSQL's estimate. Throws DatabaseFault. */
async function readStats(database: Database): Promise<Stats> {
  const { rows } = await database.reads.execute(
    `select (select count(*) from users)::int as "accounts",
            (select count(*) from users where created_at > now() - interval '30 days')::int as "accountsOfTheLast30Days",
            (select count(distinct user_id) from login_sessions where last_used_at > now() - interval '30 days')::int
              as "accountsInUse",
            (select coalesce(sum(entry_count), 0) from users)::float8 as "entries",
            (select count(*) from secure_data where entry_name is null)::float8 as "deletedEntries",
            (select coalesce(max(entry_count), 0) from users)::int as "mostEntries",
            (select count(*) from login_sessions)::int as "sessions",
            (select count(*) from auth_ephemerals where expires_at > now())::int as "pendingLogIns",
            (select count(*) from users where change_expires_at > now())::int as "openPasswordChanges",
            (select count(*) from invites where used_at is null and coalesce(expires_at > now(), true))::int as "openInvites",
            pg_database_size(current_database())::float8 as "databaseBytes"`,
    [],
  );
  const { rows: tables } = await database.reads.execute(
    `select c.relname as "name", greatest(c.reltuples, s.n_live_tup, 0)::float8 as "rows",
            pg_total_relation_size(c.oid)::float8 as "bytes"
       from pg_class c join pg_stat_user_tables s on s.relid = c.oid
      where s.schemaname = current_schema() order by 3 desc, 1`,
    [],
  );
  return { ...rows[0], tables } as unknown as Stats;
}

/** The command. */
export function statsCommand(context: CliContext): Command {
  return new Command('stats')
    .description('count accounts, entries and sessions, and say how large the tables are')
    .addHelpText('after', '\nExample: passmanager stats --json')
    .addOption(new Option('--json', 'print JSON'))
    .action(async (options: { json?: boolean }) => {
      const stats = await withDatabase(context.config(), readStats);
      context.print(stats, options.json, describe);
    });
}

function describe(stats: Stats): string[] {
  return [
    `accounts   ${stats.accounts}, ${stats.accountsOfTheLast30Days} of them made and ${stats.accountsInUse} used within 30 days`,
    `entries    ${stats.entries}, and ${stats.deletedEntries} deleted; ${stats.mostEntries} in the largest vault`,
    `sessions   ${stats.sessions} open, ${stats.pendingLogIns} log-ins under way, ${stats.openPasswordChanges} password changes`,
    `invites    ${stats.openInvites} open`,
    `on disk    ${formatBytes(stats.databaseBytes)}`,
    '',
    ...formatTable(
      ['TABLE', 'ROWS (ABOUT)', 'ON DISK'],
      stats.tables.map(({ name, rows, bytes }) => [name, rows, formatBytes(bytes)]),
    ),
  ];
}
