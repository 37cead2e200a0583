import { expect } from 'chai';
import * as statements from '../../src/database/password_change_statements.ts';
import { insertRow, sampleEntry, type Values } from '../support/sample_rows.ts';
import { blob, newId, StatementWorld } from '../support/statement_world.ts';

describe('the statements of a password change', () => {
  let world: StatementWorld;
  before(async () => {
    world = await StatementWorld.open();
  });
  after(() => world.close());
  beforeEach(() => world.newUser());

  const execute = async (text: string, parameters: unknown[]) =>
    (await world.database.writes.execute(text, parameters)).rows;
  const credentials = () => [blob(64), blob(544), blob(64), blob(317), 1, 65_536, 3, 1];
  const start = async (sessionId = world.sessionId) => {
    const id = newId();
    await execute(statements.INSERT_START, [
      id,
      world.userId,
      sessionId,
      0n,
      blob(72),
      blob(512),
      blob(72),
      blob(512),
      ...credentials(),
    ]);
    return id;
  };
  const addEntries = async (count: number) => {
    const entries: Values[] = Array.from({ length: count }, (_, index) => ({
      ...sampleEntry(world.userId),
      revision: index + 1,
    }));
    for (const entry of entries) await insertRow(world.test, 'secure_data', entry);
    await world.test.query('update users set revision = $2::int, entry_count = $2::int where id = $1', [
      world.userId,
      count,
    ]);
    return entries.map(({ entry_id }) => entry_id as string);
  };

  it('keep a start for the session that made it, and consume it once', async () => {
    const other = await world.newSession();
    const id = await start();
    expect(await execute(statements.CONSUME_START, [id, world.userId, other])).to.deep.equal([]);
    expect(await execute(statements.CONSUME_START, [id, newId(), world.sessionId])).to.deep.equal([]);
    const [row] = await execute(statements.CONSUME_START, [id, world.userId, world.sessionId]);
    expect(row).to.deep.include({ alive: true, credential_generation: 0n, new_kdf_memory_kib: 65_536 });
    expect(await execute(statements.CONSUME_START, [id, world.userId, world.sessionId])).to.deep.equal([]);
  });

  it('hold a start for dead while the clock is put back to before it was made', async () => {
    const id = await start();
    await world.test.query(
      "update auth_ephemerals set created_at = created_at + interval '90 s', expires_at = expires_at + interval '90 s' where id = $1",
      [id],
    );
    const [row] = await execute(statements.CONSUME_START, [id, world.userId, world.sessionId]);
    expect(row!.alive).to.equal(false);
  });

  it('drop the starts of one session alone', async () => {
    const other = await world.newSession();
    const [mine, theirs] = [await start(), await start(other)];
    await execute(statements.DELETE_STARTS, [world.userId, world.sessionId]);
    expect(await execute(statements.CONSUME_START, [mine, world.userId, world.sessionId])).to.deep.equal([]);
    expect(await execute(statements.CONSUME_START, [theirs, world.userId, other])).to.have.length(1);
  });

  it('open a change and close it without a trace', async () => {
    const change = newId();
    await execute(statements.INSERT_CHANGE_SESSION, [change, world.userId, blob(64), 104]);
    await execute(statements.OPEN_CHANGE, [
      world.userId,
      change,
      world.sessionId,
      1,
      blob(72),
      blob(512),
      ...credentials(),
    ]);
    const [open] = await world.test.query('select * from users where id = $1', [world.userId]);
    expect(open).to.deep.include({
      change_session_id: change,
      change_begun_by: world.sessionId,
      change_remaining_entries: 1,
    });
    const [pending] = await execute(statements.PENDING_CREDENTIALS, [world.userId]);
    expect(pending!.new_srp_verifier).to.have.length(544);
    await execute(statements.CLOSE_CHANGE, [world.userId]);
    expect(await execute(statements.DELETE_CHANGE_SESSIONS, [world.userId])).to.deep.equal([{ id: change }]);
    const [closed] = await world.test.query('select * from users where id = $1', [world.userId]);
    const left = Object.entries(closed!).filter(
      ([name, value]) => /^(change|new)_/.test(name) && value !== null,
    );
    expect(left).to.deep.equal([]);
  });

  it('say of new bytes how they stand, and keep them beside the old ones', async () => {
    const [one, two] = (await addEntries(2)) as [string, string];
    const [change, other] = [newId(), newId()];
    const [name, value] = [blob(93), blob(285)];
    await execute(statements.WRITE_NEW_BYTES, [world.userId, change, [one], [name], [value]]);
    const ids = [one, two, newId(), one];
    const state = await execute(statements.NEW_BYTES_STATE, [
      world.userId,
      change,
      ids,
      [name, name, name, blob(93)],
      [value, value, value, value],
    ]);
    expect(state).to.deep.equal([
      { known: true, updated: true, same: true },
      { known: true, updated: false, same: false },
      { known: false, updated: false, same: false },
      { known: true, updated: true, same: false },
    ]);
    const foreign = await execute(statements.NEW_BYTES_STATE, [world.userId, other, [one], [name], [value]]);
    expect(foreign[0]!.updated).to.equal(false);
    const [old] = await execute(statements.GET_OLD_ENTRY, [world.userId, one]);
    expect(old!.entry_name).not.to.deep.equal(name);
    expect(
      (await execute(statements.BATCH_GET_OLD_ENTRIES, [world.userId, [two, one]])).map(
        ({ entry_id }) => entry_id,
      ),
    ).to.deep.equal([two, one]);
  });

  it('commit only what this change wrote, in order of revision, each with one of its own', async () => {
    const ids = await addEntries(3);
    const change = newId();
    const blobs = ids.map(() => blob(93));
    expect(await execute(statements.ENTRIES_INCOMPLETE, [world.userId, change])).to.deep.equal([
      { incomplete: true },
    ]);
    await execute(statements.WRITE_NEW_BYTES, [world.userId, change, ids, blobs, blobs]);
    expect(await execute(statements.ENTRIES_INCOMPLETE, [world.userId, change])).to.deep.equal([
      { incomplete: false },
    ]);
    expect(await execute(statements.ENTRIES_INCOMPLETE, [world.userId, newId()])).to.deep.equal([
      { incomplete: true },
    ]);
    expect(await execute(statements.LIVE_ENTRY_IDS, [world.userId])).to.have.length(3);
    expect(await execute(statements.COMMIT_ENTRIES, [world.userId, 3n])).to.have.length(3);
    await execute(statements.COMMIT_CREDENTIALS, [world.userId, 3n, ...credentials()]);
    const rows = await world.test.query(
      'select entry_id, entry_name, revision::int, new_entry_name from secure_data where user_id = $1 order by revision',
      [world.userId],
    );
    expect(rows.map(({ entry_id, revision }) => [entry_id, revision])).to.deep.equal(
      ids.map((id, index) => [id, index + 4]),
    );
    expect(rows.map(({ entry_name }) => entry_name)).to.deep.equal(blobs);
    expect(rows.every(({ new_entry_name }) => new_entry_name === null)).to.equal(true);
    expect((await world.account()).revision).to.equal(6n);
  });

  it('count down what is left, and drop new bytes of whatever change', async () => {
    const ids = await addEntries(2);
    await world.openChange(newId());
    expect(await execute(statements.COUNT_UPDATED, [world.userId, 1])).to.deep.equal([
      { change_remaining_entries: 1 },
    ]);
    await execute(statements.WRITE_NEW_BYTES, [
      world.userId,
      newId(),
      ids,
      [blob(93), blob(93)],
      [blob(93), blob(93)],
    ]);
    await execute(statements.DROP_NEW_BYTES, [world.userId]);
    expect(
      await world.test.query(
        'select 1 from secure_data where user_id = $1 and new_change_session_id is not null',
        [world.userId],
      ),
    ).to.deep.equal([]);
  });

  it('tell whether a session was opened after the change', async () => {
    await world.openChange(newId());
    const later = await world.newSession({ created_at: new Date(Date.now() + 60_000) });
    expect(await execute(statements.OPENED_AFTER_CHANGE, [world.sessionId, world.userId])).to.deep.equal([
      { after_change: false },
    ]);
    expect(await execute(statements.OPENED_AFTER_CHANGE, [later, world.userId])).to.deep.equal([
      { after_change: true },
    ]);
    expect((await execute(statements.CURRENT_CREDENTIALS, [world.userId]))[0]!.srp_verifier).to.have.length(
      544,
    );
  });
});
