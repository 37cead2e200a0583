/**
 * `node test/support/serve_beside_older.ts <git ref>`, before a release: whether a server of the version at `ref` goes on serving on
 * a database that this version has migrated meanwhile, as in a rolling restart. Installs that version in a temporary directory.
 * Says each step; one that fails ends it with code 1.
 */
import { execFileSync, spawn } from 'node:child_process';
import { randomBytes, randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Transport } from '@connectrpc/connect';
import { createConnectTransport } from '@connectrpc/connect-node';
import * as data from '../../gen/passmanager/data/v1/data_service_pb.ts';
import { eventually } from './eventually.ts';
import { mochaGlobalSetup, mochaGlobalTeardown } from './global_postgres.ts';
import { beginChange, commitChange, renewed, updateOne } from './password_change.ts';
import { logIn, makeAccount, type RawSession, register } from './raw_client.ts';
import { createTestDatabase, databaseUrl } from './test_database.ts';
import { startTestServer } from './test_server.ts';

const [, , ref] = process.argv;
if (ref === undefined) throw new Error('name the version: node test/support/serve_beside_older.ts <git ref>');
const { method } = data.DataService;
const say = (step: string) => process.stdout.write(`${step}\n`);

/** Writes and reads an entry in every way. */
async function work(session: RawSession): Promise<void> {
  const bytes = (length: number) => new Uint8Array(randomBytes(length));
  const entryId = randomUUID();
  const entry = () => ({ entryId, entryName: bytes(93), entryData: bytes(285) });
  await session.call(method.createEntry, data.CreateEntryPayloadSchema, entry());
  const last = entry();
  await session.call(method.updateEntry, data.UpdateEntryPayloadSchema, last);
  const read = await session.call(method.getEntry, data.GetEntryPayloadSchema, { entryId });
  if (!Buffer.from(last.entryData).equals(read.entryData))
    throw new Error('other bytes were read than written');
  await session.call(method.batchCreateEntries, data.BatchCreateEntriesPayloadSchema, {
    entries: [{ ...entry(), entryId: randomUUID() }],
  });
  await session.call(method.listEntries, data.ListEntriesPayloadSchema, {});
  await session.call(method.syncEntries, data.SyncEntriesPayloadSchema, {});
  await session.call(method.deleteEntry, data.DeleteEntryPayloadSchema, { entryId });
}

const directory = mkdtempSync(join(tmpdir(), 'pm-older-'));
const older = join(directory, 'version');
mkdirSync(older);
execFileSync('sh', ['-c', 'git archive "$1" | tar -x -C "$2"', 'sh', ref, older]);
execFileSync('npm', ['ci'], { cwd: older, stdio: 'ignore' });
say(`${ref} is installed`);

await mochaGlobalSetup();
const database = await createTestDatabase({ migrated: false });
let output = '';
const startOlder = () => {
  const child = spawn(join(older, 'node_modules/.bin/node'), ['dist/src/server/main.js'], {
    cwd: older,
    env: {
      PATH: process.env.PATH,
      PASSMANAGER_DATA_DIR: directory,
      PASSMANAGER_DATABASE_URL: databaseUrl(database),
      PASSMANAGER_GRPC_PORT: '0',
      PASSMANAGER_HTTP_PORT: '0',
    },
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  child.stdout.on('data', (piece) => {
    output += piece;
  });
  return child;
};
const child = startOlder();
try {
  const url = () => /gRPC-Web +(http:\S+)/.exec(output)?.[1];
  await eventually(() => url() !== undefined || child.exitCode !== null, 60_000);
  const there = (baseUrl: string): Transport => createConnectTransport({ baseUrl, httpVersion: '1.1' });
  const before = there(url()!);
  const account = makeAccount();
  await register(before, account);
  const begun = await logIn(before, account);
  await work(begun);
  say('the older version serves on its own schema');

  const migrated = async () => (await database.query('select from schema_migrations')).length;
  const known = await migrated();
  const server = await startTestServer({ shared: { database, keyFile: join(directory, 'key') } });
  const now = there(server.httpUrl);
  say(`this version has run ${(await migrated()) - known} migrations, and both serve`);
  await work(begun);
  say('a session of before goes on at the older version');
  await work(begun.over(now));
  say('and at this one');
  await work(await logIn(before, account));
  say('the older version lets in');
  const opened = await logIn(now, account);
  await work(opened.over(before));
  say('and takes a session of this one');
  await register(before, makeAccount());
  say('the older version registers');
  const {
    change,
    started,
    opened: terms,
    announced,
  } = await beginChange(await logIn(before, account), account);
  for (const entryId of terms.entryIds) await updateOne(change, renewed(entryId));
  await commitChange(change, started);
  await work(await logIn(now, announced));
  say('the older version changes a password, and this one lets it in');
  await server.stop();
  await work(await logIn(before, announced));
  say('the older version serves alone on the schema of this one');
  if ((await migrated()) > known) {
    output = '';
    const again = startOlder();
    await eventually(() => url() !== undefined || again.exitCode !== null, 60_000);
    again.kill('SIGTERM');
    if (url() !== undefined) throw new Error('the older version started on a newer schema');
    say('and does not start anew on it');
  }
} finally {
  if (child.exitCode === null) {
    child.kill('SIGTERM');
    await once(child, 'exit');
  }
  await database.drop();
  await mochaGlobalTeardown();
  rmSync(directory, { recursive: true, force: true });
}
// Connections that are kept for more calls would keep it alive for a while.
process.exit();
