import { randomBytes } from 'node:crypto';
import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs';
import { rename, rm } from 'node:fs/promises';
import { createConnectTransport } from '@connectrpc/connect-node';
import { expect } from 'chai';
import * as data from '../../../gen/passmanager/data/v1/data_service_pb.ts';
import {
  makeBackup,
  moveDatabase,
  restoreBackup,
  verifyBackup,
} from '../../../src/database/backup/backup.ts';
import { WrongPassphraseError } from '../../../src/database/backup/backup_errors.ts';
import { readBackupFile, writeBackupFile } from '../../../src/database/backup/backup_file.ts';
import type { Frame } from '../../../src/database/backup/backup_frames.ts';
import { openDatabase } from '../../../src/database/database.ts';
import { startEmbeddedPostgres } from '../../../src/database/embedded/embedded_postgres.ts';
import { readKeyFile } from '../../../src/database/key_file.ts';
import { MissingKeyFileError, openServerKeys, WrongKeyFileError } from '../../../src/database/server_keys.ts';
import {
  type BackupWorld,
  contentsOf,
  createBackupWorld,
  PASSPHRASE,
  QUICK_KDF,
} from '../../support/backup_world.ts';
import { recordingLog } from '../../support/embedded.ts';
import { createEntries } from '../../support/password_change.ts';
import { logIn, makeAccount, type RawSession, refusalOf, register } from '../../support/raw_client.ts';
import { rejection } from '../../support/rejection.ts';
import { createTestDatabase, type TestDatabase } from '../../support/test_database.ts';
import { startTestServer } from '../../support/test_server.ts';

describe('a backup', function () {
  this.timeout(60_000);
  let world: BackupWorld;
  const targets: TestDatabase[] = [];

  beforeEach(async () => {
    world = await createBackupWorld();
  });

  afterEach(async () => {
    for (const target of targets.splice(0)) await target.drop();
    await world.drop();
  });

  const options = { passphrase: PASSPHRASE, kdf: QUICK_KDF };
  const place = () => ({ connection: world.database.connection, keyFile: world.keyFile });
  const file = () => world.at('a.pmbackup');
  const backUp = () => makeBackup(place(), file(), options);
  const emptyPlace = async (keyFile: string) => {
    const target = await createTestDatabase({ migrated: false });
    targets.push(target);
    return { target, place: { connection: target.connection, keyFile } };
  };

  it('is not made without the key file that opens the server keys: it could never be used', async () => {
    await rename(world.keyFile, world.at('away'));
    expect(await rejection(backUp())).to.be.instanceOf(MissingKeyFileError);
    const { writeKeyFile } = await import('../../../src/database/key_file.ts');
    await writeKeyFile(world.keyFile, randomBytes(32));
    expect(await rejection(backUp())).to.be.instanceOf(WrongKeyFileError);
    expect(readdirSync(world.directory).sort()).to.deep.equal(['away', 'key']);
  });

  it('that cannot be written ends with the reason, and holds nothing open', async () => {
    const nowhere = world.at('missing/a.pmbackup');
    expect((await rejection(makeBackup(place(), nowhere, options))).message).to.contain('ENOENT');
    expect(
      await world.database.query(
        "select 1 from pg_stat_activity where datname = current_database() and application_name = 'passmanager backup'",
      ),
    ).to.have.length(0);
  });

  it('is proved by a restore into a database of its own, which leaves nothing behind', async () => {
    await backUp();
    const log = recordingLog();
    expect(
      await rejection(verifyBackup(file(), { passphrase: 'another horse battery', log })),
    ).to.be.instanceOf(WrongPassphraseError);
    const { tables } = await verifyBackup(file(), { passphrase: PASSPHRASE, log });
    expect(tables.map(({ table, rows }) => [table, rows])).to.deep.equal([
      ['server_keys', 2],
      ['users', 2],
      ['secure_data', 10],
      ['invites', 1],
      ['audit_events', 1],
    ]);
    const { tmpdir } = await import('node:os');
    expect(readdirSync(tmpdir()).filter((name) => name.startsWith('passmanager-verify-'))).to.deep.equal([]);
  });

  it('brings its key file to where there is none, and is wrapped under the one that is there', async () => {
    await backUp();
    const fresh = await emptyPlace(world.at('fresh-key'));
    await restoreBackup(file(), fresh.place, { passphrase: PASSPHRASE, replace: false });
    expect(readFileSync(fresh.place.keyFile, 'utf8')).to.equal(readFileSync(world.keyFile, 'utf8'));
    expect(statSync(fresh.place.keyFile).mode & 0o777).to.equal(0o600);

    const { writeKeyFile } = await import('../../../src/database/key_file.ts');
    const own = await emptyPlace(world.at('own-key'));
    const key = randomBytes(32);
    await writeKeyFile(own.place.keyFile, key);
    await restoreBackup(file(), own.place, { passphrase: PASSPHRASE, replace: false });
    expect(Buffer.from((await readKeyFile(own.place.keyFile))!).equals(key)).to.equal(true);
    const opened = [];
    for (const { target, place } of [own, fresh]) {
      const database = await openDatabase({ connection: target.connection, poolSize: 1 });
      const keys = await openServerKeys({ database, keyFile: place.keyFile, random: randomBytes });
      opened.push(keys.usernameLookup(new Uint8Array(32)).toString('hex'));
      await database.close();
    }
    expect(opened[0]).to.equal(opened[1]);
    expect(await contentsOf(own.target)).to.deep.equal(await contentsOf(world.database));
  });

  it('leaves database and key file alone where it is refused', async () => {
    await backUp();
    const { target, place } = await emptyPlace(world.at('other-key'));
    await rejection(restoreBackup(file(), place, { passphrase: 'another horse battery', replace: true }));
    for (const keyFile of [randomBytes(32).toString('hex'), 'no key']) {
      const forged = world.at('forged.pmbackup');
      const frames = async function* (): AsyncGenerator<Frame> {
        for await (const frame of readBackupFile(file(), PASSPHRASE))
          yield frame.type === 'manifest' ? { ...frame, manifest: { ...frame.manifest, keyFile } } : frame;
      };
      await writeBackupFile(forged, frames(), options);
      await rejection(restoreBackup(forged, place, { passphrase: PASSPHRASE, replace: true }));
    }
    expect(existsSync(place.keyFile)).to.equal(false);
    expect(
      await target.query(`select 1 from pg_class where relnamespace = 'public'::regnamespace`),
    ).to.have.length(0);
  });

  it('takes clients back: recorded requests do not run again, and devices notice that their history is another', async () => {
    const shared = { database: world.database, keyFile: world.keyFile };
    const server = await startTestServer({ shared });
    const transport = createConnectTransport({ baseUrl: server.httpUrl, httpVersion: '1.1' });
    const account = makeAccount();
    await register(transport, account);
    const session = await logIn(transport, account, { maximumRequests: -1n });
    await createEntries(session, 3);
    const sync = (from: RawSession, state: { historyId?: Uint8Array; sinceRevision?: bigint } = {}) =>
      from.call(data.DataService.method.syncEntries, data.SyncEntriesPayloadSchema, state as never);
    const first = await sync(session);
    await backUp();
    await createEntries(session, 2);
    await server.stop();

    await restoreBackup(file(), place(), { passphrase: PASSPHRASE, replace: true });
    const again = await startTestServer({ shared });
    const elsewhere = createConnectTransport({ baseUrl: again.httpUrl, httpVersion: '1.1' });
    await refusalOf(sync(session.over(elsewhere)));
    const fresh = await logIn(elsewhere, account);
    const second = (await sync(fresh, {
      historyId: first.historyId,
      sinceRevision: first.revision,
    })) as typeof first;
    expect(second.reset).to.equal(true);
    expect(second.entries).to.have.length(3);
    await again.stop();
  });

  it('is what a move is made of: from one server to the embedded one and back, every row the same', async () => {
    const before = await contentsOf(world.database);
    const dataDir = world.at('data');
    const postgres = await startEmbeddedPostgres({ dataDir, log: recordingLog() });
    const embedded = { connection: postgres.connection, keyFile: world.keyFile };
    try {
      await moveDatabase(place(), embedded, { replace: false });
      expect(await contentsOf(world.database)).to.deep.equal(before);
      const { target, place: back } = await emptyPlace(world.keyFile);
      await moveDatabase(embedded, back, { replace: false });
      expect(await contentsOf(target)).to.deep.equal(before);
    } finally {
      await postgres.stop();
    }
    await rm(dataDir, { recursive: true });
  });

  it('is not moved from or to a database that a server has open', async () => {
    const server = await openDatabase({ connection: world.database.connection, poolSize: 1 });
    await server.reads.execute('select 1', []);
    const { target, place: to } = await emptyPlace(world.keyFile);
    expect((await rejection(moveDatabase(place(), to, { replace: false }))).name).to.equal('ServerRunsError');
    await server.close();
    expect(
      await target.query(`select 1 from pg_class where relnamespace = 'public'::regnamespace`),
    ).to.have.length(0);
  });
});
