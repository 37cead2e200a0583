/** `passmanager doctor`: looks at everything that can be wrong, says what it means and what to do, and changes nothing. */
import { Command, InvalidArgumentError, Option } from 'commander';
import type { Database } from '../../database/database.ts';
import { ConfigError, keyFileOf } from '../../server/config.ts';
import { explainDatabaseFailure } from '../../server/start_failure.ts';
import type { CliContext } from '../context.ts';
import { BACKUP_CHECKS } from '../doctor/backup_checks.ts';
import {
  type Check,
  type CheckResult,
  type CheckState,
  exitCodeOf,
  failure,
  runChecks,
} from '../doctor/check.ts';
import { DATABASE_CHECKS } from '../doctor/database_checks.ts';
import { DOOR_CHECKS } from '../doctor/door_checks.ts';
import { EXPOSURE_CHECKS } from '../doctor/exposure_checks.ts';
import { KEY_CHECKS } from '../doctor/key_checks.ts';
import { MACHINE_CHECKS } from '../doctor/machine_checks.ts';
import { TRACE_CHECKS } from '../doctor/trace_checks.ts';
import { withDatabase } from '../with_database.ts';

/** Every check, in the order in which they are run and shown. */
export const CHECKS: readonly Check[] = [
  ...MACHINE_CHECKS,
  ...DATABASE_CHECKS,
  ...KEY_CHECKS,
  ...BACKUP_CHECKS,
  ...EXPOSURE_CHECKS,
  ...TRACE_CHECKS,
  ...DOOR_CHECKS,
];

const MARKS: Readonly<Record<CheckState, string>> = {
  good: 'good   ',
  warning: 'WARNING',
  failure: 'FAILURE',
  skipped: '-      ',
};

const parseUrl = (text: string): string => {
  if (!URL.canParse(text) || !/^https?:$/.test(new URL(text).protocol))
    throw new InvalidArgumentError('such as https://vault.example.org');
  return text.replace(/\/$/, '');
};

/** The command. */
export function doctorCommand(context: CliContext): Command {
  return new Command('doctor')
    .description(
      'look for what is wrong or will be, say what it means and what to do; leaves nothing changed',
    )
    .addOption(new Option('--json', 'print JSON'))
    .addOption(
      new Option('--url <url>', 'the address at which clients reach the server, through a proxy').argParser(
        parseUrl,
      ),
    )
    .addHelpText(
      'after',
      `
It makes an account under a name of its own through each door, uses it and deletes it. Run it on the server's machine, as
the server's user, while the server runs.

Exit codes: 0 all is good, 1 warnings, 2 failures.
Examples: passmanager doctor
          passmanager doctor --url https://vault.example.org --json`,
    )
    .action(async (options: { json?: boolean; url?: string }) => {
      const { terminal } = context;
      const tell = (result: CheckResult): void => {
        if (options.json === true) return;
        terminal.say(`${MARKS[result.state]}  ${result.name.padEnd(20)}  ${result.detail}`);
        if (result.advice !== '') terminal.say(`         ${''.padEnd(20)}  → ${result.advice}`);
      };
      // Whatever happens, it is told as the result of a check: monitoring reads nothing else.
      const checks = await examine(context, options.url, tell).catch((error: unknown) => {
        const result = brokenOff(error);
        tell(result);
        return [result];
      });
      if (options.json === true) context.print({ checks }, true, () => []);
      else {
        const count = (state: CheckState) => checks.filter((check) => check.state === state).length;
        const counted = (state: CheckState) => `${count(state)} ${state}${count(state) === 1 ? '' : 's'}`;
        terminal.say();
        terminal.say(
          `${count('good')} good, ${counted('warning')}, ${counted('failure')}, ${count('skipped')} not looked at`,
        );
      }
      context.exitCode = exitCodeOf(checks);
    });
}

/** Runs every check, those of the database with why it is not reached where it is not. Throws ConfigError. */
async function examine(
  context: CliContext,
  url: string | undefined,
  tell: (result: CheckResult) => void,
): Promise<readonly CheckResult[]> {
  const config = context.config();
  const run = (database: Database | undefined, databaseProblem = ''): Promise<CheckResult[]> =>
    runChecks(
      CHECKS,
      {
        config,
        database,
        databaseProblem,
        keyFile: keyFileOf(config),
        secretFiles: context.secretFiles(),
        url,
        now: Date.now(),
      },
      tell,
    );
  let results: CheckResult[] | undefined;
  try {
    await withDatabase({ ...config, goOn: false }, async (database) => {
      await database.reads.execute('select 1 as one', []);
      results = await run(database);
    });
  } catch (error) {
    if (results === undefined) {
      const said = error instanceof Error ? error.message : String(error);
      return run(undefined, explainDatabaseFailure(error, config) ?? said);
    }
  }
  return results ?? [];
}

/** What is told where the checks could not be run. */
function brokenOff(error: unknown): CheckResult {
  if (!(error instanceof ConfigError)) {
    const said = error instanceof Error ? error.message : String(error);
    return { name: 'doctor', ...failure(said, 'See the message.') };
  }
  return {
    name: 'configuration',
    ...failure(
      error.problems.join('; '),
      'Mend the settings: npx passmanager config shows those in force and where they come from.',
    ),
  };
}
