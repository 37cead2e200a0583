import { expect } from 'chai';
import { ClosedError, type ServerRefusalError, WrongCredentialsError } from '../../src/client/errors.ts';
import type { Vault } from '../../src/client/index.ts';
import {
  type ClientWorld,
  losingAnswers,
  losingRequests,
  startClientWorld,
} from '../support/client_world.ts';
import { rejection } from '../support/rejection.ts';

describe('an account', () => {
  let world: ClientWorld;
  let username: string;
  const opened: Vault[] = [];
  before(async () => {
    world = await startClientWorld();
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
    const vault = await world.client.logIn(world.transport, {
      username,
      password: 'old password',
      ...change,
    });
    opened.push(vault);
    return vault;
  };
  const isWrong = async (change: object) => {
    expect(await rejection(logIn(change))).to.be.instanceOf(WrongCredentialsError);
  };

  it('keeps its name when another one has the new one', async () => {
    const taken = await world.newUser();
    const vault = await logIn();
    const refused = vault.changeUsername({ newUsername: taken, password: 'old password' });
    expect(((await rejection(refused)) as ServerRefusalError).code).to.equal('username_exists');
    await isWrong({ username: taken, password: 'other' });
    await logIn();
  });

  it('is neither renamed nor deleted without the password', async () => {
    const vault = await logIn();
    const renamed = vault.changeUsername({ newUsername: `${username}2`, password: 'wrong' });
    expect(await rejection(renamed)).to.be.instanceOf(WrongCredentialsError);
    expect(await rejection(vault.deleteAccount({ password: 'wrong' }))).to.be.instanceOf(
      WrongCredentialsError,
    );
    await logIn();
  });

  for (const lose of [undefined, losingRequests, losingAnswers]) {
    const circumstances =
      lose === undefined
        ? ''
        : lose === losingAnswers
          ? ', although answers are lost'
          : ', although requests are lost';

    it(`is renamed${circumstances}, and its vault goes on under the new name`, async () => {
      const vault = await logIn({ renewal: 'keep-secret', maximumRequests: 1 });
      if (lose !== undefined) world.disturb(lose('ChangeUsername', 'ChangeUsername'));
      const newUsername = `new-${crypto.randomUUID()}`;
      await vault.changeUsername({ newUsername, password: 'old password' });
      await isWrong({});
      await logIn({ username: newUsername });
      await vault.list();
      await vault.list();
    });

    it(`is deleted${circumstances}`, async () => {
      const vault = await logIn();
      await vault.create({ name: 'a' });
      if (lose !== undefined) world.disturb(lose('DeleteUser', 'DeleteUser'));
      await vault.deleteAccount({ password: 'old password' });
      await isWrong({});
      expect(await rejection(vault.list())).to.be.instanceOf(ClosedError);
    });
  }
});
