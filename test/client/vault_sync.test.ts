import { expect } from 'chai';
import { MemoryStore, type StoreChange, type Vault } from '../../src/client/index.ts';
import { type ClientWorld, startClientWorld } from '../support/client_world.ts';
import { rejection } from '../support/rejection.ts';

/** Dies before it notes that a listing is over. */
class DyingStore extends MemoryStore {
  isDying = false;

  override async apply(change: StoreChange): Promise<void> {
    if (this.isDying && change.state?.isRelisting === false) throw new Error('killed');
    await super.apply(change);
  }
}

describe('syncing', () => {
  let world: ClientWorld;
  let username: string;
  let one: Vault;
  let other: Vault;
  before(async () => {
    world = await startClientWorld();
  });
  after(() => world.stop());
  beforeEach(async () => {
    username = await world.newUser();
    one = await logIn();
    other = await logIn();
  });
  afterEach(() => {
    world.disturb(undefined);
    one.close();
    other.close();
  });

  const logIn = (store = new MemoryStore()) =>
    world.client.logIn(world.transport, { username, password: 'old password', maximumRequests: -1, store });
  const query = (text: string, parameters: unknown[]) => world.server.database.query(text, parameters);
  const localNames = async (vault: Vault) =>
    (await Array.fromAsync(vault.localEntries())).map(({ name }) => name).sort();
  /** What a restore of a backup does: another history, and perhaps fewer entries. */
  const restore = async (lostId?: string) => {
    const [{ user_id }] = (await query('select user_id from secure_data where entry_id = $1', [
      (await one.list()).entries[0]!.id,
    ])) as [{ user_id: string }];
    await query("update users set history_id = decode(md5(random()::text), 'hex') where id = $1", [user_id]);
    if (lostId !== undefined) await query('delete from secure_data where entry_id = $1', [lostId]);
  };

  it('leaves the copy as it was when the server cannot be reached', async () => {
    await other.create({ name: 'a' });
    await one.sync();
    await other.create({ name: 'b' });
    world.disturb(async () => {
      throw new Error('ECONNREFUSED');
    });
    await rejection(one.sync());
    expect(await localNames(one)).to.deep.equal(['a']);
  });

  it('brings a refused copy as a problem, and goes on with the rest', async () => {
    const [a, b] = await other.createMany([{ name: 'a' }, { name: 'b' }]);
    await one.sync();
    await other.update(b!, { name: 'c' });
    await query(
      'update secure_data set entry_data = entry_name, revision = revision + 2 where entry_id = $1',
      [a!.id],
    );
    const { changed, problems } = await one.sync();
    expect(changed).to.deep.equal([b!.id]);
    expect(problems.map(({ entryId, reason, ours }) => [entryId, reason, ours?.name])).to.deep.equal([
      [a!.id, 'unreadable', 'a'],
    ]);
    expect((await one.problems()).length).to.equal(1);
  });

  it('sets aside what is gone after a restore, and asks', async () => {
    const [kept, lost] = await other.createMany([{ name: 'kept' }, { name: 'lost', password: 'p' }]);
    await one.sync();
    await restore(lost!.id);
    const report = await one.sync();
    expect(report.reset).to.equal(true);
    expect(
      report.problems.map(({ entryId, reason, ours }) => [entryId, reason, ours?.password]),
    ).to.deep.equal([[lost!.id, 'missing', 'p']]);
    expect((await one.list()).entries.map(({ id }) => id)).to.deep.equal([kept!.id]);
    expect((await one.search('lost')).length).to.equal(0);

    const back = (await one.resolve(lost!.id, 'ours'))!;
    expect([back.id, back.password]).to.deep.equal([lost!.id, 'p']);
    expect((await one.list()).entries.map(({ name }) => name)).to.deep.equal(['kept', 'lost']);
    expect((await other.sync()).problems).to.deep.equal([]);
  });

  it('forgets what is gone after a restore when the person agrees', async () => {
    const [, lost] = await other.createMany([{ name: 'kept' }, { name: 'lost' }]);
    await one.sync();
    await restore(lost!.id);
    await one.sync();
    await one.resolve(lost!.id, 'theirs');
    expect(await one.problems()).to.deep.equal([]);
    expect(await one.getLocal(lost!.id)).to.equal(undefined);
  });

  it('finishes a listing after a restore although it died in between', async () => {
    const store = new DyingStore();
    const dying = await logIn(store);
    const [, lost] = await other.createMany([{ name: 'kept' }, { name: 'lost' }]);
    await dying.sync();
    await restore(lost!.id);
    // The page with the reset is stored; the process dies before the listing is over.
    store.isDying = true;
    expect((await rejection(dying.sync())).message).to.equal('killed');
    store.isDying = false;
    dying.close();
    const again = await logIn(store);
    expect((await again.sync()).problems.map(({ reason }) => reason)).to.deep.equal(['missing']);
    again.close();
  });

  it('brings what is new, changed and deleted, and then nothing', async () => {
    const [a, b, c] = await other.createMany([{ name: 'a' }, { name: 'b' }, { name: 'c' }]);
    expect(await one.sync()).to.deep.equal({
      changed: [a!.id, b!.id, c!.id],
      deleted: [],
      problems: [],
      reset: false,
    });
    await other.update(a!, { name: 'A' });
    await other.delete(b!);
    expect(await one.sync()).to.deep.equal({
      changed: [a!.id],
      deleted: [b!.id],
      problems: [],
      reset: false,
    });
    expect(await one.sync()).to.deep.equal({ changed: [], deleted: [], problems: [], reset: false });
    expect(await localNames(one)).to.deep.equal(['A', 'c']);
  });

  it('goes on from where a persisted store is', async () => {
    const store = new MemoryStore();
    await other.create({ name: 'a' });
    const first = await logIn(store);
    await first.sync();
    first.close();
    const b = await other.create({ name: 'b' });
    const second = await logIn(store);
    expect((await second.sync()).changed).to.deep.equal([b.id]);
    expect((await second.search('a')).length).to.equal(1);
    second.close();
  });

  it('takes pages of a thousand', async () => {
    await other.createMany(Array.from({ length: 1_050 }, (_, index) => ({ name: `${index}` })));
    world.called.length = 0;
    expect((await one.sync()).changed.length).to.equal(1_050);
    expect(world.called).to.deep.equal(['SyncEntries', 'SyncEntries']);
  });

  it('does not take its own write back when a page was asked for before it', async () => {
    const entry = await one.create({ name: 'a' });
    await one.sync();
    await other.sync();
    await other.update(entry.id, { name: 'b' });
    world.disturb(async ({ method, pass }) => {
      const answer = await pass();
      if (method === 'SyncEntries') {
        world.disturb(undefined);
        await one.get(entry.id);
        await one.update(entry.id, { name: 'c' });
      }
      return answer;
    });
    await one.sync();
    expect((await one.getLocal(entry.id))!.name).to.equal('c');
  });
});
