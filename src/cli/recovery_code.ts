/**
 * `npm run recovery-code` makes a new recovery code and shows it; `npm run recovery-code -- recover` asks for it and makes
 * a lost key file again. Both work while the server runs and while it does not.
 */
import { randomBytes } from 'node:crypto';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline/promises';
import { KeyFileError } from '../database/key_file.ts';
import { makeRecoveryCode, recoverKeyFile } from '../database/server_keys.ts';
import { type Config, loadConfig } from '../server/config.ts';
import { withDatabase } from './with_database.ts';

/** What a command is run with. */
export interface Terminal {
  say(line: string): void;
  /** One line from the person, or what was piped in. */
  ask(question: string): Promise<string>;
}

/** A command that is not one. */
export class UsageError extends Error {
  constructor() {
    super('usage: npm run recovery-code, or: npm run recovery-code -- recover');
    this.name = 'UsageError';
  }
}

/**
 * Runs the command that `parameters` name on the database of the configuration. The code is shown to `terminal` and kept
 * nowhere. Throws UsageError, KeyFileError, RecoveryCodeError, EmbeddedPostgresError or DatabaseFault.
 */
export async function runRecoveryCode(
  parameters: readonly string[],
  config: Pick<Config, 'dataDir' | 'databaseUrl' | 'keyFile' | 'pgbouncer'>,
  terminal: Terminal,
): Promise<void> {
  const [command] = parameters;
  if (parameters.length > 1 || (command !== undefined && command !== 'recover')) throw new UsageError();
  const keyFile = config.keyFile ?? join(config.dataDir, 'key');
  await withDatabase(config, async (database) => {
    if (command === undefined) {
      const code = await makeRecoveryCode({ database, keyFile, random: randomBytes });
      terminal.say(
        'Recovery code, shown this once. It takes the place of any earlier one. With it a lost key file can be',
      );
      terminal.say('made again; losing both loses every vault. Keep it away from this machine.');
      terminal.say(`  ${code}`);
    } else {
      if (existsSync(keyFile))
        throw new KeyFileError(`the key file ${keyFile} exists and is never overwritten: move it away first`);
      const code = await terminal.ask('Recovery code: ');
      await recoverKeyFile({ database, keyFile, code, random: randomBytes });
      terminal.say(`The key file ${keyFile} was made. Start the server, and back the key file up.`);
    }
  });
}

if (import.meta.main) {
  const terminal: Terminal = {
    say: (line) => void process.stdout.write(`${line}\n`),
    async ask(question) {
      process.stderr.write(question);
      const lines = createInterface({ input: process.stdin });
      // The last line may have no end.
      for await (const line of lines) return line;
      return '';
    },
  };
  run();

  async function run(): Promise<void> {
    try {
      await runRecoveryCode(process.argv.slice(2), loadConfig(process.env), terminal);
    } catch (error) {
      process.stderr.write(`${(error as Error).message}\n`);
      process.exitCode = 1;
    }
  }
}
