/** `passmanager users`: accounts, by their ids. The server knows no names, so nothing here does. */
import { Command, InvalidArgumentError, Option } from 'commander';
import { recordEvent } from '../../database/audit_log.ts';
import type { Database } from '../../database/database.ts';
import { isUuid } from '../../protocol/uuid.ts';
import type { CliContext } from '../context.ts';
import { formatBytes, formatTable } from '../table.ts';
import { confirm } from '../terminal.ts';
import { withDatabase } from '../with_database.ts';

/** What the database knows of an account. */
export interface UserRow {
  readonly id: string;
  readonly createdAt: Date;
  /** Of its newest use of a session that is still there. */
  readonly lastUsedAt: Date | null;
  readonly entries: number;
  /** Sealed bytes of its entries. */
  readonly bytes: number;
  readonly sessions: number;
  readonly passwordChangeOpen: boolean;
  /** How many entries it may have; null: the server's setting. */
  readonly maxEntries: number | null;
}

/** An open session of an account. */
export interface SessionRow {
  readonly id: string;
  readonly kind: 'login' | 'password change';
  readonly createdAt: Date;
  readonly lastUsedAt: Date;
  /** None: it does not expire. */
  readonly expiresAt: Date | null;
  readonly requests: number;
}

/** An id that names no account. */
class NoSuchUserError extends Error {
  constructor() {
    super('there is no account of this id: see npx passmanager users list');
    this.name = 'NoSuchUserError';
  }
}

/** Every account, or that of an id, the oldest first. Throws DatabaseFault. */
async function listUsers(database: Database, id: string | null = null): Promise<UserRow[]> {
  const { rows } = await database.reads.execute(
    `select u.id as "id", u.created_at as "createdAt", s.last_used_at as "lastUsedAt", u.entry_count as "entries",
            d.bytes::float8 as "bytes", s.sessions::int as "sessions",
            coalesce(u.change_expires_at > clock_timestamp(), false) as "passwordChangeOpen",
            u.max_entries as "maxEntries"
       from users u,
            lateral (select count(*) as sessions, max(last_used_at) as last_used_at from login_sessions where user_id = u.id) s,
            lateral (select coalesce(sum(length(entry_name) + length(entry_data)), 0) as bytes
                       from secure_data where user_id = u.id) d
      where $1::uuid is null or u.id = $1
      order by u.created_at, u.id`,
    [id],
  );
  return rows as unknown as UserRow[];
}

/** The sessions of an account, the newest use first. Throws DatabaseFault. */
export async function listSessions(database: Database, userId: string): Promise<SessionRow[]> {
  const { rows } = await database.reads.execute(
    `select id as "id", case kind when 1 then 'login' else 'password change' end as "kind", created_at as "createdAt",
            last_used_at as "lastUsedAt", expires_at as "expiresAt", request_count::float8 as "requests"
       from login_sessions where user_id = $1 order by last_used_at desc, id`,
    [userId],
  );
  return rows as unknown as SessionRow[];
}

/** Deletes an account with every row of it. False where there is none. Throws DatabaseFault. */
export async function deleteUser(database: Database, id: string): Promise<boolean> {
  const { rows } = await database.writes.execute('delete from users where id = $1 returning id', [id]);
  return rows.length > 0;
}

const when = (date: Date | null): string => date?.toISOString() ?? '';

const parseId = (text: string): string => {
  if (!isUuid(text)) throw new InvalidArgumentError('the id of an account, as list shows it.');
  return text;
};

/** Sets how many entries an account may have; null: the server's setting. False where there is no such account. Throws DatabaseFault. */
async function setQuota(database: Database, id: string, maxEntries: number | null): Promise<boolean> {
  const { rows } = await database.writes.execute(
    'update users set max_entries = $2 where id = $1 returning id',
    [id, maxEntries],
  );
  return rows.length > 0;
}

const MOST_ENTRIES = 1_000_000;

const parseQuota = (text: string): number | null => {
  if (text === 'default') return null;
  if (!/^\d{1,7}$/.test(text) || Number(text) > MOST_ENTRIES)
    throw new InvalidArgumentError(`a whole number from 0 to ${MOST_ENTRIES}, or default.`);
  return Number(text);
};

/** The command. */
export function usersCommand(context: CliContext): Command {
  const json = () => new Option('--json', 'print JSON');
  const database = <T>(work: (database: Database) => Promise<T>) =>
    withDatabase(context.config(), (opened) => work(opened));
  const one = async (opened: Database, id: string): Promise<UserRow> => {
    const [user] = await listUsers(opened, id);
    if (user === undefined) throw new NoSuchUserError();
    return user;
  };
  const users = new Command('users').description('list, show and delete accounts; the server knows no names');
  users
    .command('list')
    .description('list all accounts')
    .addHelpText('after', '\nExample: passmanager users list --json')
    .addOption(json())
    .action(async (options: { json?: boolean }) => {
      context.print(await database(listUsers), options.json, (rows) =>
        formatTable(
          ['ID', 'MADE', 'LAST USED', 'ENTRIES', 'SIZE', 'SESSIONS'],
          rows.map((row) => [
            row.id,
            when(row.createdAt),
            when(row.lastUsedAt),
            row.entries,
            formatBytes(row.bytes),
            row.sessions,
          ]),
        ),
      );
    });
  users
    .command('show')
    .description('show one account')
    .addHelpText('after', '\nExample: passmanager users show 6f9619ff-8b86-4d01-b42d-00cf4fc964ff')
    .argument('<id>', 'as list shows it', parseId)
    .addOption(json())
    .action(async (id: string, options: { json?: boolean }) => {
      const user = await database((opened) => one(opened, id));
      context.print(user, options.json, (row) => [
        `account        ${row.id}`,
        `made           ${when(row.createdAt)}`,
        `last used      ${when(row.lastUsedAt) || 'by no session that is still there'}`,
        `entries        ${row.entries}, ${formatBytes(row.bytes)}; ${row.maxEntries ?? 'as many as the settings allow'} at most`,
        `sessions       ${row.sessions}`,
        `password change ${row.passwordChangeOpen ? 'open' : 'none'}`,
      ]);
    });
  users
    .command('sessions')
    .description('list the sessions of an account')
    .addHelpText('after', '\nExample: passmanager users sessions 6f9619ff-8b86-4d01-b42d-00cf4fc964ff')
    .argument('<id>', 'as list shows it', parseId)
    .addOption(json())
    .action(async (id: string, options: { json?: boolean }) => {
      const sessions = await database(async (opened) => {
        await one(opened, id);
        return listSessions(opened, id);
      });
      context.print(sessions, options.json, (rows) =>
        formatTable(
          ['ID', 'KIND', 'MADE', 'LAST USED', 'EXPIRES', 'REQUESTS'],
          rows.map((row) => [
            row.id,
            row.kind,
            when(row.createdAt),
            when(row.lastUsedAt),
            row.expiresAt === null ? 'never' : when(row.expiresAt),
            row.requests,
          ]),
        ),
      );
    });
  users
    .command('quota')
    .description('set how many entries an account may have; what it has above that stays')
    .argument('<id>', 'as list shows it', parseId)
    .argument('<entries>', 'a number, or default for the server’s setting', parseQuota)
    .addHelpText('after', '\nExample: passmanager users quota 6f9619ff-8b86-4d01-b42d-00cf4fc964ff 500')
    .action(async (id: string, entries: number | null) => {
      await database(async (opened) => {
        if (!(await setQuota(opened, id, entries))) throw new NoSuchUserError();
        await recordEvent(opened.writes, 'quota set', id);
      });
      context.terminal.say(
        entries === null ? 'The server’s setting counts.' : `The account may have ${entries} entries.`,
      );
    });
  users
    .command('delete')
    .description('delete an account with all its entries; it cannot be undone')
    .argument('<id>', 'as list shows it', parseId)
    .option('--yes', 'do not ask')
    .addHelpText('after', '\nExample: passmanager users delete 6f9619ff-8b86-4d01-b42d-00cf4fc964ff')
    .action(async (id: string, options: { yes?: boolean }) => {
      await database(async (opened) => {
        const { entries } = await one(opened, id);
        const question = `Delete account ${id} with its ${entries} entries, for good?`;
        await confirm(context.terminal, question, options.yes === true);
        if (!(await deleteUser(opened, id))) throw new NoSuchUserError();
        await recordEvent(opened.writes, 'account deleted by command', id);
      });
      context.terminal.say('The account is deleted.');
    });
  return users;
}
