/** `passmanager invites`: what lets one person in where registration is by invite. */
import { createHash, randomBytes } from 'node:crypto';
import { Command, Option } from 'commander';
import { recordEvent } from '../../database/audit_log.ts';
import type { Database } from '../../database/database.ts';
import type { CliContext } from '../context.ts';
import { parseDuration } from '../duration.ts';
import { formatTable } from '../table.ts';
import { withDatabase } from '../with_database.ts';

/** Random bytes of a code: 128 bits, written in base64url. */
const CODE_BYTES = 16;

/** Hexadecimal digits of a hash that name an invite. */
const ID_DIGITS = 12;

/** An invite as the database knows it. */
export interface InviteRow {
  /** The first 12 hexadecimal digits of the SHA-256 of its code. */
  readonly id: string;
  readonly state: 'open' | 'used' | 'expired';
  readonly createdAt: Date;
  readonly expiresAt: Date | null;
  readonly usedAt: Date | null;
}

/** Makes an invite. The code is kept nowhere: the table has its SHA-256. Throws DatabaseFault. */
export async function createInvite(
  database: Database,
  seconds: number,
): Promise<{ id: string; code: string; expiresAt: Date }> {
  const code = randomBytes(CODE_BYTES).toString('base64url');
  const codeHash = createHash('sha256').update(code).digest();
  const { rows } = await database.writes.execute(
    'insert into invites (code_hash, expires_at) values ($1, clock_timestamp() + make_interval(secs => $2)) returning expires_at',
    [codeHash, seconds],
  );
  return {
    id: codeHash.toString('hex').slice(0, ID_DIGITS),
    code,
    expiresAt: rows[0]!.expires_at as Date,
  };
}

/** Every invite, the newest first. Throws DatabaseFault. */
export async function listInvites(database: Database): Promise<InviteRow[]> {
  const { rows } = await database.reads.execute(
    `select substr(encode(code_hash, 'hex'), 1, ${ID_DIGITS}) as "id",
            case when used_at is not null then 'used' when expires_at < clock_timestamp() then 'expired' else 'open' end
              as "state",
            created_at as "createdAt", expires_at as "expiresAt", used_at as "usedAt"
       from invites order by created_at desc, code_hash`,
    [],
  );
  return rows as unknown as InviteRow[];
}

/**
 * Takes back the invite of an id that is open. False where there is none: a used one stays, since the account that it made
 * stays, too. Throws DatabaseFault.
 */
export async function revokeInvite(database: Database, id: string): Promise<boolean> {
  const { rows } = await database.writes.execute(
    `delete from invites where substr(encode(code_hash, 'hex'), 1, ${ID_DIGITS}) = $1 and used_at is null
       returning code_hash`,
    [id],
  );
  return rows.length > 0;
}

/** The command. */
export function invitesCommand(context: CliContext): Command {
  const json = () => new Option('--json', 'print JSON');
  const database = <T>(work: (database: Database) => Promise<T>) =>
    withDatabase(context.config(), (opened) => work(opened));
  const invites = new Command('invites').description('make, list and revoke invites, each for one account');
  invites
    .command('create')
    .description('make an invite; its code is shown this once')
    .addOption(
      new Option('-e, --expires-in <duration>', 'how long it can be used: m, h or d')
        .default(parseDuration('7d'), '7d')
        .argParser(parseDuration),
    )
    .addOption(json())
    .addHelpText('after', '\nExample: passmanager invites create --expires-in 12h')
    .action(async (options: { expiresIn: number; json?: boolean }) => {
      const invite = await database(async (opened) => {
        await recordEvent(opened.writes, 'invite made');
        return createInvite(opened, options.expiresIn);
      });
      context.print(invite, options.json, ({ code, expiresAt }) => [
        `Invite for one account, shown this once; it expires at ${expiresAt.toISOString()}.`,
        `  ${code}`,
      ]);
    });
  invites
    .command('list')
    .description('list all invites; their codes are kept nowhere')
    .addHelpText('after', '\nExample: passmanager invites list')
    .addOption(json())
    .action(async (options: { json?: boolean }) => {
      context.print(await database(listInvites), options.json, (rows) =>
        rows.length === 0
          ? 'There are no invites.'
          : formatTable(
              ['ID', 'STATE', 'MADE', 'EXPIRES', 'USED'],
              rows.map(({ id, state, createdAt, expiresAt, usedAt }) => [
                id,
                state,
                createdAt.toISOString(),
                expiresAt?.toISOString() ?? 'never',
                usedAt?.toISOString() ?? '',
              ]),
            ),
      );
    });
  invites
    .command('revoke')
    .description('take back an invite that nobody has used')
    .argument('<id>', 'as list shows it')
    .addHelpText('after', '\nExample: passmanager invites revoke 3f2a90c1d47b')
    .action(async (id: string) => {
      const isRevoked = await database(async (opened) => {
        const done = await revokeInvite(opened, id);
        if (done) await recordEvent(opened.writes, 'invite revoked');
        return done;
      });
      if (!isRevoked)
        throw new NoSuchInviteError('there is no open invite of this id: see npx passmanager invites list');
      context.terminal.say('The invite is revoked.');
    });
  return invites;
}

/** An id that names no open invite. */
export class NoSuchInviteError extends Error {
  constructor(message: string) {
    super(message);
    this.name = 'NoSuchInviteError';
  }
}
