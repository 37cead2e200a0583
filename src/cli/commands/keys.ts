/** `passmanager keys`: the server's own keys, the file that opens them, and the code that replaces a lost file. */
import { randomBytes } from 'node:crypto';
import { existsSync } from 'node:fs';
import { Command, Option } from 'commander';
import { recordEvent } from '../../database/audit_log.ts';
import { KeyFileError } from '../../database/key_file.ts';
import { countUnderOtherKeys, rotateSealingKey } from '../../database/key_rotation.ts';
import {
  type KeyStatus,
  makeRecoveryCode,
  readKeyStatus,
  recoverKeyFile,
} from '../../database/server_keys.ts';
import { keyFileOf } from '../../server/config.ts';
import type { CliContext } from '../context.ts';
import { formatTable } from '../table.ts';
import { confirm } from '../terminal.ts';
import { withDatabase } from '../with_database.ts';

/** The command. */
export function keysCommand(context: CliContext): Command {
  const { terminal } = context;
  const keys = new Command('keys').description('the server’s keys, the key file and the recovery code');
  const sayCode = (code: string): void => {
    terminal.say(
      'Recovery code, shown this once. It takes the place of any earlier one. With it a lost key file can be',
    );
    terminal.say('made again; losing both loses every vault. Keep it away from this machine.');
    terminal.say(`  ${code}`);
  };
  const place = () => {
    const config = context.config();
    return { config, keyFile: keyFileOf(config) };
  };

  keys
    .command('status')
    .description('show the keys, whether the key file opens them, and whether there is a recovery code')
    .addHelpText('after', '\nExample: passmanager keys status')
    .addOption(new Option('--json', 'print JSON'))
    .action(async (options: { json?: boolean }) => {
      const { config, keyFile } = place();
      const status = await withDatabase(config, async (database) => {
        const keys = await readKeyStatus({ database, keyFile });
        const sealing = keys.keys.find(({ purpose, state }) => purpose === 'sealing' && state === 'active');
        const rowsUnderOtherKeys =
          sealing === undefined ? 0 : await countUnderOtherKeys(database, sealing.id);
        return { ...keys, rowsUnderOtherKeys };
      });
      context.print({ keyFile, ...status }, options.json, describeStatus);
      if (!status.opens) context.exitCode = 1;
    });

  keys
    .command('recovery-code')
    .description('make a new recovery code, in the place of any earlier one, and show it this once')
    .addHelpText('after', '\nExample: passmanager keys recovery-code')
    .addOption(new Option('--yes', 'do not ask whether an earlier code is to be void'))
    .action(async (options: { yes?: boolean }) => {
      const { config, keyFile } = place();
      const code = await withDatabase(config, async (database) => {
        const { hasRecoveryCode } = await readKeyStatus({ database, keyFile });
        if (hasRecoveryCode)
          await confirm(
            terminal,
            'There is a recovery code already. Make another one? The one before will be void.',
            options.yes === true,
          );
        const made = await makeRecoveryCode({ database, keyFile, random: randomBytes });
        await recordEvent(database.writes, 'recovery code made');
        return made;
      });
      sayCode(code);
    });

  keys
    .command('rotate')
    .description(
      'make a new sealing key and seal everything again under it, while the server serves or stands',
    )
    .addHelpText(
      'after',
      `
Every server must run this version. Beside a server it waits half a minute until all know the new key and seal with it; then all
accounts and sessions are written again. Shows a new recovery code at once: the one before is void from then on. Cut short, it goes on
when run again; where the new key sealed already, what is left is sealed again under that one, and no other code is shown.

Example: passmanager keys rotate`,
    )
    .addOption(new Option('--yes', 'do not ask'))
    .action(async (options: { yes?: boolean }) => {
      const { config, keyFile } = place();
      await confirm(
        terminal,
        'Rotate the sealing key? The recovery code of today will be void, and a new one is shown.',
        options.yes === true,
      );
      const { rows, left, isNew, damaged } = await withDatabase(config, (database, isAlone) =>
        rotateSealingKey({
          database,
          keyFile,
          random: randomBytes,
          ...(isAlone ? { learnMs: 0 } : {}),
          tell: (step) => {
            if (step.step === 'staged') {
              sayCode(step.recoveryCode);
              terminal.note(`Key ${step.keyId} is staged; every server learns of it now.`);
            } else if (step.step === 'resumed')
              terminal.note(`The rotation to key ${step.keyId} was cut short: it goes on.`);
            else if (step.step === 'active') terminal.note(`Key ${step.keyId} seals from now on.`);
            else terminal.progress(`${step.rows} rows sealed again`);
          },
        }),
      );
      terminal.say(
        isNew
          ? `${rows} rows were sealed again under the new key.`
          : `${rows} rows were sealed again under the key of the rotation before. No new key was made: run this again for one.`,
      );
      if (damaged.length > 0) {
        for (const { table, id } of damaged) terminal.note(`${table} ${id}`);
        terminal.note(
          `${damaged.length} rows are damaged, and were left as they are: no key opens them. A backup from before has them whole.`,
        );
        context.exitCode = 1;
      }
      if (left > 0) {
        terminal.note(`${left} rows were held by others all the time: run this again.`);
        context.exitCode = 1;
      }
    });

  keys
    .command('recover')
    .description('make a lost key file again; asks for the recovery code, or reads it from standard input')
    .addHelpText('after', '\nExample: passmanager keys recover')
    .action(async () => {
      const { config, keyFile } = place();
      await withDatabase(config, async (database) => {
        if (existsSync(keyFile))
          throw new KeyFileError(
            `the key file ${keyFile} exists and is never overwritten: move it away first`,
          );
        const code = await terminal.ask('Recovery code: ');
        await recoverKeyFile({ database, keyFile, code, random: randomBytes });
        await recordEvent(database.writes, 'key file recovered');
      });
      terminal.say(`The key file ${keyFile} was made. Start the server, and back the key file up.`);
    });
  return keys;
}

function describeStatus({
  keyFile,
  opens,
  reason,
  hasRecoveryCode,
  keys,
  rowsUnderOtherKeys,
}: KeyStatus & { keyFile: string; rowsUnderOtherKeys: number }): string[] {
  return [
    ...formatTable(
      ['ID', 'PURPOSE', 'STATE', 'MADE'],
      keys.map(({ id, purpose, state, createdAt }) => [id, purpose, state, createdAt.toISOString()]),
    ),
    '',
    opens ? `The key file ${keyFile} opens them.` : `They do not open: ${reason}`,
    hasRecoveryCode
      ? 'There is a recovery code.'
      : 'There is no recovery code: make one with npx passmanager keys recovery-code',
    ...(rowsUnderOtherKeys === 0
      ? []
      : [
          `${rowsUnderOtherKeys} rows are sealed under an earlier key: npx passmanager keys rotate seals them again.`,
        ]),
  ];
}
