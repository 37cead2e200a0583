/** `passmanager migrate`: brings the schema up to this version without starting the server, in a new database, too. */
import { Command } from 'commander';
import { migrate } from '../../database/migrator.ts';
import type { CliContext } from '../context.ts';
import { withDatabase } from '../with_database.ts';

/** The command. */
export function migrateCommand(context: CliContext): Command {
  return new Command('migrate')
    .description(
      'bring the database’s schema up to this version, and make the embedded database where there is none; the server’s start does so, too',
    )
    .addHelpText('after', '\nExample: passmanager migrate')
    .action(async () => {
      const made = await withDatabase({ ...context.config(), mayMake: true }, migrate);
      context.terminal.say(
        made === 0
          ? 'The schema was up to date.'
          : `The schema is up to date now, by ${made === 1 ? '1 migration' : `${made} migrations`}.`,
      );
    });
}
