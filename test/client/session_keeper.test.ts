import { create } from '@bufbuild/protobuf';
import { Code, ConnectError } from '@connectrpc/connect';
import { expect } from 'chai';
import { ErrorCode, FailureSchema } from '../../gen/passmanager/common/v1/error_pb.ts';
import {
  ClosedError,
  PasswordChangedError,
  type ServerRefusalError,
  SessionEndedError,
  UnavailableError,
} from '../../src/client/errors.ts';
import { RPC } from '../../src/client/sealed_rpcs.ts';
import { SessionKeeper } from '../../src/client/session_keeper.ts';
import { rejection } from '../support/rejection.ts';
import { type Answer, SealedRefusal, sessionPeer } from '../support/session_peer.ts';

const retry = { attempts: 4, firstWaitMs: 10, longestWaitMs: 5_000 };

async function keeperOf(
  answer: Answer,
  options: Parameters<typeof sessionPeer>[1] & { reopens?: boolean } = {},
) {
  const peer = await sessionPeer(answer, options);
  let opened = 0;
  const reopen = async () => {
    opened += 1;
    return peer.openSession();
  };
  const { platform, transport, session } = peer;
  const keeper = new SessionKeeper({
    platform,
    transport,
    retry,
    session,
    reopen: options.reopens ? reopen : undefined,
  });
  return { ...peer, keeper, opened: () => opened };
}

/** Fails so often, then answers. */
function failing(times: number, error: () => Error): Answer {
  let left = times;
  return () => {
    if (left === 0) return { revision: 5n };
    left -= 1;
    throw error();
  };
}

const entryId = '0b0c6e0a-6a5e-4f5e-8a3e-0123456789ab';
const lost = () => new ConnectError('lost', Code.Unavailable);
const unauthenticated = () => new ConnectError('who?', Code.Unauthenticated);

describe('the keeper of a session', () => {
  it('does not repeat what the server refused', async () => {
    const { keeper, seen } = await keeperOf(
      failing(1, () => new SealedRefusal(ErrorCode.FIELD_NOT_FOUND, 'entry_id')),
    );
    const error = (await rejection(keeper.call(RPC.getEntry, { entryId }))) as ServerRefusalError;
    expect([error.code, error.verified]).to.deep.equal(['entry_not_found', true]);
    expect(seen.length).to.equal(1);
  });

  it('does not pass off a refusal in clear as the word of the server', async () => {
    const detail = {
      desc: FailureSchema,
      value: create(FailureSchema, { errorList: [{ field: 'entry_id', code: ErrorCode.FIELD_NOT_FOUND }] }),
    };
    const { keeper } = await keeperOf(
      failing(1, () => new ConnectError('x', Code.NotFound, undefined, [detail])),
    );
    const error = (await rejection(keeper.call(RPC.getEntry, { entryId }))) as ServerRefusalError;
    expect([error.code, error.verified]).to.deep.equal(['unverified_refusal', false]);
  });

  it('gives up after the last attempt, and says so', async () => {
    const { keeper, seen, waits } = await keeperOf(failing(99, lost));
    expect(await rejection(keeper.call(RPC.getEntry, { entryId }))).to.be.instanceOf(UnavailableError);
    expect([seen.length, waits.length]).to.deep.equal([4, 3]);
  });

  it('does not repeat what must not be sent twice', async () => {
    const { keeper, seen } = await keeperOf(failing(1, lost));
    const call = keeper.call(RPC.deleteUser, {}, { retry: false });
    expect(await rejection(call)).to.be.instanceOf(UnavailableError);
    expect(seen.length).to.equal(1);
  });

  it('ends when the session is gone and no other may be opened', async () => {
    const { keeper } = await keeperOf(failing(1, unauthenticated));
    expect(await rejection(keeper.call(RPC.getEntry, { entryId }))).to.be.instanceOf(SessionEndedError);
  });

  it('does not log in for ever when the path keeps saying that the session is gone', async () => {
    const { keeper, opened } = await keeperOf(failing(99, unauthenticated), { reopens: true });
    expect(await rejection(keeper.call(RPC.getEntry, { entryId }))).to.be.instanceOf(SessionEndedError);
    expect(opened()).to.equal(2);
  });

  it('answers every call after close with the reason', async () => {
    const { keeper } = await keeperOf(() => ({}));
    keeper.close(new PasswordChangedError());
    keeper.close();
    expect(await rejection(keeper.call(RPC.getEntry, { entryId }))).to.be.instanceOf(PasswordChangedError);
    const other = await keeperOf(() => ({}));
    other.keeper.close();
    expect(await rejection(other.keeper.call(RPC.getEntry, { entryId }))).to.be.instanceOf(ClosedError);
  });

  for (const [what, error] of [
    ['a lost answer', lost],
    ['a sealed outage', () => new SealedRefusal(ErrorCode.TEMPORARY_OUTAGE)],
    ['an unknown outcome', () => new SealedRefusal(ErrorCode.OUTCOME_UNKNOWN)],
    ['a connection that broke', () => new Error('ECONNRESET')],
  ] as const) {
    it(`settles ${what} by sending the same bytes under new numbers`, async () => {
      const { keeper, seen } = await keeperOf(failing(2, error));
      const payload = { entryId, entryName: Uint8Array.of(1, 2), entryData: Uint8Array.of(3) };
      const { revision } = await keeper.call(RPC.updateEntry, payload);
      expect(revision).to.equal(5n);
      expect(seen.map(({ number }) => number)).to.deep.equal([0n, 1n, 2n]);
      expect(seen[1]!.bytes).to.deep.equal(seen[0]!.bytes);
      expect(seen[2]!.bytes).to.deep.equal(seen[0]!.bytes);
    });
  }

  it('opens another session when the path says that this one is gone, and sends the same bytes there from 0', async () => {
    const { keeper, seen, opened } = await keeperOf(failing(1, unauthenticated), { reopens: true });
    await keeper.call(RPC.getEntry, { entryId });
    expect(opened()).to.equal(1);
    expect(seen.map(({ number }) => number)).to.deep.equal([0n, 0n]);
    expect(seen[0]!.sessionId).not.to.equal(seen[1]!.sessionId);
    expect(keeper.sessionId).to.equal(seen[1]!.sessionId);
  });

  it('opens one session for all calls that find the old one spent', async () => {
    const { keeper, seen, opened } = await keeperOf(() => ({}), { reopens: true, maximumRequests: 5n });
    await Promise.all(Array.from({ length: 10 }, () => keeper.call(RPC.getEntry, { entryId })));
    expect(opened()).to.equal(1);
    expect(new Set(seen.map(({ sessionId, number }) => `${sessionId} ${number}`)).size).to.equal(10);
  });

  it('lets calls wait while something goes on that ends their session', async () => {
    const { keeper, openSession, seen } = await keeperOf(() => ({}));
    const session = openSession();
    const work = keeper.whileWaiting(async () => {
      await new Promise((resolve) => setTimeout(resolve, 20));
      keeper.adopt(session);
    });
    await Promise.all([work, keeper.call(RPC.getEntry, { entryId })]);
    expect(seen.map(({ sessionId }) => sessionId)).to.deep.equal([session.id]);
  });

  it('goes on after work that failed', async () => {
    const { keeper } = await keeperOf(() => ({}));
    await rejection(keeper.whileWaiting(() => Promise.reject(new Error('no'))));
    await keeper.call(RPC.getEntry, { entryId });
  });

  it('stops trying when the signal is aborted', async () => {
    const controller = new AbortController();
    const { keeper } = await keeperOf(() => {
      controller.abort(new Error('enough'));
      throw lost();
    });
    const call = keeper.call(RPC.getEntry, { entryId }, { signal: controller.signal });
    expect((await rejection(call)).message).to.equal('enough');
  });
});
