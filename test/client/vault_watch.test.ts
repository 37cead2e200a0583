import { Code, ConnectError } from '@connectrpc/connect';
import { expect } from 'chai';
import { ErrorCode } from '../../gen/passmanager/common/v1/error_pb.ts';
import { SessionEndedError, UntrustedAnswerError } from '../../src/client/errors.ts';
import { SessionKeeper } from '../../src/client/session_keeper.ts';
import { watchVault } from '../../src/client/vault_watch.ts';
import { type ClientWorld, startClientWorld } from '../support/client_world.ts';
import { rejection } from '../support/rejection.ts';
import { type Answer, SealedRefusal, sessionPeer } from '../support/session_peer.ts';

const retry = { attempts: 3, firstWaitMs: 1, longestWaitMs: 10 };

/** Watches a made-up server until so many events have come; answers their revisions. */
async function watched(
  answer: Answer,
  count: number,
  options: { reopens?: boolean; silenceLimitMs?: number; tamper?: (body: Uint8Array) => Uint8Array } = {},
) {
  const peer = await sessionPeer(answer, options);
  const { platform, transport, session, openSession } = peer;
  const reopen = options.reopens === false ? undefined : async () => openSession();
  const keeper = new SessionKeeper({ platform, transport, retry, session, reopen });
  const controller = new AbortController();
  const revisions: bigint[] = [];
  for await (const { revision } of watchVault(keeper, platform, controller.signal, options.silenceLimitMs)) {
    revisions.push(revision);
    if (revisions.length === count) controller.abort();
  }
  return { ...peer, revisions };
}

const forever = () => new Promise<never>(() => {});

describe('watching', () => {
  it('ends when the session ends and no other may be opened', async () => {
    const ended = watched(
      async function* () {
        yield { revision: 1n };
        throw new ConnectError('who?', Code.Unauthenticated);
      },
      9,
      { reopens: false },
    );
    expect(await rejection(ended)).to.be.instanceOf(SessionEndedError);
  });

  it('ends when a message does not open', async () => {
    let messages = 0;
    const ended = watched(
      async function* () {
        yield { revision: 1n };
        yield { revision: 2n };
      },
      9,
      {
        tamper: (body) => {
          messages += 1;
          return messages === 2 ? body.map((byte) => byte ^ 1) : body;
        },
      },
    );
    expect(await rejection(ended)).to.be.instanceOf(UntrustedAnswerError);
  });

  it('does not begin when the signal is aborted already', async () => {
    const { session, platform, transport, seen } = await sessionPeer(async function* () {});
    const keeper = new SessionKeeper({ platform, transport, retry, session });
    expect(await Array.fromAsync(watchVault(keeper, platform, AbortSignal.abort()))).to.deep.equal([]);
    expect(seen).to.deep.equal([]);
  });

  it('says when the revision moves, and nothing for a heartbeat that repeats it', async () => {
    const { revisions } = await watched(async function* () {
      for (const revision of [4n, 4n, 4n, 5n, 5n, 7n]) yield { revision };
      await forever();
    }, 3);
    expect(revisions).to.deep.equal([4n, 5n, 7n]);
  });

  it('begins again, and speaks again, after a stream that broke', async () => {
    let streams = 0;
    const { revisions, waits } = await watched(async function* () {
      streams += 1;
      if (streams === 2) throw new Error('ECONNRESET');
      yield { revision: 4n };
      if (streams === 3) throw new SealedRefusal(ErrorCode.TEMPORARY_OUTAGE);
    }, 3);
    expect(revisions).to.deep.equal([4n, 4n, 4n]);
    expect(waits.length).to.equal(3);
  });

  it('begins again in a new session when the old one has ended', async () => {
    let streams = 0;
    const { revisions, seen } = await watched(async function* () {
      streams += 1;
      if (streams === 2) throw new ConnectError('who?', Code.Unauthenticated);
      yield { revision: BigInt(streams) };
      throw new SealedRefusal(ErrorCode.NOT_DECRYPTED);
    }, 2);
    expect(revisions).to.deep.equal([1n, 3n]);
    expect(new Set(seen.map(({ sessionId }) => sessionId)).size).to.equal(2);
  });

  it('waits longer while a password change runs', async () => {
    let streams = 0;
    const { waits } = await watched(async function* () {
      streams += 1;
      if (streams === 1) throw new SealedRefusal(ErrorCode.PASSWORD_CHANGE_IN_PROGRESS);
      yield { revision: 1n };
    }, 1);
    expect(waits[0]).to.be.within(2_500, 5_000);
  });

  it('takes a stream without heartbeats for dead', async () => {
    let streams = 0;
    const { revisions } = await watched(
      async function* ({ number }) {
        streams += 1;
        yield { revision: 10n + number };
        await forever();
      },
      2,
      { silenceLimitMs: 20 },
    );
    expect(revisions).to.deep.equal([10n, 11n]);
    expect(streams).to.equal(2);
  });

  describe('a real server', () => {
    let world: ClientWorld;
    before(async () => {
      world = await startClientWorld();
    });
    after(() => world.stop());

    it('tells of changes made elsewhere', async () => {
      const username = await world.newUser();
      const logIn = () => world.client.logIn(world.transport, { username, password: 'old password' });
      const [one, other] = [await logIn(), await logIn()];
      const controller = new AbortController();
      const seen: bigint[] = [];
      for await (const { revision } of one.watch({ signal: controller.signal })) {
        seen.push(revision);
        if (revision === 0n) await other.create({ name: 'a' });
        else controller.abort();
      }
      expect(seen).to.deep.equal([0n, 1n]);
      one.close();
      other.close();
    });
  });
});
