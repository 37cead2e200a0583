import { expect } from 'chai';
import * as statements from '../../src/database/user_statements.ts';
import { insertRow, sampleAttempt, sampleStart, sampleUser, type Values } from '../support/sample_rows.ts';
import { blob, newId, StatementWorld } from '../support/statement_world.ts';

const ago = (seconds: number) => new Date(Date.now() - 1_000 * seconds);

describe('the statements of accounts and sessions', () => {
  let world: StatementWorld;
  before(async () => {
    world = await StatementWorld.open();
  });
  after(() => world.close());
  beforeEach(() => world.newUser());

  const decoyColumns = [blob(64), blob(544), blob(64), 1, 65_536, 3, 1];
  const execute = async (text: string, parameters: unknown[]) =>
    (await world.database.writes.execute(text, parameters)).rows;

  it('keep an attempt for 180 seconds and consume it once, with the credentials that it is about', async () => {
    const id = newId();
    const [user] = await world.test.query('select username_lookup from users where id = $1', [world.userId]);
    const lookup = user!.username_lookup;
    await execute(statements.INSERT_LOGIN_ATTEMPT, [id, lookup, 0n, 1, 1, blob(72), blob(512)]);
    const [kept] = await world.test.query(
      'select extract(epoch from expires_at - clock_timestamp())::int as s from auth_ephemerals where id = $1',
      [id],
    );
    expect(kept!.s).to.be.within(175, 180);
    const all = await Promise.all(
      Array.from({ length: 8 }, () => execute(statements.CONSUME_LOGIN_ATTEMPT, [id, ...decoyColumns])),
    );
    const consumed = all.flat();
    expect(consumed).to.have.length(1);
    expect(consumed[0]).to.deep.include({
      id: world.userId,
      alive: true,
      attempt_generation: 0n,
      client_protocol: 1n,
    });
  });

  it('consume a decoy’s attempt without credentials, and never a start of a password change', async () => {
    const [decoy, start] = [sampleAttempt(), newId()];
    await insertRow(world.test, 'auth_ephemerals', { ...decoy, expires_at: ago(1) });
    const [row] = await execute(statements.CONSUME_LOGIN_ATTEMPT, [decoy.id, ...decoyColumns]);
    expect(row).to.deep.include({ id: null, alive: false });
    expect(await execute(statements.CONSUME_LOGIN_ATTEMPT, [start, ...decoyColumns])).to.deep.equal([]);
  });

  it('hold an attempt for dead while the clock is put back to before it was made, but for what time servers put right', async () => {
    for (const [seconds, alive] of [
      [90, false],
      [30, true],
    ] as const) {
      const attempt: Values = {
        ...sampleAttempt(),
        created_at: ago(-seconds),
        expires_at: ago(-seconds - 180),
      };
      await insertRow(world.test, 'auth_ephemerals', attempt);
      const [row] = await execute(statements.CONSUME_LOGIN_ATTEMPT, [attempt.id, ...decoyColumns]);
      expect(row!.alive, `${seconds}`).to.equal(alive);
    }
  });

  it('find a log-in’s credentials by name, and the decoy’s in the same shape where there is none', async () => {
    const user = sampleUser();
    await insertRow(world.test, 'users', user);
    const [known] = await execute(statements.FIND_LOGIN, [user.username_lookup, ...decoyColumns]);
    const [unknown] = await execute(statements.FIND_LOGIN, [blob(32), ...decoyColumns]);
    const { srp_salt, srp_verifier, master_key_salt } = user;
    expect(known).to.deep.include({ id: user.id, srp_salt, srp_verifier, master_key_salt });
    expect(Object.keys(unknown!)).to.deep.equal(Object.keys(known!));
    expect(Object.values(unknown!)).to.deep.equal([null, 0n, ...decoyColumns]);
  });

  it('find credentials by name and lock the generation', async () => {
    const user = sampleUser();
    await insertRow(world.test, 'users', user);
    expect((await execute(statements.FIND_CREDENTIALS, [user.username_lookup]))[0]!.id).to.equal(user.id);
    expect(await execute(statements.FIND_CREDENTIALS, [blob(32)])).to.deep.equal([]);
    expect(await execute(statements.LOCK_FOR_LOGIN, [user.id])).to.deep.equal([
      { credential_generation: 0n, encrypted_vault_header: user.encrypted_vault_header },
    ]);
  });

  it('rename by raising the generation, and end what is under way', async () => {
    await insertRow(world.test, 'auth_ephemerals', sampleStart(world.userId));
    await execute(statements.CHANGE_USERNAME, [world.userId, blob(32)]);
    await execute(statements.DELETE_ATTEMPTS, [world.userId]);
    const [account] = await execute(statements.LOCK_FOR_LOGIN, [world.userId]);
    expect(account!.credential_generation).to.equal(1n);
    expect(
      await world.test.query('select id from auth_ephemerals where user_id = $1', [world.userId]),
    ).to.deep.equal([]);
  });

  const open = (
    generation: bigint,
    beside: number,
    limits: readonly [bigint | null, bigint | null] = [null, null],
  ) => {
    const id = newId();
    const values = [id, world.userId, blob(64), ...limits, generation, beside];
    return execute(statements.OPEN_SESSION, values).then((ended) => ({ id, ended }));
  };
  const sessions = async () =>
    (await world.test.query('select id from login_sessions where user_id = $1', [world.userId])).map(
      ({ id }) => id,
    );

  it('open no session and end none for credentials of another generation', async () => {
    const before = await sessions();
    expect((await open(1n, 0)).ended).to.deep.equal([]);
    expect(await sessions()).to.deep.equal(before);
  });

  it('make room by ending those used longest ago, and do not count the dead and those of a change', async () => {
    await world.test.query('delete from login_sessions where user_id = $1', [world.userId]);
    const oldest = await world.newSession({ last_used_at: ago(50) });
    const newer = await world.newSession({ last_used_at: ago(10) });
    const newest = await world.newSession({ last_used_at: ago(1) });
    const others = [
      await world.newSession({ last_used_at: ago(90), expires_at: ago(1) }),
      await world.newSession({ last_used_at: ago(90), maximum_requests: 1, request_count: 1 }),
      await world.newSession({ last_used_at: ago(90), kind: 2 }),
    ];
    const first = await open(0n, 3);
    expect(first.ended).to.deep.equal([]);
    const second = await open(0n, 2);
    expect(second.ended).to.have.deep.members([{ id: oldest }, { id: newer }]);
    const third = await open(0n, 0);
    expect(third.ended).to.have.deep.members([newest, first.id, second.id].map((id) => ({ id })));
    expect(await sessions()).to.have.members([third.id, ...others]);
  });

  it('open a session with its limits, or without', async () => {
    const [limited, unlimited] = [(await open(0n, 63, [5n, 4_294_967_296n])).id, (await open(0n, 63)).id];
    const rows = await world.test.query(
      'select id, maximum_requests, extract(epoch from expires_at - created_at)::bigint as s from login_sessions where id = any($1) order by maximum_requests nulls last',
      [[limited, unlimited]],
    );
    expect(rows).to.deep.equal([
      { id: limited, maximum_requests: '5', s: '4294967296' },
      { id: unlimited, maximum_requests: null, s: null },
    ]);
  });

  it('list live sessions as the asking request leaves them', async () => {
    const limited = await world.newSession({ maximum_requests: 10, created_at: ago(5) });
    await world.newSession({ expires_at: ago(1) });
    world.sessionId = limited;
    const rows = await world.run(statements.LIST_SESSIONS.text, [], 0n);
    expect(rows.map(({ id, remaining_requests }) => [id === limited, remaining_requests])).to.deep.equal([
      [true, 9n],
      [false, -1n],
    ]);
  });

  it('end one live session of the user, or all', async () => {
    const [mine, dead] = [await world.newSession(), await world.newSession({ expires_at: ago(1) })];
    expect(await execute(statements.DELETE_SESSION, [newId(), mine, newId()])).to.deep.equal([]);
    expect(await execute(statements.DELETE_SESSION, [world.userId, dead, newId()])).to.deep.equal([]);
    expect(await execute(statements.DELETE_SESSION, [world.userId, mine, newId()])).to.deep.equal([
      { id: mine },
    ]);
    const last = await world.newSession({ maximum_requests: 1, request_count: 1 });
    expect(await execute(statements.DELETE_SESSION, [world.userId, last, last])).to.deep.equal([
      { id: last },
    ]);
    expect(await execute(statements.DELETE_ALL_SESSIONS, [world.userId])).to.have.length(2);
  });
});
