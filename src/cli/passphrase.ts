/** The passphrase of backups, from a file: an argument would be seen by every user of the machine. */
import { readFile, stat } from 'node:fs/promises';
import { type Command, Option } from 'commander';
import { BackupError } from '../database/backup/backup_errors.ts';
import { passphraseOf } from '../database/backup/backup_file.ts';
import type { Terminal } from './terminal.ts';

/** The option that names the file. */
export const passphraseOption = (): Option =>
  new Option(
    '-p, --passphrase-file <file>',
    'the file whose one line is the passphrase; readable by you alone',
  );

/**
 * The passphrase in the file of a command's option, and a word where others may read it. Throws BackupError; ends the command
 * where the option is missing.
 */
export async function readPassphrase(
  file: string | undefined,
  command: Command,
  terminal: Pick<Terminal, 'note'>,
): Promise<string> {
  if (file === undefined)
    return command.error("error: required option '-p, --passphrase-file <file>' not specified");
  const text = await readFile(file, 'utf8').catch(({ code }: NodeJS.ErrnoException) => {
    throw new BackupError(`the passphrase file ${file} cannot be read (${code})`);
  });
  const passphrase = passphraseOf(text);
  if (process.platform !== 'win32' && ((await stat(file)).mode & 0o077) !== 0)
    terminal.note(`Other users may read ${file}: chmod 600 ${file}`);
  return passphrase;
}
