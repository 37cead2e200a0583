/** `passmanager demo`: plays the main job against the running server. */
import { Command } from 'commander';
import { UnavailableError } from '../../client/node.ts';
import type { CliContext } from '../context.ts';
import { runDemo, SAMPLE } from '../demo.ts';

/** The command. */
export function demoCommand(context: CliContext): Command {
  const { terminal } = context;
  return new Command('demo')
    .description(
      'register, import, search, edit and change the password on the running server, then remove all of it',
    )
    .addHelpText('after', '\nExample: passmanager demo passwords.csv')
    .argument('[export.csv]', 'a browser’s password export; a sample of 200 entries when none is named')
    .action(async (file: string | undefined) => {
      const stage = {
        say: (line: string) => terminal.say(line),
        progress: (line: string) => terminal.progress(line),
      };
      try {
        const report = await runDemo(file ?? SAMPLE, context.config(), stage);
        const [imported, changed] = [report.importMs, report.passwordChangeMs].map(Math.round);
        terminal.say(
          `${report.entries} entries: imported in ${imported} ms, password changed in ${changed} ms`,
        );
        if (report.foundTexts > 0) context.exitCode = 1;
      } catch (error) {
        terminal.note('the demonstration ended early');
        if (error instanceof UnavailableError)
          terminal.note('It needs the running server: start it in another terminal with npm start.');
        throw error;
      }
    });
}
