import { type ChildProcess, spawn } from 'node:child_process';
import { randomBytes, randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { mkdtemp, rm, statfs, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createConnectTransport } from '@connectrpc/connect-node';
import { expect } from 'chai';
import * as data from '../../gen/passmanager/data/v1/data_service_pb.ts';
import { COMPILE_CACHE } from '../support/compile_cache.ts';
import { eventually } from '../support/eventually.ts';
import { logIn, makeAccount, type RawSession, reasons, refusalOf, register } from '../support/raw_client.ts';
import { startTestServer } from '../support/test_server.ts';

const MAIN = new URL('../../src/server/main.ts', import.meta.url).pathname;
const { method } = data.DataService;
const newEntry = () => ({
  entryId: randomUUID() as string,
  entryName: new Uint8Array(randomBytes(93)),
  entryData: new Uint8Array(randomBytes(60_000)),
});
const create = (session: RawSession, entry = newEntry()) =>
  session.call(method.createEntry, data.CreateEntryPayloadSchema, entry);

/** A server whose disk a test fills up and makes room on. */
interface Disk {
  readonly url: string;
  fill(): Promise<void>;
  makeRoom(): Promise<void>;
  close(): Promise<void>;
}

/** A file system of 100 MB in a mount namespace of its own, which ends with the server. Undefined where none may be mounted. */
async function smallDisk(): Promise<Disk | undefined> {
  if (process.getuid?.() !== 0) return undefined;
  const directory = await mkdtemp(join(tmpdir(), 'pm-disk-'));
  const script = 'mount -t tmpfs -o size=100m tmpfs "$1" && shift && exec "$@"';
  const child: ChildProcess = spawn(
    'unshare',
    ['--mount', 'sh', '-c', script, 'sh', directory, process.execPath, MAIN],
    {
      env: {
        PATH: process.env.PATH,
        ...COMPILE_CACHE,
        PASSMANAGER_DATA_DIR: join(directory, 'data'),
        PASSMANAGER_GRPC_PORT: '0',
        PASSMANAGER_HTTP_PORT: '0',
      },
      stdio: ['ignore', 'pipe', 'ignore'],
    },
  );
  let failed = false;
  child.once('error', () => {
    failed = true;
  });
  let output = '';
  child.stdout!.on('data', (chunk: Buffer) => {
    output += chunk;
  });
  const url = () => /gRPC-Web +(http:\S+)/.exec(output)?.[1];
  await eventually(() => url() !== undefined || failed || child.exitCode !== null, 20_000);
  if (url() === undefined) {
    await rm(directory, { recursive: true });
    return undefined;
  }
  // The disk as the server sees it.
  const inside = `/proc/${child.pid}/root${directory}`;
  return {
    url: url()!,
    fill: async () => {
      const { bavail, bsize } = await statfs(inside);
      await writeFile(join(inside, 'ballast'), Buffer.alloc(bavail * bsize - 8192));
    },
    makeRoom: () => rm(join(inside, 'ballast')),
    close: async () => {
      child.kill('SIGTERM');
      await once(child, 'exit');
      await rm(directory, { recursive: true });
    },
  };
}

/** Where nothing may be mounted: a database that says of every write of an entry or a session that its disk is full. */
async function refusingDatabase(): Promise<Disk> {
  const server = await startTestServer();
  const { database } = server;
  await database.query(`create function full_disk() returns trigger language plpgsql as
    $$ begin raise exception 'no space left' using errcode = '53100'; end $$`);
  return {
    url: server.httpUrl,
    fill: async () => {
      for (const table of ['secure_data', 'login_sessions'])
        await database.query(
          `create trigger full_disk before insert or update on ${table} execute function full_disk()`,
        );
    },
    makeRoom: async () => {
      for (const table of ['secure_data', 'login_sessions'])
        await database.query(`drop trigger full_disk on ${table}`);
    },
    close: () => server.stop(),
  };
}

describe('a full disk', function () {
  this.timeout(60_000);
  let disk: Disk;

  before(async () => {
    disk = (await smallDisk()) ?? (await refusingDatabase());
  });

  after(() => disk.close());

  it('stops writing with SVR01, not reading, is said at /readyz, and nothing is lost or doubled once there is room', async () => {
    const transport = createConnectTransport({ baseUrl: disk.url, httpVersion: '1.1' });
    const account = makeAccount();
    await register(transport, account);
    const session = await logIn(transport, account, { maximumRequests: -1n });
    const kept = [newEntry()];
    await create(session, kept[0]);
    await disk.fill();

    let refused: ReturnType<typeof newEntry> | undefined;
    for (let attempt = 0; attempt < 50 && refused === undefined; attempt += 1) {
      const entry = newEntry();
      try {
        await create(session, entry);
        kept.push(entry);
      } catch (error) {
        const refusal = await refusalOf(Promise.reject(error));
        expect(reasons(refusal)).to.deep.equal([[21, 'server']]);
        refused = entry;
      }
    }
    expect(refused).to.not.equal(undefined);
    const read = await session.call(method.getEntry, data.GetEntryPayloadSchema, {
      entryId: kept[0]!.entryId,
    });
    expect(Buffer.from(read.entryData)).to.deep.equal(Buffer.from(kept[0]!.entryData));
    const ready = await fetch(`${disk.url}/readyz`);
    expect([ready.status, (await ready.json()).warning]).to.deep.equal([
      200,
      'writes fail: the disk of the database is full, or the database is read-only. Reading goes on',
    ]);

    await disk.makeRoom();
    kept.push(refused!);
    await create(session, refused);
    const listed = await session.call(method.listEntries, data.ListEntriesPayloadSchema, {});
    const ids = listed.entries.map(({ entryId }: { entryId: string }) => entryId);
    expect(ids).to.have.members(kept.map(({ entryId }) => entryId));
  });
});
