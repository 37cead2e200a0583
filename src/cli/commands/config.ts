/** `passmanager config`: what is in force, and where it comes from. */
import { Command, Option } from 'commander';
import { renderSampleFile } from '../../server/config_documents.ts';
import type { CliContext } from '../context.ts';
import { formatTable } from '../table.ts';

/** The command. */
export function configCommand(context: CliContext): Command {
  return new Command('config')
    .description('show every setting in force and where it comes from; secrets are hidden')
    .addOption(new Option('--json', 'print JSON'))
    .addOption(new Option('--changed', 'only those that differ from the default'))
    .addOption(new Option('--sample', 'print an annotated configuration file instead'))
    .addHelpText('after', '\nExample: passmanager config --sample > passmanager.toml')
    .action((options: { json?: boolean; changed?: boolean; sample?: boolean }) => {
      if (options.sample === true) {
        context.terminal.say(renderSampleFile().trimEnd());
        return;
      }
      const settings = context
        .settings()
        .filter(({ origin }) => options.changed !== true || origin !== 'default');
      context.print(settings, options.json, (rows) =>
        formatTable(
          ['SETTING', 'VALUE', 'FROM'],
          rows.map(({ key, value, origin }) => [key, value === '' ? '(none)' : value, origin]),
        ),
      );
    });
}
