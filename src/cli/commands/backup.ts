/** `passmanager backup`: everything that lasts in one sealed file, and the proof that such a file can be brought back. */
import { resolve } from 'node:path';
import { Command, Option } from 'commander';
import { makeBackup, verifyBackup } from '../../database/backup/backup.ts';
import { keyFileOf } from '../../server/config.ts';
import { createLogger } from '../../server/log.ts';
import type { CliContext } from '../context.ts';
import { formatRowCounts, showProgress } from '../copy_report.ts';
import { interruptible } from '../interruption.ts';
import { passphraseOption, readPassphrase } from '../passphrase.ts';
import { formatBytes, formatTable } from '../table.ts';
import { formatSeconds, timed } from '../timed.ts';
import { withConnection } from '../with_database.ts';

interface Options {
  readonly passphraseFile?: string;
  readonly json?: boolean;
}

/** The command. */
export function backupCommand(context: CliContext): Command {
  const { terminal } = context;
  const backup = new Command('backup')
    .description('back everything up into one sealed file, while the server serves or stands')
    .argument('<file>', 'where to; it appears when it is whole, and takes the place of one that is there')
    .addOption(passphraseOption())
    .addOption(new Option('--json', 'print JSON'))
    .addHelpText(
      'after',
      `
The file holds the accounts, the entries as their clients encrypted them, invites, and the server's keys with the key
file: with file and passphrase alone a new machine gets all of it back. Sessions are not in it.

Examples: passmanager backup /backups/today.pmbackup --passphrase-file ~/backup-passphrase
          passmanager backup verify /backups/today.pmbackup --passphrase-file ~/backup-passphrase`,
    )
    .action(async (file: string, options: Options, command: Command) => {
      const config = context.config();
      const passphrase = await readPassphrase(options.passphraseFile, command, terminal);
      const { done, milliseconds } = await timed(() =>
        interruptible((signal) =>
          withConnection(config, (connection) =>
            makeBackup({ connection, keyFile: keyFileOf(config) }, file, {
              passphrase,
              progress: showProgress(terminal),
              signal,
            }),
          ),
        ),
      );
      context.print({ file: resolve(file), ...done, milliseconds }, options.json, (report) => [
        ...formatRowCounts(report.tables),
        '',
        `${report.file}: ${formatBytes(report.bytes)} in ${formatSeconds(milliseconds)}`,
      ]);
    });
  backup
    .command('verify')
    .description('restore a backup into a throw-away database, and compare every row by count and hash')
    .addHelpText(
      'after',
      '\nExample: passmanager backup verify /backups/today.pmbackup --passphrase-file ~/backup-passphrase',
    )
    .argument('<file>', 'the backup')
    .addOption(passphraseOption())
    .addOption(new Option('--json', 'print JSON'))
    .action(async (file: string, _: Options, command: Command) => {
      // The options of `backup` are the same, and whichever of the two read them has them.
      const options = command.optsWithGlobals<Options>();
      const passphrase = await readPassphrase(options.passphraseFile, command, terminal);
      const { done, milliseconds } = await timed(() =>
        interruptible((signal) =>
          verifyBackup(file, {
            passphrase,
            log: createLogger('warn'),
            progress: showProgress(terminal),
            signal,
          }),
        ),
      );
      const { manifest, tables } = done;
      const { madeAt, migrations } = manifest;
      context.print({ file: resolve(file), madeAt, migrations, tables, milliseconds }, options.json, () => [
        ...formatTable(
          ['TABLE', 'ROWS', 'SHA-256 OF THE ROWS'],
          tables.map(({ table, rows, sha256 }) => [table, rows, sha256.slice(0, 16)]),
        ),
        '',
        `The backup of ${madeAt} is whole: it was restored in ${formatSeconds(milliseconds)}, every row is as it was, and the key file in it opens the server keys.`,
      ]);
    });
  return backup;
}
