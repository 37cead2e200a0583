/** `passmanager restore`: brings a backup back. */
import { resolve } from 'node:path';
import { Command, Option } from 'commander';
import { restoreBackupInto } from '../../database/backup/backup.ts';
import { keyFileOf } from '../../server/config.ts';
import type { CliContext } from '../context.ts';
import { formatRowCounts, showProgress } from '../copy_report.ts';
import { interruptible } from '../interruption.ts';
import { passphraseOption, readPassphrase } from '../passphrase.ts';
import { confirm } from '../terminal.ts';
import { formatSeconds, timed } from '../timed.ts';
import { withStoppedServer } from '../with_database.ts';

/** The command. */
export function restoreCommand(context: CliContext): Command {
  const { terminal } = context;
  return new Command('restore')
    .description('bring a backup back into an empty database, or in the place of all accounts with --replace')
    .argument('<file>', 'the backup')
    .addOption(passphraseOption())
    .addOption(new Option('--replace', 'delete the accounts that are there'))
    .addOption(new Option('--yes', 'do not ask'))
    .addOption(new Option('--json', 'print JSON'))
    .addHelpText(
      'after',
      `
The server is stopped meanwhile. All of the backup comes back or, where it is refused or cut short, nothing. Every session
ends, and clients take everything over anew: what was written since the backup is gone. The key file that is there is kept;
where there is none, the backup's is written.

Example: passmanager restore /backups/today.pmbackup --passphrase-file ~/backup-passphrase`,
    )
    .action(
      async (
        file: string,
        options: { passphraseFile?: string; replace?: boolean; yes?: boolean; json?: boolean },
        command: Command,
      ) => {
        const config = context.config();
        const passphrase = await readPassphrase(options.passphraseFile, command, terminal);
        if (options.replace === true)
          await confirm(
            terminal,
            'Delete every account that is there and bring the backup back?',
            options.yes === true,
          );
        const keyFile = keyFileOf(config);
        const { done, milliseconds } = await timed(() =>
          interruptible((signal) =>
            restoreBackupInto(
              file,
              { keyFile, reach: (work) => withStoppedServer(config, work) },
              { passphrase, replace: options.replace === true, progress: showProgress(terminal), signal },
            ),
          ),
        );
        const { manifest, tables } = done;
        const report = { file: resolve(file), madeAt: manifest.madeAt, tables, milliseconds };
        context.print(report, options.json, () => [
          ...formatRowCounts(tables),
          '',
          `The backup of ${manifest.madeAt} is back after ${formatSeconds(milliseconds)}. Start the server.`,
        ]);
      },
    );
}
