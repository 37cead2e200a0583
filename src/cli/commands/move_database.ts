/** `passmanager move-database`: from the embedded PostgreSQL to one of your own, and back. */
import { mkdir } from 'node:fs/promises';
import { Command, InvalidArgumentError, Option } from 'commander';
import { moveDatabase } from '../../database/backup/backup.ts';
import { keyFileOf } from '../../server/config.ts';
import { isPostgresUrl } from '../../server/setting_values.ts';
import type { CliContext } from '../context.ts';
import { formatRowCounts, showProgress } from '../copy_report.ts';
import { interruptible } from '../interruption.ts';
import { confirm } from '../terminal.ts';
import { timed } from '../timed.ts';
import { withStoppedServer } from '../with_database.ts';

/** What stands for the embedded database in the place of a URL. */
const EMBEDDED = 'embedded';

const parseTarget = (text: string): string => {
  if (text !== EMBEDDED && !isPostgresUrl(text))
    throw new InvalidArgumentError('postgres://user@host/database, or embedded.');
  return text;
};

/** The command. */
export function moveDatabaseCommand(context: CliContext): Command {
  const { terminal } = context;
  return new Command('move-database')
    .description(
      'copy everything that lasts from the configured database into another one, and compare every row',
    )
    .argument('<url>', 'postgres://user@host/database of an empty database, or embedded', parseTarget)
    .addOption(new Option('--replace', 'delete the accounts that the other database holds'))
    .addOption(new Option('--yes', 'do not ask'))
    .addOption(new Option('--json', 'print JSON'))
    .addHelpText(
      'after',
      `
The server is stopped meanwhile; the database that was configured stays as it is. Sessions end. The key file stays where it is.
A password in the URL is seen by every user of this machine while the command runs: use ~/.pgpass or PGPASSWORD for it.

Examples: passmanager move-database postgres://passmanager@db.home.arpa/passmanager
          PASSMANAGER_DATABASE_URL=postgres://… passmanager move-database embedded`,
    )
    .action(async (url: string, options: { replace?: boolean; yes?: boolean; json?: boolean }) => {
      const config = context.config();
      const keyFile = keyFileOf(config);
      if (url === (config.databaseUrl ?? EMBEDDED)) throw new SameDatabaseError();
      if (options.replace === true)
        await confirm(
          terminal,
          'Delete every account that the other database holds and copy this one there?',
          options.yes === true,
        );
      await mkdir(config.dataDir, { recursive: true, mode: 0o700 });
      const target = { dataDir: config.dataDir, databaseUrl: url === EMBEDDED ? undefined : url };
      const { done, milliseconds } = await timed(() =>
        interruptible((signal) =>
          withStoppedServer(config, (from) =>
            withStoppedServer(target, (to) =>
              moveDatabase(
                { connection: from, keyFile },
                { connection: to, keyFile },
                { replace: options.replace === true, progress: showProgress(terminal), signal },
              ),
            ),
          ),
        ),
      );
      const { tables } = done;
      context.print({ tables, milliseconds }, options.json, () => [
        ...formatRowCounts(tables),
        '',
        `All rows are there, and are the same. ${
          url === EMBEDDED
            ? 'Remove PASSMANAGER_DATABASE_URL from the configuration'
            : 'Set PASSMANAGER_DATABASE_URL to the new database'
        }, and start the server.`,
      ]);
    });
}

/** The database is moved to itself. */
class SameDatabaseError extends Error {
  constructor() {
    super('this is the database that is configured already');
    this.name = 'SameDatabaseError';
  }
}
