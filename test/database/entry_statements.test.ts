import { expect } from 'chai';
import * as statements from '../../src/database/entry_statements.ts';
import { SESSION_WINDOW, WRITE_UNDONE } from '../../src/database/gate_statements.ts';
import { DatabaseFault } from '../../src/database/sqlstate.ts';
import { insertRow, sampleEntry } from '../support/sample_rows.ts';
import { blob, newId, StatementWorld } from '../support/statement_world.ts';

describe('the statements of entries', () => {
  let world: StatementWorld;
  before(async () => {
    world = await StatementWorld.open();
  });
  after(() => world.close());
  beforeEach(() => world.newUser());

  /** The revision of what was written; undefined where nothing was, whichever way the statement says so. */
  const written = async (text: string, parameters: readonly unknown[]): Promise<unknown> => {
    try {
      return (await world.run(text, parameters))[0]?.revision;
    } catch (error) {
      expect(error).to.be.instanceOf(DatabaseFault).and.to.have.property('sqlState', WRITE_UNDONE);
      return undefined;
    }
  };
  const create = (id = newId(), maximum = 10) =>
    written(statements.CREATE_ENTRY, [id, blob(93), blob(285), maximum]);
  const update = (id: string, expected: bigint | null = null) =>
    written(statements.UPDATE_ENTRY, [id, blob(93), blob(285), expected]);
  const remove = (id: string, expected: bigint | null = null) =>
    written(statements.DELETE_ENTRY, [id, expected]);
  const window = async () =>
    (await world.database.reads.execute(SESSION_WINDOW, [world.sessionId, world.userId])).rows[0];

  it('write nothing, move nothing and spend nothing where they may not', async () => {
    const id = newId();
    expect(await remove(newId())).to.equal(undefined);
    expect(await create(id)).to.equal(1n);
    const before = await window();
    expect(await create(id)).to.equal(undefined);
    expect(await create(newId(), 1)).to.equal(undefined);
    expect(await update(id, 7n)).to.equal(undefined);
    expect(await update(newId())).to.equal(undefined);
    expect(await remove(id, 7n)).to.equal(undefined);
    expect(await remove(newId())).to.equal(undefined);
    await world.openChange(newId());
    expect(await create()).to.equal(undefined);
    await world.openChange(newId(), -1);
    world.sessionId = await world.newSession({ kind: 2 });
    expect(await create()).to.equal(undefined);
    world.sessionId = await world.newSession({ expires_at: new Date(Date.now() - 1_000) });
    expect(await create()).to.equal(undefined);
    expect(await window()).to.deep.equal({ highest_request_number: -1n, request_window: 0n });
    expect(before).to.deep.equal({ highest_request_number: 1n, request_window: 1n });
    expect(await world.account()).to.deep.equal({ revision: 1n, entry_count: 1 });
  });

  it('write once under one number, however often and at once it comes', async () => {
    const parameters = () => [newId(), blob(93), blob(285), 1_000];
    const attempts = Array.from({ length: 30 }, () =>
      world.run(statements.CREATE_ENTRY, parameters(), 5n).then(
        (rows) => rows.length,
        () => 0,
      ),
    );
    const done = await Promise.all(attempts);
    expect(done.filter((rows) => rows === 1)).to.have.length(1);
    expect(await world.account()).to.deep.equal({ revision: 1n, entry_count: 1 });
  });

  it('move the account on by one with every write, and count live entries', async () => {
    const [one, two] = [newId(), newId()];
    expect(await create(one)).to.equal(1n);
    expect(await create(two)).to.equal(2n);
    expect(await update(one, 1n)).to.equal(3n);
    expect(await remove(two, 2n)).to.equal(4n);
    expect(await remove(two)).to.equal(undefined);
    expect(await update(two)).to.equal(undefined);
    expect(await world.account()).to.deep.equal({ revision: 4n, entry_count: 1 });
  });

  it('see each other’s revisions under contention, whatever the mix', async () => {
    const shared = newId();
    await create(shared);
    const writes = Array.from({ length: 60 }, (_, index) =>
      index % 3 === 0 ? create(newId(), 1_000) : index % 3 === 1 ? update(shared) : update(newId()),
    );
    const revisions = (await Promise.all(writes)).filter((revision) => revision !== undefined) as bigint[];
    expect(revisions).to.have.length(40);
    expect(revisions.map(Number).sort((a, b) => a - b)).to.deep.equal(
      Array.from({ length: 40 }, (_, index) => index + 2),
    );
    expect(await world.account()).to.deep.equal({ revision: 41n, entry_count: 21 });
  });

  it('tell of a batch how each entry stands', async () => {
    const entry: Record<string, unknown> = { ...sampleEntry(world.userId), revision: 3 };
    const tombstone: Record<string, unknown> = {
      ...sampleEntry(world.userId),
      entry_name: null,
      entry_data: null,
      revision: 4,
    };
    await insertRow(world.test, 'secure_data', entry);
    await insertRow(world.test, 'secure_data', tombstone);
    const { rows } = await world.database.reads.execute(statements.BATCH_STATE, [
      world.userId,
      [newId(), entry.entry_id, tombstone.entry_id, entry.entry_id],
      [blob(93), entry.entry_name, blob(93), null],
      [blob(285), entry.entry_data, blob(285), null],
    ]);
    expect(rows).to.deep.equal([
      { revision: null, deleted: false, same: false },
      { revision: 3n, deleted: false, same: true },
      { revision: 4n, deleted: true, same: false },
      { revision: 3n, deleted: false, same: false },
    ]);
  });

  it('write a batch with the revisions that they are given', async () => {
    const ids = [newId(), newId(), newId()];
    const blobs = ids.map(() => blob(93));
    const execute = (text: string, parameters: unknown[]) => world.database.writes.execute(text, parameters);
    await execute(statements.BATCH_CREATE, [world.userId, ids, blobs, blobs, [1n, 2n, 3n]]);
    await execute(statements.BATCH_UPDATE, [
      world.userId,
      ids.slice(1),
      blobs.slice(1),
      blobs.slice(1),
      [4n, 5n],
    ]);
    await execute(statements.BATCH_DELETE, [world.userId, [ids[2]], [6n]]);
    await execute(statements.BATCH_ACCOUNT, [world.userId, 6n, 2]);
    const sync = await world.run(statements.SYNC_ENTRIES.text, [0n, 10, Buffer.alloc(0)]);
    expect(
      sync.map(({ entry_id, revision, entry_name }) => [entry_id, revision, entry_name === null]),
    ).to.deep.equal([
      [ids[0], 1n, false],
      [ids[1], 4n, false],
      [ids[2], 6n, true],
    ]);
    expect(await world.account()).to.deep.equal({ revision: 6n, entry_count: 2 });
  });

  it('list one more than asked for, from the first id there can be', async () => {
    const ids = ['00000000-0000-0000-0000-000000000000', newId(), newId()].sort();
    for (const id of ids) await create(id);
    const page = async (after: string | null, size: number) =>
      (await world.run(statements.LIST_ENTRIES.text, [after, size])).map(({ entry_id }) => entry_id);
    expect(await page(null, 1)).to.deep.equal(ids.slice(0, 2));
    expect(await page(ids[0]!, 5)).to.deep.equal(ids.slice(1));
    expect(await page(ids[2]!, 5)).to.deep.equal([null]);
  });

  it('send the first entry of a message whatever its size, and say of the rest whether they fit', async () => {
    const ids = [newId(), newId(), newId()];
    for (const id of ids) {
      await insertRow(world.test, 'secure_data', {
        ...sampleEntry(world.userId),
        entry_id: id,
        entry_data: Buffer.alloc(1_048_000, 1),
        entry_name: Buffer.alloc(60_000, 1),
      });
    }
    const rows = await world.run(statements.BATCH_GET_ENTRIES.text, [[...ids].reverse()]);
    expect(rows.map(({ entry_id, fits, entry_data }) => [entry_id, fits, entry_data !== null])).to.deep.equal(
      [
        [ids[2], true, true],
        [ids[1], true, true],
        [ids[0], false, false],
      ],
    );
  });

  it('ask indexes: what a call reads does not grow with the vault', async () => {
    await world.test.query(
      `insert into secure_data (user_id, entry_id, entry_name, entry_data, revision)
       select $1, gen_random_uuid(), decode(repeat('00', 93), 'hex'), decode(repeat('00', 285), 'hex'), n
       from generate_series(1, 10000) n`,
      [world.userId],
    );
    await world.test.query('analyze');
    for (const [read, parameters] of [
      [statements.GET_ENTRY, [newId()]],
      [statements.LIST_ENTRIES, [newId(), 100]],
      [statements.BATCH_GET_ENTRIES, [[newId(), newId()]]],
      [statements.SYNC_ENTRIES, [9_990n, 100, Buffer.alloc(16)]],
    ] as const) {
      const plan = await world.run(
        `explain (analyze, timing off, costs off, buffers off) ${read.text}`,
        parameters,
      );
      const text = plan.map((row) => row['QUERY PLAN']).join('\n');
      expect(text, read.text).not.to.include('Seq Scan on secure_data');
      for (const [, rows] of text.matchAll(/secure_data.*?rows=([\d.]+)/g))
        expect(Number(rows)).to.be.at.most(101);
    }
  });
});
