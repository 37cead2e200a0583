import { expect } from 'chai';
import { InvalidInputError, type ServerRefusalError, UntrustedAnswerError } from '../../src/client/errors.ts';
import type { Vault } from '../../src/client/index.ts';
import { type ClientWorld, startClientWorld } from '../support/client_world.ts';
import { rejection } from '../support/rejection.ts';
import { putBack, storedEntry } from '../support/stored_entries.ts';

describe('reading entries', () => {
  let world: ClientWorld;
  let vault: Vault;
  let username: string;
  before(async () => {
    world = await startClientWorld();
  });
  after(() => world.stop());
  beforeEach(async () => {
    username = await world.newUser();
    vault = await logIn();
  });
  afterEach(() => {
    world.disturb(undefined);
    vault.close();
  });

  const logIn = () =>
    world.client.logIn(world.transport, { username, password: 'old password', maximumRequests: -1 });

  it('refuses ids that are no lower-case UUIDs, without asking the server', async () => {
    world.called.length = 0;
    for (const id of ['', 'x', crypto.randomUUID().toUpperCase()]) {
      for (const refused of [
        () => vault.get(id),
        () => vault.create({ name: 'n', id }),
        () => vault.update(id, {}),
        () => vault.delete(id),
        () => vault.getMany([id]),
      ]) {
        expect(await rejection(refused())).to.be.instanceOf(InvalidInputError);
      }
    }
    expect(world.called).to.deep.equal([]);
  });

  it('says that there is no such entry', async () => {
    const id = crypto.randomUUID();
    for (const refused of [
      () => vault.get(id),
      () => vault.update(id, { name: 'x' }),
      () => vault.delete(id),
    ]) {
      expect(((await rejection(refused())) as ServerRefusalError).code).to.equal('entry_not_found');
    }
  });

  it('finds a swapped name in the list as well', async () => {
    const [one, other] = await vault.createMany([{ name: 'a' }, { name: 'b' }]);
    await putBack(world, one!.id, await storedEntry(world, other!.id));
    const { entries, problems } = await vault.list();
    expect(problems.map(({ entryId, reason }) => [entryId, reason])).to.deep.equal([[one!.id, 'unreadable']]);
    expect(entries.map(({ name }) => name)).to.deep.equal(['a', 'b']);
  });

  it('does not take the answer to an earlier question', async () => {
    const { id } = await vault.create({ name: 'a' });
    let first: unknown;
    world.disturb(async ({ pass }) => {
      const answer = await pass();
      first ??= answer;
      return first;
    });
    await vault.getMany([id]);
    expect(await rejection(vault.getMany([id]))).to.be.instanceOf(UntrustedAnswerError);
  });

  it('fetches what did not fit into one message', async () => {
    const notes = 'x'.repeat(60_000);
    const created = await vault.createMany(
      Array.from({ length: 60 }, (_, index) => ({ name: `${index}`, notes })),
    );
    const { entries, missing } = await vault.getMany(created.map(({ id }) => id));
    expect([entries.length, missing.length]).to.deep.equal([60, 0]);
    expect(entries.every((entry) => entry.notes === notes)).to.equal(true);
  });

  it('runs more calls side by side than the window holds', async () => {
    const entry = await vault.create({ name: 'a' });
    const answers = await Promise.all(Array.from({ length: 150 }, () => vault.get(entry.id)));
    expect(answers.every(({ name }) => name === 'a')).to.equal(true);
  });
});
