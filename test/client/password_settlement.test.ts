import { expect } from 'chai';
import { UnavailableError, WrongCredentialsError } from '../../src/client/errors.ts';
import { MemoryStore, type Vault } from '../../src/client/index.ts';
import { type ClientWorld, startClientWorld } from '../support/client_world.ts';
import { rejection } from '../support/rejection.ts';

describe('settling a password change that was left', () => {
  let world: ClientWorld;
  let username: string;
  let store: MemoryStore;
  let vault: Vault;
  before(async () => {
    world = await startClientWorld();
  });
  after(() => world.stop());
  beforeEach(async () => {
    username = await world.newUser();
    store = new MemoryStore();
    vault = await logIn('old password');
    await vault.createMany([{ name: 'a' }, { name: 'b' }]);
  });
  afterEach(() => {
    world.disturb(undefined);
    vault.close();
  });

  const logIn = (password: string, change: object = {}) =>
    world.client.logIn(world.transport, { username, password, store, ...change });
  const settle = (change: object = {}) =>
    world.client.settlePasswordChange(world.transport, {
      username,
      oldPassword: 'old password',
      newPassword: 'new password',
      ...change,
    });
  /** Nothing arrives any more from this method on; with `arrives`, only its answer and all that follows are lost. */
  const dieAt = (method: string, arrives: boolean, newPassword = 'new password') => {
    let isDead = false;
    world.disturb(async (call) => {
      if (isDead) throw new Error('ECONNREFUSED');
      if (call.method === method) {
        isDead = true;
        if (arrives) await call.pass();
        throw new Error('ECONNRESET');
      }
      return call.pass();
    });
    return rejection(vault.changePassword({ currentPassword: 'old password', newPassword })).finally(() =>
      world.disturb(undefined),
    );
  };

  it('says so when neither password fits', async () => {
    const refused = settle({ oldPassword: 'x', newPassword: 'y' });
    expect(await rejection(refused)).to.be.instanceOf(WrongCredentialsError);
  });

  it('leaves the outcome open when the server stays away', async () => {
    expect(await dieAt('CommitPasswordChange', true)).to.be.instanceOf(UnavailableError);
    world.disturb(async () => {
      throw new Error('ECONNREFUSED');
    });
    expect(await rejection(settle())).to.be.instanceOf(UnavailableError);
  });

  for (const [method, arrives, inForce] of [
    ['AuthenticatePasswordChange', true, 'old'],
    ['BatchUpdateEntries', false, 'old'],
    ['BatchUpdateEntries', true, 'old'],
    ['CommitPasswordChange', false, 'old'],
    ['CommitPasswordChange', true, 'new'],
  ] as const) {
    it(`finds the ${inForce} password in force after a death ${arrives ? 'after' : 'before'} ${method} arrived, and the whole vault opens`, async () => {
      await dieAt(method, arrives);
      expect(await settle({ store })).to.equal(inForce);
      expect(await settle()).to.equal(inForce);
      const again = await logIn(`${inForce} password`);
      expect((await again.sync()).problems).to.deep.equal([]);
      await again.create({ name: 'writes go on' });
      expect((await again.list()).entries.length).to.equal(3);
      again.close();
    });
  }

  for (const [arrives, inForce] of [
    [false, 'old'],
    [true, 'new'],
  ] as const) {
    it(`tells by the store when both passwords are the same and the commit ${arrives ? 'arrived' : 'did not arrive'}`, async () => {
      await dieAt('CommitPasswordChange', arrives, 'old password');
      expect(await settle({ newPassword: 'old password', store })).to.equal(inForce);
      const again = await logIn('old password');
      expect((await again.sync()).problems).to.deep.equal([]);
      again.close();
    });
  }

  it('waits for a commit that is still on its way', async () => {
    let arrive = () => {};
    const arrived = new Promise<void>((resolve) => {
      arrive = resolve;
    });
    let late: Promise<unknown> | undefined;
    let isDead = false;
    world.disturb(async (call) => {
      if (call.method === 'CommitPasswordChange' && !isDead) {
        isDead = true;
        late = arrived.then(() => call.pass());
        throw new Error('ECONNRESET');
      }
      // The log-in with the new password is refused; the commit lands; the abort comes too late.
      if (call.method === 'AbortPasswordChange') {
        arrive();
        await late;
      }
      if (isDead && call.method === 'CommitPasswordChange') throw new Error('ECONNRESET');
      return call.pass();
    });
    await vault.changePassword({ currentPassword: 'old password', newPassword: 'new password' });
    world.disturb(undefined);
    expect(await settle()).to.equal('new');
  });
});
