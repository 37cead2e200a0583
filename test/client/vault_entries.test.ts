import { expect } from 'chai';
import {
  BatchInterruptedError,
  EntryProblemError,
  InvalidInputError,
  RevisionConflictError,
  type ServerRefusalError,
  UntrustedAnswerError,
} from '../../src/client/errors.ts';
import type { Vault } from '../../src/client/index.ts';
import {
  type ClientWorld,
  losingAnswers,
  losingRequests,
  startClientWorld,
} from '../support/client_world.ts';
import { rejection } from '../support/rejection.ts';

describe('the entries of a vault', () => {
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
  const bytesOf = async (id: string) =>
    (await query('select entry_name, entry_data from secure_data where entry_id = $1', [id]))[0] as {
      entry_name: Buffer;
      entry_data: Buffer;
    };
  /** What a server does that mixes or rolls back. */
  const putBack = (id: string, { entry_name, entry_data }: { entry_name: Buffer; entry_data: Buffer }) =>
    query(
      'update secure_data set entry_name = $2, entry_data = $3, revision = revision + 1 where entry_id = $1',
      [id, entry_name, entry_data],
    );

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

  it('refuses an older version, keeps its own, and lets the person write again above both', async () => {
    const entry = await vault.create({ name: 'a', password: 'one' });
    const old = await bytesOf(entry.id);
    await vault.update(entry, { password: 'two' });
    await putBack(entry.id, old);
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
    const old = await bytesOf(entry.id);
    await vault.update(entry, { password: 'two' });
    await putBack(entry.id, old);
    await rejection(vault.get(entry.id));
    expect((await vault.resolve(entry.id, 'theirs'))!.password).to.equal('one');
    expect((await vault.get(entry.id)).password).to.equal('one');
  });

  it('refuses a name and data of two writes, and takes them only by writing both again', async () => {
    const entry = await vault.create({ name: 'a', password: 'one' });
    const old = await bytesOf(entry.id);
    await vault.update(entry, { name: 'b', password: 'two' });
    const current = await bytesOf(entry.id);
    await putBack(entry.id, { entry_name: current.entry_name, entry_data: old.entry_data });
    const { problem } = (await rejection(vault.get(entry.id))) as EntryProblemError;
    expect(problem.reason).to.equal('mixed');
    const settled = (await vault.resolve(entry.id, 'theirs'))!;
    expect([settled.name, settled.password, settled.version]).to.deep.equal(['b', 'one', 3n]);
    expect((await vault.get(entry.id)).version).to.equal(3n);
  });

  it('refuses what does not open, whosever entry it is', async () => {
    const [one, other] = await vault.createMany([{ name: 'a', password: 'one' }, { name: 'b' }]);
    await putBack(one!.id, await bytesOf(other!.id));
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

  it('finds a swapped name in the list as well', async () => {
    const [one, other] = await vault.createMany([{ name: 'a' }, { name: 'b' }]);
    await putBack(one!.id, await bytesOf(other!.id));
    const { entries, problems } = await vault.list();
    expect(problems.map(({ entryId, reason }) => [entryId, reason])).to.deep.equal([[one!.id, 'unreadable']]);
    expect(entries.map(({ name }) => name)).to.deep.equal(['a', 'b']);
  });

  it('refuses a deleted entry that is back', async () => {
    const entry = await vault.create({ name: 'a' });
    const bytes = await bytesOf(entry.id);
    await vault.delete(entry);
    await putBack(entry.id, bytes);
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
