/** `npm run invite` makes an invite, for one account, and shows its code. It works while the server runs and while it does not. */
import { createHash, randomBytes } from 'node:crypto';
import { parseArgs } from 'node:util';
import { type Config, loadConfig } from '../server/config.ts';
import { withDatabase } from './with_database.ts';

/** A command that is not one. */
export class UsageError extends Error {
  constructor() {
    super(
      'usage: npm run invite, or: npm run invite -- --expires-in 12h (m, h or d; 7d when nothing is said)',
    );
    this.name = 'UsageError';
  }
}

const UNITS: Readonly<Record<string, number>> = { m: 60, h: 3_600, d: 86_400 };
const LONGEST_SECONDS = 3_650 * 86_400;

/** Random bytes of a code: 128 bits, written in base64url. */
const CODE_BYTES = 16;

/** `90m`, `12h` or `7d` in seconds. Throws UsageError for anything else, for nothing and for more than ten years. */
export function parseDuration(text: string): number {
  const [, count, unit] = /^([1-9]\d{0,6})([mhd])$/.exec(text) ?? [];
  const seconds = count === undefined ? Number.NaN : Number(count) * UNITS[unit!]!;
  if (!(seconds <= LONGEST_SECONDS)) throw new UsageError();
  return seconds;
}

/**
 * Makes an invite as `parameters` say. The code, which is kept nowhere: the table has its SHA-256. Throws UsageError,
 * KeyFileError, EmbeddedPostgresError or DatabaseFault.
 */
export async function makeInvite(
  parameters: readonly string[],
  config: Pick<Config, 'dataDir' | 'databaseUrl' | 'pgbouncer'>,
): Promise<{ code: string; expiresAt: Date }> {
  const seconds = parseDuration(expiresIn(parameters));
  const code = randomBytes(CODE_BYTES).toString('base64url');
  const codeHash = createHash('sha256').update(code).digest();
  let expiresAt: Date | undefined;
  await withDatabase(config, async (database) => {
    const { rows } = await database.writes.execute(
      'insert into invites (code_hash, expires_at) values ($1, clock_timestamp() + make_interval(secs => $2)) returning expires_at',
      [codeHash, seconds],
    );
    expiresAt = rows[0]!.expires_at as Date;
  });
  return { code, expiresAt: expiresAt! };
}

function expiresIn(parameters: readonly string[]): string {
  try {
    const options = { 'expires-in': { type: 'string', default: '7d' } } as const;
    return parseArgs({ args: [...parameters], options, strict: true }).values['expires-in'];
  } catch {
    throw new UsageError();
  }
}

if (import.meta.main) {
  try {
    const { code, expiresAt } = await makeInvite(process.argv.slice(2), loadConfig(process.env));
    process.stdout.write(
      `Invite for one account, shown this once; it expires at ${expiresAt.toISOString()}.\n  ${code}\n`,
    );
  } catch (error) {
    process.stderr.write(`${(error as Error).message}\n`);
    process.exitCode = 1;
  }
}
