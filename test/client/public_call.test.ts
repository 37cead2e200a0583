import { Code, ConnectError } from '@connectrpc/connect';
import { expect } from 'chai';
import { SessionService } from '../../gen/passmanager/session/v1/session_service_pb.ts';
import { callOnce, callPublic } from '../../src/client/public_call.ts';
import { CallFailure } from '../../src/client/server_failure.ts';
import { rejection } from '../support/rejection.ts';
import { quickPlatform } from '../support/session_peer.ts';

const method = SessionService.method.startSession;

/** A context whose transport answers what the script says, one after the other. */
function scripted(...script: (Error | object)[]) {
  const { platform, waits } = quickPlatform();
  const sent: unknown[] = [];
  const transport = {
    async unary(_method: unknown, _signal: unknown, _timeout: unknown, _header: unknown, input: unknown) {
      sent.push(input);
      const next = script.shift();
      if (next instanceof Error) throw next;
      return { message: next };
    },
  };
  const retry = { attempts: 3, firstWaitMs: 100, longestWaitMs: 5_000 };
  return { context: { platform, transport: transport as never, retry }, sent, waits };
}

describe('a public call', () => {
  it('is not repeated when the answer is a refusal', async () => {
    const { context, sent } = scripted(new ConnectError('x', Code.PermissionDenied));
    const error = (await rejection(callPublic(context, method, {}))) as CallFailure;
    expect(error).to.be.instanceOf(CallFailure);
    expect(error.status).to.equal(Code.PermissionDenied);
    expect(sent.length).to.equal(1);
  });

  it('gives up after the last attempt', async () => {
    const down = new ConnectError('x', Code.Unavailable);
    const { context, sent, waits } = scripted(down, down, down, {});
    await rejection(callPublic(context, method, {}));
    expect(sent.length).to.equal(3);
    expect(waits.length).to.equal(2);
  });

  it('sends the same message again while the server is away', async () => {
    const message = { ephemeralId: 'x' };
    const { context, sent } = scripted(
      new ConnectError('x', Code.Unavailable),
      new Error('ECONNREFUSED'),
      message,
    );
    const request = { clientProtocol: 1 };
    expect(await callPublic(context, method, request)).to.equal(message);
    expect(sent).to.deep.equal([request, request, request]);
  });

  it('once is sent once', async () => {
    const { context, sent } = scripted(new ConnectError('x', Code.Unavailable), {});
    expect(await rejection(callOnce(context, method, {}))).to.be.instanceOf(CallFailure);
    expect(sent.length).to.equal(1);
  });

  it('ends with the reason of an aborted signal', async () => {
    const { context } = scripted(new ConnectError('x', Code.Canceled));
    const signal = AbortSignal.abort(new Error('enough'));
    expect((await rejection(callPublic({ ...context, signal }, method, {}))).message).to.equal('enough');
  });
});
