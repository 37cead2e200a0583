/**
 * `npm run recovery-code` makes a new recovery code and shows it; `npm run recovery-code -- recover` asks for it and makes
 * a lost key file again. Both work while the server runs and while it does not.
 */
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { join } from 'node:path';
import { createInterface } from 'node:readline/promises';
import { type Database, openDatabase } from '../database/database.ts';
import {
  embeddedConnection,
  hasEmbeddedDatabase,
  startEmbeddedPostgres,
} from '../database/embedded/embedded_postgres.ts';
import { DataDirectoryInUseError } from '../database/embedded/errors.ts';
import { KeyFileError } from '../database/key_file.ts';
import { makeRecoveryCode, recoverKeyFile } from '../database/server_keys.ts';
import { DatabaseFault } from '../database/sqlstate.ts';
import { type Config, loadConfig } from '../server/config.ts';
import { createLogger } from '../server/log.ts';

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
      const code = await terminal.ask('Recovery code: ');
      await recoverKeyFile({ database, keyFile, code, random: randomBytes });
      terminal.say(`The key file ${keyFile} was made. Start the server, and back the key file up.`);
    }
  });
}

/** Opens the database: by its URL, through the running server's PostgreSQL, or by starting that for as long as it takes. */
async function withDatabase(
  { dataDir, databaseUrl, pgbouncer }: Pick<Config, 'dataDir' | 'databaseUrl' | 'pgbouncer'>,
  work: (database: Database) => Promise<void>,
): Promise<void> {
  const use = async (connection: Parameters<typeof openDatabase>[0]['connection']): Promise<void> => {
    const database = await openDatabase({ connection, pgbouncer, poolSize: 1 });
    try {
      await work(database);
    } catch (error) {
      if (error instanceof DatabaseFault && error.sqlState === UNDEFINED_TABLE) throw neverStarted();
      throw error;
    } finally {
      await database.close();
    }
  };
  if (databaseUrl !== undefined) return use({ connectionString: databaseUrl });
  if (!hasEmbeddedDatabase(dataDir)) throw neverStarted(` in ${dataDir}`);
  try {
    const postgres = await startEmbeddedPostgres({ dataDir, log: createLogger('warn') });
    try {
      return await use(postgres.connection);
    } finally {
      await postgres.stop();
    }
  } catch (error) {
    if (!(error instanceof DataDirectoryInUseError)) throw error;
    const { connection, close } = embeddedConnection(dataDir);
    try {
      await use(connection);
    } finally {
      close();
    }
  }
}

/** SQLSTATE undefined_table: the schema was never made. */
const UNDEFINED_TABLE = '42P01';

const neverStarted = (where = ''): KeyFileError =>
  new KeyFileError(
    `there is no database${where} yet, so there is nothing to recover: start the server once (npm start)`,
  );

if (import.meta.main) {
  const terminal: Terminal = {
    say: (line) => void process.stdout.write(`${line}\n`),
    async ask(question) {
      const lines = createInterface({ input: process.stdin, output: process.stderr });
      try {
        // At the end of the input no answer comes any more.
        return await Promise.race([lines.question(question), once(lines, 'close').then(() => '')]);
      } finally {
        lines.close();
      }
    },
  };
  runRecoveryCode(process.argv.slice(2), loadConfig(process.env), terminal).catch((error: Error) => {
    process.stderr.write(`${error.message}\n`);
    process.exitCode = 1;
  });
}
