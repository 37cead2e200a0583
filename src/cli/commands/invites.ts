/** `passmanager invites`: what lets one person in where registration is by invite. */
import { Command, Option } from 'commander';
import { recordEvent } from '../../database/audit_log.ts';
import type { Database } from '../../database/database.ts';
import { createInvite, listInvites, revokeInvite } from '../../database/invites.ts';
import type { CliContext } from '../context.ts';
import { parseDuration } from '../duration.ts';
import { formatTable } from '../table.ts';
import { withDatabase } from '../with_database.ts';

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
class NoSuchInviteError extends Error {
  constructor(message: string) {
    super(message);
    this.name = 'NoSuchInviteError';
  }
}
