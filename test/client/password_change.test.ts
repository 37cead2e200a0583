import { expect } from 'chai';
import { hashUsername } from '../../src/client/credentials.ts';
import { newMessages } from '../../src/client/entry.ts';
import { openEntry, sealEntry } from '../../src/client/entry_seal.ts';
import {
  InvalidInputError,
  PasswordChangedError,
  PasswordNotChangedError,
  type ServerRefusalError,
  SessionEndedError,
  UnavailableError,
  UntrustedAnswerError,
  WrongCredentialsError,
} from '../../src/client/errors.ts';
import { MemoryStore, type PasswordChangeProgress, type Vault } from '../../src/client/index.ts';
import { openSession } from '../../src/client/login.ts';
import { completePlatform } from '../../src/client/platform.ts';
import { DEFAULT_RETRY_POLICY } from '../../src/client/retry.ts';
import { openVaultHeader } from '../../src/client/vault_header.ts';
import { importSealKey } from '../../src/protocol/seal.ts';
import {
  type ClientWorld,
  type Disturbance,
  losingAnswers,
  losingRequests,
  quickArgon2id,
  startClientWorld,
} from '../support/client_world.ts';
import { rejection } from '../support/rejection.ts';
import { storedEntry } from '../support/stored_entries.ts';

const passwords = { currentPassword: 'old password', newPassword: 'new password' };

const random = (length: number) => crypto.getRandomValues(new Uint8Array(length));

describe('changing the password', () => {
  let world: ClientWorld;
  let username: string;
  let vault: Vault;
  before(async () => {
    world = await startClientWorld();
  });
  after(() => world.stop());
  beforeEach(async () => {
    username = await world.newUser();
    vault = await logIn('old password');
    await vault.createMany(
      Array.from({ length: 5 }, (_, index) => ({ name: `${index}`, password: `p${index}` })),
    );
  });
  afterEach(() => {
    world.disturb(undefined);
    vault.close();
  });

  const logIn = (password: string, change: object = {}) =>
    world.client.logIn(world.transport, { username, password, maximumRequests: -1, ...change });
  /** The password opens the whole vault, and the other one nothing. */
  const expectInForce = async (password: string) => {
    const wrong = password === 'old password' ? 'new password' : 'old password';
    expect(await rejection(logIn(wrong))).to.be.instanceOf(WrongCredentialsError);
    const fresh = await logIn(password);
    const { changed, problems } = await fresh.sync();
    expect([changed.length, problems.length]).to.deep.equal([5, 0]);
    const opened = (await Array.fromAsync(fresh.localEntries())).map((entry) => entry.password).sort();
    expect(opened).to.deep.equal(['p0', 'p1', 'p2', 'p3', 'p4']);
    fresh.close();
  };

  it('wants the current password, and changes nothing without it', async () => {
    const refused = vault.changePassword({ ...passwords, currentPassword: 'wrong' });
    expect(await rejection(refused)).to.be.instanceOf(WrongCredentialsError);
    await expectInForce('old password');
  });

  it('refuses an empty new password and weak parameters', async () => {
    const weak = { algorithm: 1, memoryKib: 1_024, iterations: 3, parallelism: 1 };
    for (const change of [{ newPassword: '' }, { kdf: weak }]) {
      expect(await rejection(vault.changePassword({ ...passwords, ...change }))).to.be.instanceOf(
        InvalidInputError,
      );
    }
    await expectInForce('old password');
  });

  it('does not change a vault whose key it does not hold any more', async () => {
    const other = await logIn('old password');
    await other.changePassword({ currentPassword: 'old password', newPassword: 'old password' });
    expect(await rejection(vault.changePassword(passwords))).to.be.instanceOf(PasswordChangedError);
    other.close();
  });

  it('stops for a change that another client has open, which may be aborted', async () => {
    const other = await logIn('old password');
    let refusal: unknown;
    world.disturb(async ({ method, pass }) => {
      if (method === 'CommitPasswordChange') {
        world.disturb(undefined);
        refusal = await rejection(vault.changePassword(passwords));
        const third = await logIn('old password');
        await third.abortPasswordChange();
        third.close();
      }
      return pass();
    });
    const error = await rejection(other.changePassword(passwords));
    expect((refusal as ServerRefusalError).code).to.equal('password_change_in_progress');
    expect(error).to.be.instanceOf(PasswordNotChangedError);
    await expectInForce('old password');
    other.close();
  });

  it('drops the change when sending the entries fails for good', async () => {
    world.disturb(async ({ method, pass }) => {
      if (method === 'BatchUpdateEntries') throw new Error('ECONNREFUSED');
      return pass();
    });
    const error = await rejection(vault.changePassword(passwords));
    expect(error).to.be.instanceOf(PasswordNotChangedError);
    expect(error.cause).to.be.instanceOf(UnavailableError);
    world.disturb(undefined);
    await vault.create({ name: 'writes go on' });
  });

  it('drops the change when the person gives up on the way', async () => {
    const controller = new AbortController();
    world.disturb(async ({ method, pass }) => {
      if (method === 'BatchUpdateEntries') controller.abort(new Error('enough'));
      return pass();
    });
    const error = await rejection(vault.changePassword({ ...passwords, signal: controller.signal }));
    expect(error).to.be.instanceOf(PasswordNotChangedError);
    expect((error.cause as Error).message).to.equal('enough');
    world.disturb(undefined);
    await expectInForce('old password');
  });

  it('does not trust a server that proves nothing at the opening', async () => {
    world.disturb(swappingAnswers('AuthenticatePasswordChange', 'StartPasswordChange'));
    expect(await rejection(vault.changePassword(passwords))).to.be.instanceOf(UntrustedAnswerError);
    world.disturb(undefined);
    const other = await logIn('old password');
    await other.abortPasswordChange();
    other.close();
    await expectInForce('old password');
  });

  it('leaves entries that do not open as they are, and says which', async () => {
    const [first, second] = (await vault.list()).entries;
    await world.server.database.query('update secure_data set entry_data = entry_name where entry_id = $1', [
      first!.id,
    ]);
    const before = await storedEntry(world, first!.id);
    const { entries, unreadable } = await vault.changePassword(passwords);
    expect([entries, unreadable]).to.deep.equal([5, [first!.id]]);
    expect(await storedEntry(world, first!.id)).to.deep.equal(before);
    expect((await vault.get(second!.id)).password).to.equal('p1');
  });

  it('loses no entry of a kind, and no field, that it does not know', async () => {
    const { id } = (await vault.list()).entries[0]!;
    const future = newMessages({ name: 'from the future', password: 'p0' });
    future.name.kind = 77 as never;
    future.data.$unknown = [{ no: 1000, wireType: 2, data: Uint8Array.of(2, 8, 9) }];
    const sealed = await sealEntry(await vaultKeyOf('old password'), id, future, random);
    await world.server.database.query(
      'update secure_data set entry_name = $2, entry_data = $3 where entry_id = $1',
      [id, sealed.entryName, sealed.entryData],
    );
    await vault.changePassword(passwords);
    const { entry_name: entryName, entry_data: entryData } = await storedEntry(world, id);
    const { name, data } = await openEntry(await vaultKeyOf('new password'), id, { entryName, entryData });
    expect(name).to.deep.equal(future.name);
    expect(data).to.deep.equal(future.data);
    expect((await vault.list()).entries.map((entry) => entry.name)).not.to.include('from the future');
  });

  it('changes everything at once, ends every other session, and goes on', async () => {
    const other = await logIn('old password');
    const seen: PasswordChangeProgress[] = [];
    const report = await vault.changePassword({
      ...passwords,
      onProgress: (progress) => seen.push(progress),
    });
    expect(report).to.deep.equal({ entries: 5, unreadable: [] });
    expect(seen.map(({ stage }) => stage)).to.deep.equal([
      'logging in',
      'deriving',
      'proving',
      'entries',
      'committing',
      'finishing',
    ]);
    expect(seen.at(-1)).to.deep.equal({ stage: 'finishing', done: 5, total: 5 });
    expect(await rejection(other.list())).to.be.instanceOf(SessionEndedError);
    const entry = (await vault.list()).entries[0]!;
    await vault.update(entry, { password: 'p0' });
    await expectInForce('new password');
    other.close();
  });

  it('changes the keys alone when the password stays', async () => {
    const { id } = (await vault.list()).entries[0]!;
    const before = await storedEntry(world, id);
    await vault.changePassword({ currentPassword: 'old password', newPassword: 'old password' });
    expect((await storedEntry(world, id)).entry_name.equals(before.entry_name)).to.equal(false);
    await expectInForce('old password');
  });

  it('takes a synced copy along, and fetches nothing of it for the change', async () => {
    const store = new MemoryStore();
    const synced = await logIn('old password', { store });
    await synced.sync();
    world.called.length = 0;
    await synced.changePassword(passwords);
    expect(world.called).not.to.include('BatchGetEntries');
    expect(await synced.problems()).to.deep.equal([]);
    synced.close();
    const again = await logIn('new password', { store });
    expect((await Array.fromAsync(again.localEntries())).length).to.equal(5);
    expect((await again.sync()).changed).to.deep.equal([]);
    again.close();
  });

  it('lets calls wait until it is through', async () => {
    const { id } = (await vault.list()).entries[0]!;
    const [, entry] = await Promise.all([vault.changePassword(passwords), vault.get(id)]);
    expect(entry.password).to.equal('p0');
  });

  it('can be done again and again', async () => {
    await vault.changePassword(passwords);
    await vault.changePassword({ currentPassword: 'new password', newPassword: 'old password' });
    await vault.changePassword(passwords);
    await expectInForce('new password');
  });

  for (const method of [
    'StartSession',
    'AuthenticateSession',
    'StartPasswordChange',
    'AuthenticatePasswordChange',
    'BatchGetEntries',
    'BatchUpdateEntries',
    'CommitPasswordChange',
  ]) {
    for (const lose of [losingAnswers, losingRequests]) {
      it(`gets through when ${lose === losingAnswers ? 'the answer to' : 'the request of'} ${method} is lost`, async () => {
        world.disturb(lose(method));
        await vault.changePassword(passwords);
        world.disturb(undefined);
        await expectInForce('new password');
      });
    }
  }

  /** The key that the vault's entries are sealed under. */
  const vaultKeyOf = async (password: string) => {
    const login = await openSession(
      {
        platform: completePlatform({ argon2id: quickArgon2id }),
        transport: world.transport,
        retry: DEFAULT_RETRY_POLICY,
        usernameHash: hashUsername(username),
        limits: { maximumRequests: 1n, expirySeconds: 60n },
      },
      { password },
    );
    const header = await openVaultHeader(login.masterKey!, login.encryptedVaultHeader);
    return importSealKey(header.vaultKey);
  };

  /** Answers one method with the answer to another. */
  function swappingAnswers(method: string, other: string): Disturbance {
    let kept: { message: { secure: unknown } };
    return async (call) => {
      const answer = await call.pass();
      if (call.method === other) kept = answer;
      if (call.method === method) answer.message.secure = kept.message.secure;
      return answer;
    };
  }
});
