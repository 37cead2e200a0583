import { expect } from 'chai';
import { ACCOUNT_REVISION } from '../../src/database/entry_statements.ts';
import * as gate from '../../src/database/gate_statements.ts';
import { newId, StatementWorld } from '../support/statement_world.ts';

describe('the statements of the gate', () => {
  let world: StatementWorld;
  before(async () => {
    world = await StatementWorld.open();
  });
  after(() => world.close());
  beforeEach(() => world.newUser());

  const passes = async (requestNumber: bigint) =>
    (await world.run(ACCOUNT_REVISION.text, [], requestNumber)).length === 1;

  /** As a transaction spends a number, by a session of either kind. */
  const spends = async (requestNumber: bigint) =>
    (await world.run(gate.SPEND_IN_TRANSACTION, [], requestNumber)).length === 1;

  it('let a live session through and count it', async () => {
    const [row] = await world.run(ACCOUNT_REVISION.text, [], 0n);
    expect(row).to.deep.include({
      gate_change_open: false,
      revision: 0n,
    });
  });

  it('stop a session of another user, an expired one and one that spent its requests', async () => {
    const [mine, user] = [world.sessionId, world.userId];
    await world.newUser();
    const { rows } = await world.database.reads.execute(ACCOUNT_REVISION.text, [mine, world.userId, 0n]);
    expect(rows).to.deep.equal([]);
    world.userId = user;
    for (const values of [
      { expires_at: new Date(Date.now() - 1_000) },
      { maximum_requests: 5, request_count: 5 },
      { request_count: '4294967296' },
    ]) {
      world.sessionId = await world.newSession(values);
      expect(await passes(0n), JSON.stringify(values)).to.equal(false);
    }
    world.sessionId = await world.newSession({ maximum_requests: 5, request_count: 4 });
    expect(await passes(0n)).to.equal(true);
  });

  it('keep the window at its edges', async () => {
    for (const [requestNumber, expected] of [
      [63n, true],
      [0n, true],
      [0n, false],
      [64n, true],
      [0n, false],
      [1n, true],
      [2n ** 53n - 1n, true],
      [2n ** 53n - 65n, false],
      [2n ** 53n - 64n, true],
      [2n ** 53n - 64n, false],
    ] as const) {
      expect(await passes(requestNumber), `${requestNumber}`).to.equal(expected);
    }
  });

  it('do their work only while no password change is open, and say that one is', async () => {
    await world.openChange(newId());
    const [row] = await world.run(ACCOUNT_REVISION.text, [], 0n);
    expect(row).to.deep.include({ gate_change_open: true, revision: null });
    await world.openChange(newId(), -1);
    expect((await world.run(ACCOUNT_REVISION.text, [], 1n))[0]!.gate_change_open).to.equal(false);
  });

  it('hold a change for over, and its session with it, while the clock is put back to before it was opened', async () => {
    const change = await world.newSession({ kind: 2 });
    const loggedIn = world.sessionId;
    const openLater = async (seconds: number) => {
      await world.openChange(change);
      await world.test.query(
        `update users set change_opened_at = change_opened_at + make_interval(secs => $2),
          change_expires_at = change_expires_at + make_interval(secs => $2) where id = $1`,
        [world.userId, seconds],
      );
    };
    const isOpen = async (requestNumber: bigint) => {
      world.sessionId = loggedIn;
      const [row] = await world.run(ACCOUNT_REVISION.text, [], requestNumber);
      world.sessionId = change;
      return [row!.gate_change_open, await spends(requestNumber)];
    };
    await openLater(90);
    expect(await isOpen(0n)).to.deep.equal([false, false]);
    await openLater(30);
    expect(await isOpen(1n)).to.deep.equal([true, true]);
  });

  it('let a session of a password change spend numbers while that change is open, and read nothing', async () => {
    const change = await world.newSession({ kind: 2 });
    const other = await world.newSession({ kind: 2 });
    await world.openChange(change);
    world.sessionId = change;
    expect(await passes(0n)).to.equal(false);
    expect(await spends(0n)).to.equal(true);
    world.sessionId = other;
    expect(await spends(0n)).to.equal(false);
    await world.openChange(change, -1);
    world.sessionId = change;
    expect(await spends(1n)).to.equal(false);
  });

  it('spend nothing when they are asked not to', async () => {
    for (let time = 0; time < 3; time += 1) {
      expect(await world.run(ACCOUNT_REVISION.unspentText, [], 7n)).to.have.length(1);
    }
    const { rows } = await world.database.reads.execute(gate.SESSION_WINDOW, [world.sessionId, world.userId]);
    expect(rows[0]).to.deep.equal({ highest_request_number: -1n, request_window: 0n });
    const sessions = await world.database.reads.execute(gate.SESSIONS_HIGHEST, [[world.sessionId, newId()]]);
    expect(sessions.rows).to.deep.equal([{ id: world.sessionId, highest_request_number: -1n }]);
  });

  it('lock the account, spend in a transaction, and renew a change up to its hour', async () => {
    const change = await world.newSession({ kind: 2 });
    await world.openChange(change, 5);
    let name: unknown;
    const hasCommitted = async () =>
      (await world.database.reads.execute(gate.HAS_COMMITTED, [name])).rows[0]!.committed;
    await world.database.transaction(async (transaction) => {
      const { rows } = await transaction.execute(gate.LOCK_ACCOUNT, [world.userId]);
      expect(rows[0]).to.deep.include({ id: world.userId, change_open: true, change_session_id: change });
      const spent = await transaction.execute(gate.SPEND_IN_TRANSACTION, [change, world.userId, 0n]);
      name = spent.rows[0]!.transaction_id;
      expect(spent.rows).to.deep.equal([{ request_count: 1n, transaction_id: name }]);
      expect(await hasCommitted()).to.equal(false);
      await transaction.execute(gate.RENEW_CHANGE, [world.userId, change]);
    });
    expect(await hasCommitted()).to.equal(true);
    const left = async () =>
      (
        await world.test.query(
          'select extract(epoch from change_expires_at - clock_timestamp())::int as s from users where id = $1',
          [world.userId],
        )
      )[0]!.s;
    expect(await left()).to.be.within(295, 300);
    await world.test.query(
      "update users set change_opened_at = clock_timestamp() - interval '3550 s' where id = $1",
      [world.userId],
    );
    await world.database.writes.execute(gate.RENEW_CHANGE, [world.userId, change]);
    expect(await left()).to.be.within(45, 50);
  });

  it('find the key of a session by its id', async () => {
    const { rows } = await world.database.reads.execute(gate.SESSION_KEY, [world.sessionId]);
    expect(rows[0]).to.deep.include({ user_id: world.userId, kind: 1 });
    expect((await world.database.reads.execute(gate.SESSION_KEY, [newId()])).rows).to.deep.equal([]);
  });

  it('update the session’s row on its page: no index grows with the calls', async () => {
    const indexBytes = async () =>
      (await world.test.query("select pg_indexes_size('login_sessions')::int as bytes"))[0]!.bytes;
    for (let number = 0n; number < 100n; number += 1n) await world.run(ACCOUNT_REVISION.text, [], number);
    const before = await indexBytes();
    for (let number = 100n; number < 2_000n; number += 1n) await world.run(ACCOUNT_REVISION.text, [], number);
    expect(await indexBytes()).to.equal(before);
  });
});
