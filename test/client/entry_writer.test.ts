import { expect } from 'chai';
import {
  BatchInterruptedError,
  RevisionConflictError,
  type ServerRefusalError,
} from '../../src/client/errors.ts';
import type { Vault } from '../../src/client/index.ts';
import {
  type ClientWorld,
  losingAnswers,
  losingRequests,
  startClientWorld,
} from '../support/client_world.ts';
import { rejection } from '../support/rejection.ts';

describe('writing entries', () => {
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

  it('does not create over another entry, nor over a deleted one', async () => {
    const { id } = await vault.create({ name: 'a' });
    expect(((await rejection(vault.create({ name: 'b', id }))) as ServerRefusalError).code).to.equal(
      'entry_exists',
    );
    await vault.delete(id);
    expect(((await rejection(vault.create({ name: 'a', id }))) as ServerRefusalError).code).to.equal(
      'entry_exists',
    );
  });

  it('names both sides when somebody else wrote first, and overwrites nothing', async () => {
    const entry = await vault.create({ name: 'a', password: 'first' });
    const other = await logIn();
    await other.update(entry.id, { password: 'theirs' });
    other.close();
    const error = (await rejection(vault.update(entry, { password: 'ours' }))) as RevisionConflictError;
    expect(error).to.be.instanceOf(RevisionConflictError);
    expect([error.ours?.password, error.theirs?.password, error.currentRevision]).to.deep.equal([
      'ours',
      'theirs',
      2n,
    ]);
    expect(await rejection(vault.delete(entry))).to.be.instanceOf(RevisionConflictError);
    // The conflict brought their copy along: writing on top of it works now, writing on top of the old one still does not.
    expect(await rejection(vault.update(entry, { password: 'ours' }))).to.be.instanceOf(
      RevisionConflictError,
    );
    const merged = await vault.update(error.theirs!, { password: 'merged' });
    expect([merged.version, (await vault.get(entry.id)).password]).to.deep.equal([3n, 'merged']);
  });

  it('does not change an entry that was deleted elsewhere', async () => {
    const entry = await vault.create({ name: 'a' });
    const other = await logIn();
    await other.delete(entry.id);
    other.close();
    expect(((await rejection(vault.update(entry, { name: 'b' }))) as ServerRefusalError).code).to.equal(
      'entry_not_found',
    );
  });

  for (const lose of [losingAnswers, losingRequests]) {
    it(`writes once, and answers as if nothing had happened, when ${lose.name === 'losingAnswers' ? 'answers' : 'requests'} are lost`, async () => {
      world.disturb(
        lose(
          'CreateEntry',
          'UpdateEntry',
          'DeleteEntry',
          'BatchCreateEntries',
          'BatchUpdateEntries',
          'BatchDeleteEntries',
        ),
      );
      const entry = await vault.create({ name: 'a' });
      const updated = await vault.update(entry, { name: 'b' });
      expect([entry.revision, updated.revision]).to.deep.equal([1n, 2n]);
      await vault.delete(updated);
      const many = await vault.createMany([{ name: 'c' }, { name: 'd' }]);
      await vault.updateMany(many.map((one) => ({ entry: one, changes: { notes: 'n' } })));
      await vault.deleteMany(many.map(({ id }) => id));
      expect((await vault.list()).entries).to.deep.equal([]);
      const [{ revision }] = (await query(
        'select max(revision) as revision from secure_data where entry_id = any($1)',
        [many.map(({ id }) => id)],
      )) as [{ revision: string }];
      expect(Number(revision)).to.equal(9);
    });
  }

  it('tells what a batch of several calls had written when it stopped', async () => {
    let calls = 0;
    world.disturb(async ({ method, pass }) => {
      if (method === 'BatchCreateEntries') calls += 1;
      if (calls > 1) throw new Error('ECONNREFUSED');
      return pass();
    });
    const entries = Array.from({ length: 501 }, (_, index) => ({
      name: `${index}`,
      id: crypto.randomUUID(),
    }));
    const error = (await rejection(vault.createMany(entries))) as BatchInterruptedError;
    expect(error).to.be.instanceOf(BatchInterruptedError);
    expect(error.done).to.deep.equal(entries.slice(0, 500).map(({ id }) => id));
    world.disturb(undefined);
    expect((await vault.list()).entries.length).to.equal(500);
  });

  it('creates, reads, changes, lists, searches and deletes in as few calls as it takes', async () => {
    world.called.length = 0;
    const progress: [number, number][] = [];
    const created = await vault.createMany(
      Array.from({ length: 600 }, (_, index) => ({ name: `Site ${index}`, password: `p${index}` })),
      { onProgress: (done, total) => progress.push([done, total]) },
    );
    expect(progress).to.deep.equal([
      [500, 600],
      [600, 600],
    ]);
    await vault.updateMany(
      created.slice(0, 2).map((entry) => ({ entry, changes: { name: `Bank ${entry.name}` } })),
    );
    expect((await vault.search('bank')).map(({ name }) => name)).to.deep.equal([
      'Bank Site 0',
      'Bank Site 1',
    ]);
    const found = await vault.getMany([created[0]!.id, created[599]!.id, crypto.randomUUID()]);
    expect(found.entries.map(({ password }) => password)).to.deep.equal(['p0', 'p599']);
    expect([found.missing.length, found.problems.length]).to.deep.equal([1, 0]);
    await vault.deleteMany(created.map(({ id }) => id).slice(2));
    expect((await vault.list()).entries.map(({ name }) => name)).to.deep.equal([
      'Bank Site 0',
      'Bank Site 1',
    ]);
    expect(world.called).to.deep.equal([
      'BatchCreateEntries',
      'BatchCreateEntries',
      'BatchUpdateEntries',
      'ListEntries',
      'BatchGetEntries',
      'BatchDeleteEntries',
      'BatchDeleteEntries',
      'ListEntries',
    ]);
  });
});
