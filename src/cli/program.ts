/** The `passmanager` command: its commands, and what their errors end with. */
import { Command, CommanderError, Option } from 'commander';
import { publishedPath } from '../database/backup/unfinished.ts';
import { type Config, ConfigError, EXIT_BAD_CONFIGURATION } from '../server/config.ts';
import { CONFIG_VARIABLE } from '../server/config_sources.ts';
import { explainDatabaseFailure } from '../server/start_failure.ts';
import { auditCommand } from './commands/audit.ts';
import { backupCommand } from './commands/backup.ts';
import { completionCommand } from './commands/completion.ts';
import { configCommand } from './commands/config.ts';
import { demoCommand } from './commands/demo.ts';
import { doctorCommand } from './commands/doctor.ts';
import { invitesCommand } from './commands/invites.ts';
import { keysCommand } from './commands/keys.ts';
import { migrateCommand } from './commands/migrate.ts';
import { moveDatabaseCommand } from './commands/move_database.ts';
import { restoreCommand } from './commands/restore.ts';
import { serveCommand } from './commands/serve.ts';
import { statsCommand } from './commands/stats.ts';
import { usersCommand } from './commands/users.ts';
import { CliContext, type Environment } from './context.ts';
import type { Terminal } from './terminal.ts';

/** Exit codes (sysexits.h where it has one). */
export const EXIT = { done: 0, failed: 1, usage: 64, configuration: EXIT_BAD_CONFIGURATION } as const;

const EXIT_CODES = `
Exit codes: 0 done, 1 not done (the message says why), 64 the command is not one, 78 the configuration is not good.
doctor: 0 all is good, 1 warnings, 2 failures, a configuration that is not good among them.

In a checkout type npx passmanager; elsewhere npx would fetch a stranger’s package of that name.`;

/** The whole command. `context`: what its commands are run with. */
export function createProgram(context: CliContext, version: string): Command {
  const program = new Command('passmanager')
    .description('A trust-free password-manager server: it never sees a password, a name, a key or an entry.')
    .version(version, '-V, --version')
    .addOption(new Option('-c, --config <file>', `the configuration file, as ${CONFIG_VARIABLE}`))
    .addHelpText('after', EXIT_CODES)
    .showHelpAfterError('(npx passmanager --help shows what there is)');
  for (const make of [
    serveCommand,
    migrateCommand,
    configCommand,
    doctorCommand,
    backupCommand,
    restoreCommand,
    moveDatabaseCommand,
    keysCommand,
    invitesCommand,
    usersCommand,
    statsCommand,
    auditCommand,
    demoCommand,
  ])
    program.addCommand(make(context));
  program.addCommand(completionCommand(context, program));
  return program;
}

/** Runs the command line `parameters`. Answers the exit code; never throws. */
export async function runProgram(
  parameters: readonly string[],
  terminal: Terminal,
  environment: Environment,
  version: string,
): Promise<number> {
  const settings: Record<string, string | undefined> = { ...environment };
  const context = new CliContext(terminal, settings);
  const program = createProgram(context, version);
  const toTerminal = {
    writeOut: (text: string) => terminal.say(text.replace(/\n$/, '')),
    writeErr: (text: string) => terminal.note(text.replace(/\n$/, '')),
  };
  const prepare = (command: Command): void => {
    command.exitOverride().configureOutput(toTerminal);
    command.commands.forEach(prepare);
  };
  prepare(program);
  program.hook('preAction', () => {
    const file = program.opts<{ config?: string }>().config;
    if (file !== undefined) settings[CONFIG_VARIABLE] = file;
  });
  try {
    await program.parseAsync(parameters, { from: 'user' });
    return context.exitCode;
  } catch (error) {
    if (error instanceof CommanderError) return error.exitCode === 0 ? EXIT.done : EXIT.usage;
    terminal.note(messageOf(error, context));
    return error instanceof ConfigError ? EXIT.configuration : EXIT.failed;
  }
}

/**
 * What is said of an error. Those with a name of their own say what to do, those of the system and the database are
 * explained; of any other the place matters, too.
 */
function messageOf(error: unknown, context: CliContext): string {
  if (!(error instanceof Error)) return String(error);
  return (
    explainDatabaseFailure(error, databaseSettings(context)) ??
    fileProblem(error) ??
    (error.name === 'Error' || error instanceof TypeError ? (error.stack ?? error.message) : error.message)
  );
}

function databaseSettings(context: CliContext): Pick<Config, 'databaseUrl' | 'dataDir'> {
  try {
    return context.config();
  } catch {
    return { databaseUrl: undefined, dataDir: '' };
  }
}

/** What the system says of a file that a command was told to use. */
const FILE_PROBLEMS: ReadonlyMap<string, string> = new Map([
  ['ENOENT', 'is not there, or its directory is not'],
  ['EISDIR', 'is a directory, and a file is needed'],
  ['ENOTDIR', 'has something above it that is no directory'],
  ['EACCES', 'is closed to this user'],
  ['EPERM', 'is closed to this user'],
  ['EROFS', 'is on a file system that is read-only'],
  ['EEXIST', 'is there already'],
  ['ENOSPC', 'is on a disk that is full'],
  ['EDQUOT', 'is on a disk that is full'],
]);

function fileProblem(error: NodeJS.ErrnoException & { readonly dest?: string }): string | undefined {
  const problem = error.syscall === undefined ? undefined : FILE_PROBLEMS.get(error.code ?? '');
  if (problem === undefined) return undefined;
  const path = error.dest ?? error.path ?? 'what was named';
  return `${publishedPath(path)} ${problem} (${error.code})`;
}
