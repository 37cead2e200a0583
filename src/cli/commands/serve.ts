/** `passmanager serve`: becomes the server, as npm start does. */
import { extname } from 'node:path';
import { fileURLToPath } from 'node:url';
import { Command } from 'commander';
import type { CliContext } from '../context.ts';

/**
 * How the server's process is started: no inspector by a signal, and a heap that fits a small machine
 * (docs/adr/0007-npm-start-runs-built-code.md).
 */
export const SERVER_FLAGS = [
  '--disable-sigusr1',
  '--max-semi-space-size=8',
  '--max-old-space-size=512',
] as const;

/** The program of the server, built or not as this file is. */
export function serverProgram(): string {
  return fileURLToPath(new URL(`../../server/main${extname(import.meta.url)}`, import.meta.url));
}

/** The command. */
export function serveCommand(context: CliContext): Command {
  return new Command('serve')
    .description('run the server until SIGTERM or SIGINT; SIGHUP has it read its certificate again')
    .addHelpText('after', '\nExample: passmanager serve --config /etc/passmanager/passmanager.toml')
    .action(async () => {
      const parameters = [process.execPath, ...SERVER_FLAGS, serverProgram()];
      if (process.execve === undefined || process.platform === 'win32') {
        Object.assign(process.env, context.environment);
        await import('../../server/main.ts');
        return;
      }
      // The flags are read when the process starts: it is this one from here on, with its signals and its terminal.
      process.execve(process.execPath, parameters, { ...context.environment } as NodeJS.ProcessEnv);
    });
}
