import { expect } from 'chai';
import { EntryProblemError, InvalidInputError, type ServerRefusalError } from '../../src/client/errors.ts';
import type { Vault } from '../../src/client/index.ts';
import { type ClientWorld, startClientWorld } from '../support/client_world.ts';
import { rejection } from '../support/rejection.ts';
import { putBack, storedEntry } from '../support/stored_entries.ts';

describe('a refused copy', () => {
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
  const query = (text: string, parameters: unknown[]) => world.server.database.query(text, parameters);

  it('refuses an older version, keeps its own, and lets the person write again above both', async () => {
    const entry = await vault.create({ name: 'a', password: 'one' });
    const old = await storedEntry(world, entry.id);
    await vault.update(entry, { password: 'two' });
    await putBack(world, entry.id, old);
    const { problem } = (await rejection(vault.get(entry.id))) as EntryProblemError;
    expect([problem.reason, problem.ours?.password, problem.theirs?.password]).to.deep.equal([
      'older',
      'two',
      'one',
    ]);
    expect((await vault.getLocal(entry.id))!.password).to.equal('two');
    expect(await rejection(vault.update(entry.id, { name: 'b' }))).to.be.instanceOf(EntryProblemError);
    const settled = (await vault.resolve(entry.id, 'ours'))!;
    expect([settled.password, settled.version]).to.deep.equal(['two', 3n]);
    expect((await vault.get(entry.id)).password).to.equal('two');
    expect(await vault.problems()).to.deep.equal([]);
  });

  it('takes the older version when the person wants it', async () => {
    const entry = await vault.create({ name: 'a', password: 'one' });
    const old = await storedEntry(world, entry.id);
    await vault.update(entry, { password: 'two' });
    await putBack(world, entry.id, old);
    await rejection(vault.get(entry.id));
    expect((await vault.resolve(entry.id, 'theirs'))!.password).to.equal('one');
    expect((await vault.get(entry.id)).password).to.equal('one');
  });

  it('refuses a name and data of two writes, and takes them only by writing both again', async () => {
    const entry = await vault.create({ name: 'a', password: 'one' });
    const old = await storedEntry(world, entry.id);
    await vault.update(entry, { name: 'b', password: 'two' });
    const current = await storedEntry(world, entry.id);
    await putBack(world, entry.id, { entry_name: current.entry_name, entry_data: old.entry_data });
    const { problem } = (await rejection(vault.get(entry.id))) as EntryProblemError;
    expect(problem.reason).to.equal('mixed');
    const settled = (await vault.resolve(entry.id, 'theirs'))!;
    expect([settled.name, settled.password, settled.version]).to.deep.equal(['b', 'one', 3n]);
    expect((await vault.get(entry.id)).version).to.equal(3n);
  });

  it('refuses what does not open, whosever entry it is', async () => {
    const [one, other] = await vault.createMany([{ name: 'a', password: 'one' }, { name: 'b' }]);
    await putBack(world, one!.id, await storedEntry(world, other!.id));
    const { problem } = (await rejection(vault.get(one!.id))) as EntryProblemError;
    expect([problem.reason, problem.ours?.password, problem.theirs]).to.deep.equal([
      'unreadable',
      'one',
      undefined,
    ]);
    expect(await rejection(vault.resolve(one!.id, 'theirs'))).to.be.instanceOf(InvalidInputError);
    await vault.resolve(one!.id, 'ours');
    expect((await vault.get(one!.id)).password).to.equal('one');
  });

  it('refuses a deleted entry that is back', async () => {
    const entry = await vault.create({ name: 'a' });
    const bytes = await storedEntry(world, entry.id);
    await vault.delete(entry);
    await putBack(world, entry.id, bytes);
    await query(
      'update users set entry_count = 1 where id = (select user_id from secure_data where entry_id = $1)',
      [entry.id],
    );
    const { problem } = (await rejection(vault.get(entry.id))) as EntryProblemError;
    expect([problem.reason, problem.ours, problem.theirs?.name]).to.deep.equal(['older', undefined, 'a']);
    await vault.resolve(entry.id, 'ours');
    expect(((await rejection(vault.get(entry.id))) as ServerRefusalError).code).to.equal('entry_not_found');
  });

  it('has nothing to decide where nothing is refused', async () => {
    const { id } = await vault.create({ name: 'a' });
    expect(await rejection(vault.resolve(id, 'theirs'))).to.be.instanceOf(InvalidInputError);
  });

  it('without a copy of our own can only be taken', async () => {
    const other = await logIn();
    const entry = await other.create({ name: 'a', password: 'one' });
    const old = await storedEntry(world, entry.id);
    await other.update(entry, { password: 'two' });
    await putBack(world, entry.id, { ...(await storedEntry(world, entry.id)), entry_data: old.entry_data });
    other.close();
    expect((await vault.sync()).problems.map(({ reason, ours }) => [reason, ours])).to.deep.equal([
      ['mixed', undefined],
    ]);
    expect(await rejection(vault.resolve(entry.id, 'ours'))).to.be.instanceOf(InvalidInputError);
    expect((await vault.resolve(entry.id, 'theirs'))!.version).to.equal(3n);
  });

  it('of an entry that is missing and was deleted in between comes back under another id', async () => {
    const [kept, lost] = await vault.createMany([{ name: 'kept' }, { name: 'lost', password: 'p' }]);
    await vault.sync();
    const other = await logIn();
    await query(
      "update users set history_id = decode(md5(random()::text), 'hex') where id = (select user_id from secure_data where entry_id = $1)",
      [kept!.id],
    );
    await query('delete from secure_data where entry_id = $1', [lost!.id]);
    await vault.sync();
    await other.create({ id: lost!.id, name: 'found by another client' });
    await other.delete(lost!.id);
    other.close();
    const back = (await vault.resolve(lost!.id, 'ours'))!;
    expect(back.id).not.to.equal(lost!.id);
    expect([back.name, back.password]).to.deep.equal(['lost', 'p']);
    expect(await vault.problems()).to.deep.equal([]);
  });
});
