import { createSecretKey, randomBytes, randomUUID } from 'node:crypto';
import { chmod, mkdtemp, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect } from 'chai';
import { sealSync } from '../../src/database/aead.ts';
import { type Database, openDatabase } from '../../src/database/database.ts';
import { KeyFileError } from '../../src/database/key_file.ts';
import { formatRecoveryCode, RecoveryCodeError } from '../../src/database/recovery_code.ts';
import {
  MissingKeyFileError,
  makeRecoveryCode,
  openServerKeys,
  recoverKeyFile,
  type ServerKeys,
  WrongKeyFileError,
} from '../../src/database/server_keys.ts';
import { frame } from '../../src/protocol/bytes.ts';
import { rejection } from '../support/rejection.ts';
import { createTestDatabase, type TestDatabase } from '../support/test_database.ts';

const random = randomBytes;
const usernameHash = Buffer.alloc(32, 3);

describe('the server’s keys', () => {
  let directory: string;
  let keyFile: string;
  let own: TestDatabase;
  let database: Database;

  beforeEach(async () => {
    directory = await mkdtemp(join(tmpdir(), 'pm-keys-'));
    keyFile = join(directory, 'key');
    own = await createTestDatabase();
    database = await openDatabase({ connection: own.connection, poolSize: 4 });
  });

  afterEach(async () => {
    await database.close();
    await own.drop();
    await rm(directory, { recursive: true });
  });

  const start = (path = keyFile): Promise<ServerKeys> => openServerKeys({ database, keyFile: path, random });
  const rows = () => own.query('select * from server_keys order by id');

  /** Fails unless both open the same things. */
  function expectSame(one: ServerKeys, other: ServerKeys): void {
    expect(one.usernameLookup(usernameHash)).to.deep.equal(other.usernameLookup(usernameHash));
    expect(one.decoySecret('salt', usernameHash)).to.deep.equal(other.decoySecret('salt', usernameHash));
    const row = randomUUID();
    const sealed = one.sealer.seal('users', 'srp_salt', row, Buffer.from('same'));
    expect(other.sealer.open('users', 'srp_salt', row, sealed).toString()).to.equal('same');
  }

  it('are refused without their key file, and no other is made in its place', async () => {
    await start();
    const before = await rows();
    await rename(keyFile, `${keyFile}.away`);
    expect(await rejection(start())).to.be.instanceOf(MissingKeyFileError);
    expect(await readFile(keyFile).catch(({ code }) => code)).to.equal('ENOENT');
    expect(await rows()).to.deep.equal(before);
  });

  it('are refused with the key file of another database, which stays as it is', async () => {
    await start();
    const before = await rows();
    await writeFile(keyFile, `${randomBytes(32).toString('hex')}\n`, { mode: 0o600 });
    const wrong = await readFile(keyFile, 'utf8');
    expect(await rejection(start())).to.be.instanceOf(WrongKeyFileError);
    expect(await readFile(keyFile, 'utf8')).to.equal(wrong);
    expect(await rows()).to.deep.equal(before);
  });

  it('are refused with a key file that others may read', async () => {
    await start();
    await chmod(keyFile, 0o644);
    expect(await rejection(start())).to.be.instanceOf(KeyFileError);
  });

  it('are refused when a slot opens to another key than the one that the database was sealed with', async () => {
    await start();
    const fileKey = createSecretKey(await readFile(keyFile, 'utf8').then((text) => text.trim()), 'hex');
    const aad = frame('passmanager/v1 server key', '1', '1', 'key_file_slot');
    await own.query('update server_keys set key_file_slot = $1 where id = 1', [
      sealSync(fileKey, randomBytes(32), aad),
    ]);
    expect(await rejection(start())).to.be.instanceOf(WrongKeyFileError);
  });

  it('are refused when slots were exchanged between keys', async () => {
    await start();
    await own.query(
      `update server_keys a set key_file_slot = b.key_file_slot, canary = b.canary from server_keys b where b.id = 3 - a.id`,
    );
    expect(await rejection(start())).to.be.instanceOf(WrongKeyFileError);
  });

  it('are refused when one of them is gone', async () => {
    await start();
    await own.query('delete from server_keys where purpose = 2');
    expect(await rejection(start())).to.be.instanceOf(KeyFileError);
  });

  it('say what to do in every refusal', async () => {
    await start();
    await rename(keyFile, `${keyFile}.away`);
    expect((await rejection(start())).message).to.contain('npx passmanager keys recover');
    await writeFile(keyFile, `${randomBytes(32).toString('hex')}\n`, { mode: 0o600 });
    expect((await rejection(start())).message).to.contain('npx passmanager keys recover');
  });

  it('do not come back by a wrong or mistyped recovery code, nor by one that was replaced', async () => {
    await start();
    const replaced = await makeRecoveryCode({ database, keyFile, random });
    await makeRecoveryCode({ database, keyFile, random });
    await rename(keyFile, `${keyFile}.away`);
    const before = await rows();
    const foreign = '000G-40R4-0M30-E209-185G-R38E-1W81-24GK-R';
    for (const code of ['', 'nonsense', `${replaced.slice(0, -1)}U`, foreign, replaced]) {
      expect(await rejection(recoverKeyFile({ database, keyFile, code, random }))).to.be.instanceOf(
        RecoveryCodeError,
      );
    }
    expect(await readFile(keyFile).catch(({ code }) => code)).to.equal('ENOENT');
    expect(await rows()).to.deep.equal(before);
  });

  it('do not come back by a recovery code where none was ever made', async () => {
    await start();
    await rename(keyFile, `${keyFile}.away`);
    const code = '000G-40R4-0M30-E209-185G-R38E-1W81-24GK-R';
    expect(await rejection(recoverKeyFile({ database, keyFile, code, random }))).to.be.instanceOf(
      RecoveryCodeError,
    );
  });

  it('are not recovered over a key file that is there', async () => {
    await start();
    const code = await makeRecoveryCode({ database, keyFile, random });
    const before = await rows();
    expect(await rejection(recoverKeyFile({ database, keyFile, code, random }))).to.be.instanceOf(
      KeyFileError,
    );
    expect(await rows()).to.deep.equal(before);
    await start();
  });

  it('have no recovery code before they are made, and none without their key file', async () => {
    expect(await rejection(makeRecoveryCode({ database, keyFile, random }))).to.be.instanceOf(KeyFileError);
    await start();
    await rename(keyFile, `${keyFile}.away`);
    expect(await rejection(makeRecoveryCode({ database, keyFile, random }))).to.be.instanceOf(
      MissingKeyFileError,
    );
    expect((await rows()).map((row) => row.recovery_slot)).to.deep.equal([null, null]);
  });

  it('are made once, with a key file for their owner alone', async () => {
    const first = await start();
    expect(first.isFirstStart).to.equal(true);
    expect(first.hasRecoveryCode).to.equal(false);
    const again = await start();
    expect(again.isFirstStart).to.equal(false);
    expectSame(first, again);
    expect(await rows()).to.have.length(2);
  });

  it('are one set when two replicas with one key file start together on an empty database', async () => {
    const other = await openDatabase({ connection: own.connection, poolSize: 1 });
    try {
      const [one, two] = await Promise.all([start(), openServerKeys({ database: other, keyFile, random })]);
      expectSame(one, two);
      expect([one.isFirstStart, two.isFirstStart].sort()).to.deep.equal([false, true]);
      expect(await rows()).to.have.length(2);
    } finally {
      await other.close();
    }
  });

  it('are refused to a second replica that was given no key file', async () => {
    const other = join(directory, 'elsewhere');
    const outcomes = await Promise.allSettled([start(), start(other)]);
    const refused = outcomes.filter((outcome) => outcome.status === 'rejected');
    expect(refused.map(({ reason }) => reason.name)).to.deep.equal(['MissingKeyFileError']);
    expect(await rows()).to.have.length(2);
  });

  it('use a key file that is there at the first start: one given by configuration, or left by a start cut short', async () => {
    const given = `${randomBytes(32).toString('hex')}\n`;
    await writeFile(keyFile, given, { mode: 0o600 });
    await start();
    expect(await readFile(keyFile, 'utf8')).to.equal(given);
  });

  it('have their key file on disk before their rows are committed', async () => {
    // The first start ends at the first insert, as a kill -9 would end it.
    await own.query('alter table server_keys add constraint broken check (id > 100)');
    await rejection(start());
    const left = await readFile(keyFile, 'utf8');
    expect(await rows()).to.have.length(0);
    await own.query('alter table server_keys drop constraint broken');
    await start();
    expect(await readFile(keyFile, 'utf8')).to.equal(left);
  });

  it('come back by the recovery code with a new key file, and the old one opens nothing any more', async () => {
    const first = await start();
    const code = await makeRecoveryCode({ database, keyFile, random });
    expect((await start()).hasRecoveryCode).to.equal(true);
    await rename(keyFile, `${keyFile}.old`);
    await recoverKeyFile({ database, keyFile, code: code.toLowerCase(), random });
    expectSame(first, await start());
    expect(await rejection(start(`${keyFile}.old`))).to.be.instanceOf(WrongKeyFileError);
    // The code stays good for the next time.
    await rename(keyFile, `${keyFile}.lost`);
    await recoverKeyFile({ database, keyFile, code, random });
    expectSame(first, await start());
  });

  it('come back by the code after a recovery that failed half-way: the key file appears once its slots are committed', async () => {
    const first = await start();
    const code = await makeRecoveryCode({ database, keyFile, random });
    await rm(keyFile);
    const before = await rows();
    await own.query('alter table server_keys add constraint broken check (id > 100) not valid');
    await rejection(recoverKeyFile({ database, keyFile, code, random }));
    expect(await readFile(keyFile).catch(({ code }) => code)).to.equal('ENOENT');
    expect(await rows()).to.deep.equal(before);
    await own.query('alter table server_keys drop constraint broken');
    await recoverKeyFile({ database, keyFile, code, random });
    expectSame(first, await start());
  });

  it('are not recovered where there are none, and no key file is made', async () => {
    const code = formatRecoveryCode(random(20));
    expect(await rejection(recoverKeyFile({ database, keyFile, code, random }))).to.be.instanceOf(
      RecoveryCodeError,
    );
    expect(await readFile(keyFile).catch(({ code }) => code)).to.equal('ENOENT');
  });

  it('leave nothing in the database that a key or a code could be read from', async () => {
    await start();
    const code = await makeRecoveryCode({ database, keyFile, random });
    const stored = JSON.stringify((await rows()).map((row) => Object.values(row).map((value) => `${value}`)));
    const hex = (await readFile(keyFile, 'utf8')).trim();
    expect(stored).not.to.contain(hex).and.not.to.contain(code);
    const bytes = (await rows()).flatMap((row) =>
      Object.values(row).filter((value) => Buffer.isBuffer(value)),
    );
    for (const value of bytes as Buffer[]) expect(value.toString('hex')).not.to.contain(hex);
  });

  it('open what an earlier sealing key sealed, and seal under the active one', async () => {
    const before = await start();
    const row = randomUUID();
    const sealed = before.sealer.seal('users', 'srp_salt', row, Buffer.from('old'));
    const fileKey = createSecretKey((await readFile(keyFile, 'utf8')).trim(), 'hex');
    const serverKey = randomBytes(32);
    const aad = (slot: string) => frame('passmanager/v1 server key', '3', '1', slot);
    await own.query('update server_keys set state = 2 where id = 1');
    await own.query(
      'insert into server_keys (id, purpose, key_file_slot, canary, state) values (3, 1, $1, $2, 1)',
      [
        sealSync(fileKey, serverKey, aad('key_file_slot')),
        sealSync(createSecretKey(serverKey), Buffer.alloc(32), aad('canary')),
      ],
    );
    const after = await start();
    expect(after.sealer.open('users', 'srp_salt', row, sealed).toString()).to.equal('old');
    expect(after.sealer.seal('users', 'srp_salt', row, Buffer.from('new')).readUInt32BE(0)).to.equal(3);
    expect(after.usernameLookup(usernameHash)).to.deep.equal(before.usernameLookup(usernameHash));
  });

  it('hide names: one value a name, decoys by label, nothing in common between them', async () => {
    const keys = await start();
    const other = Buffer.alloc(32, 4);
    const values = [
      keys.usernameLookup(usernameHash),
      keys.usernameLookup(other),
      keys.decoySecret('salt', usernameHash),
      keys.decoySecret('verifier', usernameHash),
      keys.decoySecret('salt', other),
    ].map((value) => value.toString('hex'));
    expect(new Set(values)).to.have.length(5);
    for (const value of values) expect(value).to.have.length(64);
    expect(keys.decoySecret('salt', usernameHash).toString('hex')).to.equal(values[2]);
  });
});
