import { randomBytes } from 'node:crypto';
import { mkdtemp, rename, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createConnectTransport } from '@connectrpc/connect-node';
import { expect } from 'chai';
import * as data from '../../gen/passmanager/data/v1/data_service_pb.ts';
import { type Database, openDatabase } from '../../src/database/database.ts';
import { countUnderOtherKeys, type RotationStep, rotateSealingKey } from '../../src/database/key_rotation.ts';
import {
  activateSealingKey,
  MissingKeyFileError,
  makeRecoveryCode,
  openServerKeys,
  readKeyStatus,
  recoverKeyFile,
  stageSealingKey,
} from '../../src/database/server_keys.ts';
import { beginChange, commitChange, createEntries, renewed, updateMany } from '../support/password_change.ts';
import { logIn, makeAccount, type RawSession, register, startLogin } from '../support/raw_client.ts';
import { rejection } from '../support/rejection.ts';
import { createTestDatabase, type TestDatabase } from '../support/test_database.ts';
import { startTestServer } from '../support/test_server.ts';

describe('the rotation of the sealing key', function () {
  this.timeout(60_000);
  let own: TestDatabase;
  let database: Database;
  let directory: string;
  let keyFile: string;

  beforeEach(async () => {
    directory = await mkdtemp(join(tmpdir(), 'pm-rotation-'));
    keyFile = join(directory, 'key');
    own = await createTestDatabase();
    database = await openDatabase({ connection: own.connection, poolSize: 4 });
  });

  afterEach(async () => {
    await database.close();
    await own.drop();
    await rm(directory, { recursive: true });
  });

  const keys = () => openServerKeys({ database, keyFile, random: randomBytes });
  const rotate = (learnMs = 0, tell: (step: RotationStep) => void = () => {}) =>
    rotateSealingKey({ database, keyFile, random: randomBytes, learnMs, tell });
  const states = async () =>
    (await readKeyStatus({ database, keyFile })).keys.map(({ id, state }) => `${id} ${state}`);
  const sync = (session: RawSession) =>
    session.call(data.DataService.method.syncEntries, data.SyncEntriesPayloadSchema, {});

  it('is refused before the keys are made and without their key file, and changes nothing', async () => {
    expect((await rejection(rotate())).message).to.contain('start it once');
    await keys();
    await rename(keyFile, `${keyFile}.away`);
    expect(await rejection(rotate())).to.be.instanceOf(MissingKeyFileError);
    await rename(`${keyFile}.away`, keyFile);
    expect(await states()).to.deep.equal(['1 active', '2 active']);
  });

  it('goes on with the key that a run cut short had staged, and with what one left under the key before', async () => {
    await keys();
    const { id } = await stageSealingKey({ database, keyFile, random: randomBytes });
    expect(await states()).to.deep.equal(['1 active', '2 active', '3 staged']);
    // The staged key opens and does not seal yet.
    const { sealer } = await keys();
    expect([sealer.currentId, sealer.ids]).to.deep.equal([1, [1, 3]]);
    await rotate();
    expect(await states()).to.deep.equal(['1 retired', '2 active', '3 active']);
    await activateSealingKey(database, id);
    expect(await states()).to.deep.equal(['1 retired', '2 active', '3 active']);
  });

  it('goes on under the key that a run cut short had activated, and makes no other, nor another code', async () => {
    const server = await startTestServer({ shared: { database: own, keyFile } });
    const transport = createConnectTransport({ baseUrl: server.httpUrl, httpVersion: '1.1' });
    await register(transport, makeAccount());
    await server.stop();
    const { id } = await stageSealingKey({ database, keyFile, random: randomBytes });
    const events = async () =>
      (await own.query("select from audit_events where event = 'sealing key rotated'")).length;
    expect(await events()).to.equal(0);
    await activateSealingKey(database, id);
    expect(await events()).to.equal(1);
    const told: RotationStep[] = [];
    expect(await rotate(0, (step) => told.push(step))).to.deep.equal({
      keyId: id,
      isNew: false,
      rows: 1,
      left: 0,
      damaged: [],
    });
    expect(told.map(({ step }) => step)).to.deep.equal(['resumed', 'resealed']);
    expect(await states()).to.deep.equal(['1 retired', '2 active', '3 active']);
    expect(await events()).to.equal(1);
    expect(await rotate()).to.include({ keyId: 4, isNew: true, rows: 1 });
    expect(await events()).to.equal(2);
  });

  it('leaves a row that no key opens, names it, and does the others', async () => {
    const server = await startTestServer({ shared: { database: own, keyFile } });
    const transport = createConnectTransport({ baseUrl: server.httpUrl, httpVersion: '1.1' });
    for (let count = 0; count < 3; count += 1) await register(transport, makeAccount());
    await server.stop();
    const [row] = await own.query(
      `update users set srp_salt = set_byte(srp_salt, 40, get_byte(srp_salt, 40) # 1)
        where id = (select id from users order by id limit 1) returning id, srp_salt`,
    );
    for (const keyId of [3, 4]) {
      expect(await rotate()).to.deep.equal({
        keyId,
        isNew: true,
        rows: 2,
        left: 0,
        damaged: [{ table: 'users', id: row!.id }],
      });
    }
    const [after] = await own.query('select srp_salt from users where id = $1', [row!.id]);
    expect(after!.srp_salt).to.deep.equal(row!.srp_salt);
  });

  it('voids the recovery code, and says the new one, which opens all keys, before anything is sealed with them', async () => {
    await keys();
    const before = await makeRecoveryCode({ database, keyFile, random: randomBytes });
    const told: RotationStep[] = [];
    await rotate(0, (step) => told.push(step));
    const [staged, active] = told;
    if (staged?.step !== 'staged') throw new Error('the first step is not the staged key');
    expect(active).to.deep.equal({ step: 'active', keyId: 3 });
    await rename(keyFile, `${keyFile}.away`);
    await rejection(recoverKeyFile({ database, keyFile, code: before, random: randomBytes }));
    await recoverKeyFile({ database, keyFile, code: staged.recoveryCode, random: randomBytes });
    expect((await keys()).sealer.ids).to.deep.equal([1, 3]);
  });

  it('leaves rows that somebody holds, says how many, and takes them the next time', async () => {
    const server = await startTestServer({ shared: { database: own, keyFile } });
    const account = makeAccount();
    await register(createConnectTransport({ baseUrl: server.httpUrl, httpVersion: '1.1' }), account);
    let left = 0;
    await database.transaction(async (transaction) => {
      await transaction.execute('select from users for no key update', []);
      ({ left } = await rotate());
    });
    expect(left).to.equal(1);
    expect((await rotate()).left).to.equal(0);
    await server.stop();
  });

  it('is done once every server seals under the new key: what is written right after it is under no other', async () => {
    const server = await startTestServer({
      shared: { database: own, keyFile },
      parts: { keyRefreshMs: 400 },
    });
    const transport = createConnectTransport({ baseUrl: server.httpUrl, httpVersion: '1.1' });
    const account = makeAccount();
    await register(transport, account);
    expect((await rotate(1_000)).left).to.equal(0);
    await logIn(transport, account);
    await register(transport, makeAccount());
    expect(await countUnderOtherKeys(database, 3)).to.equal(0);
    await server.stop();
  });

  it('disturbs nobody: two servers log in, call and change a password while it runs, and every value is sealed anew', async () => {
    const shared = { database: own, keyFile };
    const parts = { keyRefreshMs: 50 };
    const servers = [await startTestServer({ shared, parts }), await startTestServer({ shared, parts })];
    const transports = servers.map(({ httpUrl }) =>
      createConnectTransport({ baseUrl: httpUrl, httpVersion: '1.1' }),
    );
    const [one, other] = [transports[0]!, transports[1]!];
    const account = makeAccount();
    await register(one, account);
    const session = await logIn(one, account, { maximumRequests: -1n });
    const entries = await createEntries(session, 5);
    await startLogin(other, account.usernameHash);
    const { change, started } = await beginChange(session, account);
    const busy = makeAccount();
    await register(other, busy);
    const earlier = await logIn(one, busy, { maximumRequests: -1n });

    let done = false;
    const rotation = rotate(500).finally(() => {
      done = true;
    });
    let round = 0;
    while (!done) {
      const fresh = await logIn(transports[round % 2]!, busy);
      await sync(fresh);
      // A session that one server made, used on the other.
      await sync(fresh.over(transports[(round + 1) % 2]!));
      await register(transports[round % 2]!, makeAccount());
      round += 1;
    }
    const { rows, left } = await rotation;
    expect(round).to.be.greaterThan(0);
    expect(rows).to.be.greaterThan(3);
    expect(left).to.equal(0);
    expect(await countUnderOtherKeys(database, 3)).to.equal(0);

    // What was begun before goes on, on the server that did not begin it, too.
    await sync(earlier.over(other));
    const elsewhere = change.over(other);
    await updateMany(
      elsewhere,
      entries.map(({ entryId }) => renewed(entryId)),
    );
    await commitChange(elsewhere, started);
    await sync(await logIn(one, started.announced));
    expect(
      servers.flatMap(({ logged }) => logged.filter((line) => line.includes('"level":50'))),
    ).to.deep.equal([]);
    for (const server of servers) await server.stop();
  });
});
