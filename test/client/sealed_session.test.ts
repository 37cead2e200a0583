import { toBinary } from '@bufbuild/protobuf';
import { Code, ConnectError } from '@connectrpc/connect';
import { expect } from 'chai';
import { ErrorCode } from '../../gen/passmanager/common/v1/error_pb.ts';
import { GetEntryPayloadSchema } from '../../gen/passmanager/data/v1/data_service_pb.ts';
import { ClosedError, UntrustedAnswerError } from '../../src/client/errors.ts';
import { RPC } from '../../src/client/sealed_rpcs.ts';
import { SessionSpentError } from '../../src/client/sealed_session.ts';
import type { CallFailure } from '../../src/client/server_failure.ts';
import { rejection } from '../support/rejection.ts';
import { SealedRefusal, sessionPeer } from '../support/session_peer.ts';

const { method } = RPC.getEntry;
const payload = toBinary(GetEntryPayloadSchema, {
  $typeName: 'passmanager.data.v1.GetEntryPayload',
  entryId: 'x',
});

describe('a sealed session', () => {
  it('refuses an id that is no UUID', async () => {
    const error = await rejection(sessionPeer(() => ({}), { id: 'not-a-uuid' }));
    expect(error).to.be.instanceOf(UntrustedAnswerError);
  });

  it('refuses an answer whose seal was touched', async () => {
    const { session } = await sessionPeer(() => ({}), {
      tamper: (body) => body.map((byte, index) => (index === body.length - 1 ? byte ^ 1 : byte)),
    });
    expect(await rejection(session.send(method, payload))).to.be.instanceOf(UntrustedAnswerError);
  });

  it('refuses the answer to another request', async () => {
    let first: Uint8Array | undefined;
    const { session } = await sessionPeer(() => ({}), {
      tamper: (body) => {
        first ??= body;
        return first;
      },
    });
    await session.send(method, payload);
    expect(await rejection(session.send(method, payload))).to.be.instanceOf(UntrustedAnswerError);
  });

  it('refuses an answer without its envelope', async () => {
    const { openSession, transport } = await sessionPeer(() => ({}));
    transport.unary = async () => ({ message: {} }) as never;
    expect(await rejection(openSession().send(method, payload))).to.be.instanceOf(UntrustedAnswerError);
  });

  it('believes a refusal whose seal opens', async () => {
    const { session } = await sessionPeer(() => {
      throw new SealedRefusal(ErrorCode.REVISION_CONFLICT, 'expected_revision', 9n);
    });
    const error = (await rejection(session.send(method, payload))) as CallFailure;
    expect(error.verified).to.equal(true);
    expect(error.refusals).to.deep.equal([
      { field: 'expected_revision', code: ErrorCode.REVISION_CONFLICT, currentRevision: 9n },
    ]);
  });

  it('takes a refusal whose seal does not open for the word of the path', async () => {
    const { session } = await sessionPeer(
      () => {
        throw new SealedRefusal(ErrorCode.FIELD_NOT_FOUND);
      },
      { tamper: (body) => body.map((byte) => byte ^ 1) },
    );
    const error = (await rejection(session.send(method, payload))) as CallFailure;
    expect(error.verified).to.equal(false);
    expect(error.refusals).to.deep.equal([]);
  });

  it('sends nothing once its requests are spent', async () => {
    const { session, seen } = await sessionPeer(() => ({}), { maximumRequests: 1n });
    await session.send(method, payload);
    expect(session.isSpent).to.equal(true);
    expect(await rejection(session.send(method, payload))).to.be.instanceOf(SessionSpentError);
    expect(seen.length).to.equal(1);
  });

  it('sends nothing shortly before it expires', async () => {
    const clock = { now: 0 };
    const { session } = await sessionPeer(() => ({}), { expirySeconds: 10n, clock });
    await session.send(method, payload);
    clock.now = 8_000;
    expect(await rejection(session.send(method, payload))).to.be.instanceOf(SessionSpentError);
  });

  it('sends nothing after close', async () => {
    const { session } = await sessionPeer(() => ({}));
    session.close();
    expect(await rejection(session.send(method, payload))).to.be.instanceOf(ClosedError);
  });

  it('still opens what is under way when it is retired', async () => {
    let answer = (_value: unknown) => {};
    const { session } = await sessionPeer(
      () =>
        new Promise((resolve) => {
          answer = resolve;
        }),
    );
    const sending = session.send(method, payload);
    await new Promise((resolve) => setTimeout(resolve, 20));
    session.retire();
    answer({ revision: 1n });
    await sending;
    expect(await rejection(session.send(method, payload))).to.be.instanceOf(SessionSpentError);
  });

  it('numbers from 0, seals the payload, and never sends a number twice', async () => {
    let fails = true;
    const { session, seen } = await sessionPeer(() => {
      fails = !fails;
      if (fails) throw new ConnectError('lost', Code.Unavailable);
      return {};
    });
    for (let round = 0; round < 4; round += 1) await session.send(method, payload).catch(() => undefined);
    expect(seen.map(({ number }) => number)).to.deep.equal([0n, 1n, 2n, 3n]);
    expect(seen[0]!.bytes).to.deep.equal(payload);
    expect(seen[0]!.sessionId).to.equal(session.id);
  });

  it('opens the messages of a stream in their order, and ends with what ended it', async () => {
    const { session } = await sessionPeer(async function* () {
      yield { revision: 1n };
      yield { revision: 2n };
      throw new SealedRefusal(ErrorCode.TEMPORARY_OUTAGE);
    });
    const { signal } = new AbortController();
    let count = 0;
    const reading = (async () => {
      for await (const _ of session.stream(RPC.watchEntries.method, new Uint8Array(), signal)) count += 1;
    })();
    const error = (await rejection(reading)) as CallFailure;
    expect(count).to.equal(2);
    expect([error.verified, error.errorCode]).to.deep.equal([true, ErrorCode.TEMPORARY_OUTAGE]);
  });

  it('takes a stream that just ends for the word of the path', async () => {
    const { session } = await sessionPeer(async function* () {
      yield { revision: 1n };
    });
    const reading = (async () => {
      for await (const _ of session.stream(
        RPC.watchEntries.method,
        new Uint8Array(),
        new AbortController().signal,
      ));
    })();
    expect(((await rejection(reading)) as CallFailure).verified).to.equal(false);
  });

  it('refuses a stream whose messages were swapped', async () => {
    const bodies: Uint8Array[] = [];
    const { session } = await sessionPeer(
      async function* () {
        yield { revision: 1n };
        yield { revision: 2n };
      },
      {
        tamper: (body) => {
          bodies.push(body);
          return bodies[0]!;
        },
      },
    );
    const reading = (async () => {
      for await (const _ of session.stream(
        RPC.watchEntries.method,
        new Uint8Array(),
        new AbortController().signal,
      ));
    })();
    expect(await rejection(reading)).to.be.instanceOf(UntrustedAnswerError);
  });
});
