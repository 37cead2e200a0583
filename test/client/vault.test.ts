import { expect } from 'chai';
import { hashUsername } from '../../src/client/credentials.ts';
import {
  ClosedError,
  PasswordChangedError,
  ReadOnlyVaultError,
  SessionEndedError,
  VaultRolledBackError,
} from '../../src/client/errors.ts';
import { MemoryStore, type Vault, type VaultTransport } from '../../src/client/index.ts';
import { openLocalVault } from '../../src/client/local_vault.ts';
import { openSession } from '../../src/client/login.ts';
import { completePlatform } from '../../src/client/platform.ts';
import { DEFAULT_RETRY_POLICY } from '../../src/client/retry.ts';
import { Vault as VaultClass } from '../../src/client/vault.ts';
import { openVaultHeader } from '../../src/client/vault_header.ts';
import { importSealKey } from '../../src/protocol/seal.ts';
import { type ClientWorld, quickArgon2id, startClientWorld } from '../support/client_world.ts';
import { rejection } from '../support/rejection.ts';

describe('a vault', () => {
  let world: ClientWorld;
  let transport: VaultTransport;
  let username: string;
  const opened: Vault[] = [];
  before(async () => {
    world = await startClientWorld();
    transport = world.transport;
  });
  after(() => world.stop());
  beforeEach(async () => {
    username = await world.newUser();
  });
  afterEach(() => {
    world.disturb(undefined);
    for (const vault of opened.splice(0)) vault.close();
  });

  const logIn = async (change: object = {}) => {
    const vault = await world.client.logIn(transport, { username, password: 'old password', ...change });
    opened.push(vault);
    return vault;
  };

  it('does nothing after close', async () => {
    const vault = await logIn();
    vault.close();
    for (const refused of [
      () => vault.list(),
      () => vault.create({ name: 'a' }),
      () => vault.listSessions(),
    ]) {
      expect(await rejection(refused())).to.be.instanceOf(ClosedError);
    }
  });

  it('ends with its session when the caller wants no other', async () => {
    const vault = await logIn({ maximumRequests: 2 });
    await vault.list();
    await vault.list();
    expect(await rejection(vault.list())).to.be.instanceOf(SessionEndedError);
  });

  it('opens no other session when the password was changed elsewhere, and loses nothing', async () => {
    const store = new MemoryStore();
    const vault = await logIn({ store, renewal: 'keep-secret' });
    const entry = await vault.create({ name: 'a' });
    const other = await logIn();
    await other.changePassword({ currentPassword: 'old password', newPassword: 'new password' });
    expect(await rejection(vault.get(entry.id))).to.be.instanceOf(SessionEndedError);
    expect((await vault.getLocal(entry.id))!.name).to.equal('a');
  });

  it('does not write under an old vault key when the person types the new password', async () => {
    const vault = await logIn({ renewal: { askPassword: async () => 'new password' } });
    await vault.list();
    const other = await logIn();
    await other.changePassword({ currentPassword: 'old password', newPassword: 'new password' });
    expect(await rejection(vault.create({ name: 'a' }))).to.be.instanceOf(PasswordChangedError);
    expect(await rejection(vault.list())).to.be.instanceOf(PasswordChangedError);
    expect((await other.list()).entries).to.deep.equal([]);
  });

  it('refuses a header that is older than its store has seen, and opens it when the person insists', async () => {
    const columns = 'srp_salt, srp_verifier, master_key_salt, encrypted_vault_header';
    const { query } = world.server.database;
    const before = await query(`select id, ${columns} from users`);
    const store = new MemoryStore();
    const vault = await logIn({ store });
    await vault.changePassword({ currentPassword: 'old password', newPassword: 'old password' });
    for (const row of before) {
      await query(`update users set (${columns}) = ($2, $3, $4, $5) where id = $1`, [
        row.id,
        row.srp_salt,
        row.srp_verifier,
        row.master_key_salt,
        row.encrypted_vault_header,
      ]);
    }
    const error = (await rejection(logIn({ store }))) as VaultRolledBackError;
    expect(error).to.be.instanceOf(VaultRolledBackError);
    expect([error.seenVersion, error.offeredVersion]).to.deep.equal([2n, 1n]);
    await logIn({ store, acceptOlderVault: true });
    await logIn({ store });
  });

  it('reads and does not write when the vault needs a feature that it does not know', async () => {
    const platform = completePlatform({ argon2id: quickArgon2id });
    const context = {
      platform,
      transport,
      retry: DEFAULT_RETRY_POLICY,
      usernameHash: hashUsername(username),
      limits: { maximumRequests: 0n, expirySeconds: 0n },
    };
    const login = await openSession(context, { password: 'old password' });
    const header = await openVaultHeader(login.masterKey!, login.encryptedVaultHeader);
    header.requiredFeatures = ['manifest'];
    const local = await openLocalVault({
      store: new MemoryStore(),
      vaultKey: await importSealKey(header.vaultKey),
      vaultKeyId: 'x',
      headerVersion: 1n,
      acceptOlderHeader: false,
      random: platform.random,
    });
    const vault = new VaultClass({ context, login, header, local, renewal: 'never' });
    expect(vault.isReadOnly).to.equal(true);
    for (const refused of [
      () => vault.create({ name: 'a' }),
      () => vault.createMany([]),
      () => vault.update(crypto.randomUUID(), {}),
      () => vault.updateMany([]),
      () => vault.delete(crypto.randomUUID()),
      () => vault.deleteMany([]),
      () => vault.resolve(crypto.randomUUID(), 'ours'),
      () => vault.changePassword({ currentPassword: 'old password', newPassword: 'x' }),
    ]) {
      expect(await rejection(refused())).to.be.instanceOf(ReadOnlyVaultError);
    }
    expect((await vault.list()).entries).to.deep.equal([]);
    expect((await vault.sync()).changed).to.deep.equal([]);
    vault.close();
  });

  for (const [what, renewal] of [
    ['with the secret that it kept', 'keep-secret'],
    ['by asking for the password', { askPassword: async () => 'old password' }],
  ] as const) {
    it(`goes on over many sessions ${what}`, async () => {
      const vault = await logIn({ maximumRequests: 3, renewal });
      const entries = await Promise.all(
        Array.from({ length: 8 }, (_, index) => vault.create({ name: `${index}` })),
      );
      expect(new Set(entries.map(({ revision }) => revision)).size).to.equal(8);
      expect((await vault.list()).entries.length).to.equal(8);
    });
  }

  it('goes on when its session was ended elsewhere', async () => {
    const vault = await logIn({ renewal: 'keep-secret' });
    const other = await logIn();
    const [session] = (await vault.listSessions()).filter(({ current }) => current);
    await other.endSession(session!.id);
    expect((await vault.list()).entries).to.deep.equal([]);
  });

  it('lists and ends sessions; one that is gone counts as ended', async () => {
    const vault = await logIn({ maximumRequests: -1, expirySeconds: -1 });
    const other = await logIn();
    const sessions = await vault.listSessions();
    expect(sessions.map(({ kind, current }) => [kind, current])).to.have.deep.members([
      ['login', true],
      ['login', false],
    ]);
    const mine = sessions.find(({ current }) => current)!;
    expect([mine.expiryTime, mine.remainingRequests]).to.deep.equal([undefined, undefined]);
    const theirs = sessions.find(({ current }) => !current)!;
    await vault.endSession(theirs.id);
    await vault.endSession(theirs.id);
    expect(await rejection(other.list())).to.be.instanceOf(SessionEndedError);
  });

  it('ends every session, its own too', async () => {
    const vault = await logIn();
    const other = await logIn();
    await vault.endAllSessions();
    expect(await rejection(other.list())).to.be.instanceOf(SessionEndedError);
    expect(await rejection(vault.list())).to.be.instanceOf(ClosedError);
  });

  it('ends its session on the server when it logs out, and needs no server for it', async () => {
    const other = await logIn();
    const vault = await logIn();
    await vault.logOut();
    expect((await other.listSessions()).length).to.equal(1);
    const offline = await logIn();
    world.disturb(async () => {
      throw new Error('ECONNREFUSED');
    });
    await offline.logOut();
    expect(await rejection(offline.list())).to.be.instanceOf(ClosedError);
  });

  it('shows its own copy without asking the server', async () => {
    const vault = await logIn();
    const { id } = await vault.create({ name: 'a', password: 'p' });
    world.called.length = 0;
    expect((await vault.getLocal(id))!.password).to.equal('p');
    expect((await Array.fromAsync(vault.localEntries())).length).to.equal(1);
    expect(await vault.getLocal(crypto.randomUUID())).to.equal(undefined);
    expect(world.called).to.deep.equal([]);
  });
});
