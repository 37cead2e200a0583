/**
 * Plays the main job against the running server, through the client library: register, log in, import a browser's password
 * export, search, edit, change the password, read all again, and then look at what the server's own tables hold of it.
 * Deletes its account at the end.
 */
import { randomUUID } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import {
  logIn,
  type NewEntry,
  parsePasswordCsv,
  registerUser,
  type Vault,
  type VaultTransport,
} from '../client/node.ts';
import type { Database } from '../database/database.ts';
import { createInvite, forgetInvite } from '../database/invites.ts';
import { frame, sha256 } from '../protocol/bytes.ts';
import { usernameHash } from '../protocol/username.ts';
import type { Config } from '../server/config.ts';
import { packageRoot } from '../server/package.ts';
import { grpcDoor, type Places } from './doctor/doors.ts';
import { timed } from './timed.ts';
import { withDatabase } from './with_database.ts';

/** Where the demonstration speaks. */
export interface Stage {
  say(line: string): void;
  /** Shows how far something is; the next call takes its place. */
  progress(line: string): void;
}

/** What a demonstration measured. Times in milliseconds, sizes in bytes. */
export interface DemoReport {
  readonly entries: number;
  readonly importMs: number;
  readonly passwordChangeMs: number;
  readonly tableBytes: number;
  /** Clear texts of the export that were looked for in the tables. */
  readonly searchedTexts: number;
  /** Those that were found. */
  readonly foundTexts: number;
}

/** The sample of 200 entries that comes along. */
export const SAMPLE = join(packageRoot(), 'examples/passwords.csv');

/** What it takes to look into the server's tables. */
type Tables = Pick<Config, 'dataDir' | 'databaseUrl' | 'pgbouncer'>;

/** Seconds for which an invite of the demonstration is good. */
const INVITE_SECONDS = 60;

/** Plays the demonstration with the export at `file` on the server of the configuration. */
export async function runDemo(
  file: string,
  config: Tables & Places & Pick<Config, 'registration'>,
  stage: Stage,
): Promise<DemoReport> {
  const entries = await readExport(file);
  // Its own certificate is enough: it is for the name that clients know, and of an authority of the operator’s perhaps.
  const { transport, close } = await grpcDoor(config, undefined).transport();
  const username = `demo-${randomUUID()}@example.com`;
  const [password, newPassword] = ['correct horse battery staple', 'Tr0ub4dor & 3 more words'];
  try {
    await step(stage, `registering ${username}`, () =>
      config.registration === 'invite'
        ? registerByInvite(transport, { username, password }, config)
        : registerUser(transport, { username, password }),
    );
    let vault = await step(stage, 'logging in: Argon2id here, SRP-6a there and here', () =>
      open(transport, username, password),
    );
    try {
      const imported = await timed(() =>
        step(stage, `importing ${entries.length} entries`, () =>
          vault.createMany(entries, { onProgress: (done, total) => stage.progress(`  ${done} of ${total}`) }),
        ),
      );
      const [first] = entries;
      await step(stage, `searching for “${first?.name ?? ''}” among the names, decrypted here`, async () => {
        const found = await vault.search(first?.name ?? '');
        for (const { name } of found.slice(0, 3)) stage.say(`    ${name}`);
      });
      await step(stage, 'editing it', () =>
        vault.update(imported.done[0]!, { notes: 'edited by the demonstration' }),
      );
      const changed = await timed(() =>
        step(stage, 'changing the password: a new vault key, every entry encrypted anew, one commit', () =>
          vault.changePassword({
            currentPassword: password,
            newPassword,
            onProgress: ({ stage: part, done, total }) => stage.progress(`  ${part}: ${done} of ${total}`),
          }),
        ),
      );
      vault.close();
      vault = await step(stage, 'logging in with the new password', () =>
        open(transport, username, newPassword),
      );
      await step(stage, 'reading everything', () => verify(vault, entries));
      const seen = await whatTheServerSees(config, entries, username, stage);
      return {
        entries: entries.length,
        importMs: imported.milliseconds,
        passwordChangeMs: changed.milliseconds,
        ...seen,
      };
    } finally {
      await step(stage, 'deleting the account', () => vault.deleteAccount({ password: newPassword })).catch(
        () => vault.deleteAccount({ password }),
      );
      vault.close();
    }
  } finally {
    close();
  }
}

/** Registers by an invite of its own, which is gone afterwards. */
async function registerByInvite(
  transport: VaultTransport,
  account: { username: string; password: string },
  config: Tables,
): Promise<void> {
  await withDatabase(config, async (database) => {
    const { code } = await createInvite(database, INVITE_SECONDS);
    try {
      await registerUser(transport, { ...account, inviteCode: code });
    } finally {
      await forgetInvite(database, code);
    }
  });
}

/** An export that cannot be played with; the message says why. */
class ExportError extends Error {
  constructor(message: string) {
    super(message);
    this.name = 'ExportError';
  }
}

/** The entries of an export. Throws an ExportError that names the file when it cannot be read or holds none. */
async function readExport(file: string): Promise<NewEntry[]> {
  const text = await readFile(file, 'utf8').catch(({ code }: NodeJS.ErrnoException) => {
    throw new ExportError(`${file} cannot be read (${code})`);
  });
  const entries = parsePasswordCsv(text);
  if (entries.length === 0)
    throw new ExportError(`${file} holds no entries: a browser's export has a header and a row for each`);
  return entries;
}

const open = (transport: VaultTransport, username: string, password: string): Promise<Vault> =>
  logIn(transport, { username, password, maximumRequests: -1 });

async function step<T>(stage: Stage, name: string, work: () => Promise<T>): Promise<T> {
  stage.say(`• ${name}`);
  const { done, milliseconds } = await timed(work);
  stage.say(`  ${milliseconds} ms`);
  return done;
}

/** Throws unless the vault holds just what was imported, the first entry edited. */
async function verify(vault: Vault, expected: readonly NewEntry[]): Promise<void> {
  await vault.sync();
  const found: string[] = [];
  for await (const { name, password } of vault.localEntries()) found.push(JSON.stringify([name, password]));
  const wanted = expected.map(({ name, password }) => JSON.stringify([name, password]));
  if (found.sort().join() !== wanted.sort().join())
    throw new Error('the vault does not hold what was imported');
}

/** Looks into the tables as who stole them would, for every name, address, account and password of the export. */
async function whatTheServerSees(
  config: Tables,
  entries: readonly NewEntry[],
  username: string,
  stage: Stage,
): Promise<Pick<DemoReport, 'tableBytes' | 'searchedTexts' | 'foundTexts'>> {
  return withDatabase(config, async (database) => {
    stage.say('• what the server’s own tables hold');
    const dump = await dumpTables(database, stage);
    const secrets = entries.flatMap(({ name, website, username: account, password, notes }) =>
      [name, website, account, password, notes].filter((text) => text !== undefined && text.length >= 4),
    ) as string[];
    const texts = new Set([...secrets, username]);
    const hashes = [usernameHash(username), sha256(frame(username))];
    const found = [
      ...[...texts].filter((text) => dump.includes(Buffer.from(text))),
      ...hashes.filter((hash) => dump.includes(Buffer.from(hash))),
    ].length;
    const searched = texts.size + hashes.length;
    stage.say(`  ${dump.length} bytes searched for ${searched} clear texts of this export: ${found} found`);
    return { tableBytes: dump.length, searchedTexts: searched, foundTexts: found };
  });
}

/** Every column of every row as bytes; a line about each table. */
async function dumpTables(database: Database, stage: Stage): Promise<Buffer> {
  const columns: Buffer[] = [];
  for (const table of [
    'users',
    'login_sessions',
    'auth_ephemerals',
    'secure_data',
    'invites',
    'server_keys',
  ]) {
    const { rows } = await database.reads.execute(`select * from ${table}`, []);
    const values = rows.flatMap((row) => Object.values(row));
    const bytes = values.map((value) => (Buffer.isBuffer(value) ? value : Buffer.from(String(value))));
    const size = bytes.reduce((sum, { length }) => sum + length, 0);
    stage.say(
      `    ${table.padEnd(16)} ${String(rows.length).padStart(6)} rows ${String(size).padStart(9)} bytes`,
    );
    const example = values.find((value) => Buffer.isBuffer(value)) as Buffer | undefined;
    if (example !== undefined) stage.say(`      such as ${example.subarray(0, 24).toString('hex')}…`);
    columns.push(...bytes);
  }
  return Buffer.concat(columns);
}
