import { expect } from 'chai';
import { closeChange } from '../../src/database/password_changes.ts';
import { insertRow, sampleEntry } from '../support/sample_rows.ts';
import { blob, StatementWorld } from '../support/statement_world.ts';

describe('a change of the password that ends', () => {
  let world: StatementWorld;
  before(async () => {
    world = await StatementWorld.open();
  });
  after(() => world.close());

  /** A user whose change has a session and new bytes of one entry. */
  const userInChange = async () => {
    await world.newUser();
    const { userId, sessionId } = world;
    const change = await world.newSession({ kind: 2 });
    await world.openChange(change);
    await insertRow(world.test, 'secure_data', {
      ...sampleEntry(userId),
      revision: 1,
      new_entry_name: blob(93),
      new_entry_data: blob(285),
      new_change_session_id: change,
    });
    return { userId, sessionId, change };
  };
  const sessionsOf = async (userId: string) =>
    (await world.test.query('select id from login_sessions where user_id = $1', [userId])).map(
      ({ id }) => id,
    );
  const newColumnsOf = async (table: 'users' | 'secure_data', key: string, userId: string) => {
    const [row] = await world.test.query(`select * from ${table} where ${key} = $1`, [userId]);
    return Object.entries(row!).filter(([name, value]) => /^(change|new)_/.test(name) && value !== null);
  };

  it('leaves nothing new of its user, and everything of others', async () => {
    const other = await userInChange();
    const own = await userInChange();
    expect(
      await world.database.transaction((transaction) => closeChange(transaction, own.userId)),
    ).to.deep.equal([own.change]);
    expect(await sessionsOf(own.userId)).to.deep.equal([own.sessionId]);
    expect(await newColumnsOf('users', 'id', own.userId)).to.deep.equal([]);
    expect(await newColumnsOf('secure_data', 'user_id', own.userId)).to.deep.equal([]);
    expect(await sessionsOf(other.userId)).to.have.members([other.sessionId, other.change]);
    expect(await newColumnsOf('users', 'id', other.userId)).to.not.deep.equal([]);
    expect(await newColumnsOf('secure_data', 'user_id', other.userId)).to.have.length(3);
  });

  it('ends no session where there is no change', async () => {
    await world.newUser();
    expect(
      await world.database.transaction((transaction) => closeChange(transaction, world.userId)),
    ).to.deep.equal([]);
    expect(await sessionsOf(world.userId)).to.deep.equal([world.sessionId]);
  });
});
