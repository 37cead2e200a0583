import { expect } from 'chai';
import type { RpcFailure } from '../../src/server/errors.ts';
import { UserTurns, WAITING } from '../../src/server/user_turns.ts';
import { rejection } from '../support/rejection.ts';

describe('UserTurns', () => {
  const AT_ONCE = 8;
  let turns: UserTurns;
  /** Calls that run, by what they were named, with what ends each. */
  let running: Map<string, () => void>;

  beforeEach(() => {
    turns = new UserTurns();
    running = new Map();
  });

  const call = (userId: string, name: string) =>
    turns.run(
      userId,
      () =>
        new Promise<string>((resolve) => {
          running.set(name, () => {
            running.delete(name);
            resolve(name);
          });
        }),
    );
  const settled = () => new Promise((resolve) => setImmediate(resolve));
  const endAll = async () => {
    while (running.size > 0) {
      for (const end of [...running.values()]) end();
      await settled();
    }
  };

  it('refuse what is more than may wait with RQS03, and what comes after that is none', async () => {
    const calls = Array.from({ length: AT_ONCE + WAITING }, (_, index) => call('one', `${index}`));
    const refusal = (await rejection(call('one', 'one too many'))) as RpcFailure;
    expect(refusal.errors.map(({ code }) => code)).to.deep.equal([13]);
    expect(refusal.retryAfterSeconds).to.equal(1);
    await endAll();
    expect(await Promise.all(calls)).to.have.length(AT_ONCE + WAITING);
    const again = call('one', 'again');
    await endAll();
    expect(await again).to.equal('again');
  });

  it('have a user wait for himself, in order, and nobody else', async () => {
    const calls = Array.from({ length: AT_ONCE + 2 }, (_, index) => call('one', `${index}`));
    calls.push(call('other', 'other'));
    await settled();
    expect([...running.keys()]).to.deep.equal(['0', '1', '2', '3', '4', '5', '6', '7', 'other']);
    running.get('3')!();
    await settled();
    expect([...running.keys()].at(-1)).to.equal('8');
    await endAll();
    await Promise.all(calls);
  });

  it('go on after a call that failed', async () => {
    const failures = Array.from({ length: AT_ONCE + 1 }, () =>
      rejection(turns.run('one', () => Promise.reject(new Error('failed')))),
    );
    for (const failure of await Promise.all(failures)) expect((failure as Error).message).to.equal('failed');
    const last = call('one', 'last');
    await endAll();
    expect(await last).to.equal('last');
  });
});
