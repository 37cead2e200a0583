import { expect } from 'chai';
import { NOTIFY_USERS, WATCHED_SESSIONS } from '../../src/database/watch_statements.ts';
import { newId, StatementWorld } from '../support/statement_world.ts';

describe('the statements of the revision feed', () => {
  let world: StatementWorld;
  before(async () => {
    world = await StatementWorld.open();
  });
  after(() => world.close());
  beforeEach(() => world.newUser());

  const look = async (...ids: string[]) => (await world.database.reads.execute(WATCHED_SESSIONS, [ids])).rows;

  it('tell of many sessions at once how they stand', async () => {
    const expired = await world.newSession({ expires_at: new Date(Date.now() - 1_000) });
    const spent = await world.newSession({ maximum_requests: 2, request_count: 2 });
    const ahead = await world.newSession({ last_used_at: new Date(Date.now() + 120_000) });
    const gone = newId();
    expect(await look(world.sessionId, expired, spent, ahead, gone)).to.have.deep.members([
      { session_id: world.sessionId, revision: 0n, change_open: false, alive: true },
      { session_id: expired, revision: 0n, change_open: false, alive: false },
      { session_id: spent, revision: 0n, change_open: false, alive: false },
      { session_id: ahead, revision: 0n, change_open: false, alive: false },
      { session_id: gone, revision: null, change_open: false, alive: false },
    ]);
  });

  it('tell of a password change while it lives', async () => {
    await world.openChange(newId());
    expect((await look(world.sessionId))[0]!.change_open).to.equal(true);
    await world.openChange(newId(), -1);
    expect((await look(world.sessionId))[0]!.change_open).to.equal(false);
  });

  it('reach listeners', async () => {
    const heard = new Promise<string>((resolve) => {
      void world.database
        .listen('some channel', resolve, () => {})
        .then(() => world.database.reads.execute(NOTIFY_USERS, ['some channel', 'a,b']));
    });
    expect(await heard).to.equal('a,b');
  });
});
