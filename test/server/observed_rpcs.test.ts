import { expect } from 'chai';
import { notDecrypted, temporaryOutage } from '../../src/server/errors.ts';
import { observedRpcs, outcomeOf, type RpcObserver } from '../../src/server/observed_rpcs.ts';
import type { Rpc } from '../../src/server/rpc.ts';
import { fakeRpcs } from '../support/fake_rpcs.ts';
import { rejection } from '../support/rejection.ts';

describe('observed RPCs', () => {
  const told: string[] = [];
  const observer: RpcObserver = {
    ended: (path, seconds, outcome) => {
      expect(seconds).to.be.at.least(0);
      told.push(`${path} ${outcome}`);
    },
    streamOpened: (path) => told.push(`${path} opened`),
    streamEnded: (path, outcome) => told.push(`${path} ${outcome}`),
  };
  const { rpcs } = fakeRpcs();
  const [first] = rpcs;
  const unary = (call: () => Promise<never>): Rpc =>
    ({ ...first!, kind: 'unary', path: '/a/B', call }) as Rpc;
  const stream = (call: () => AsyncGenerator<never>): Rpc =>
    ({ ...first!, kind: 'server_streaming', path: '/a/C', call }) as Rpc;

  beforeEach(() => told.splice(0));

  it('tell the code of what was refused, and throw it on', async () => {
    const failure = notDecrypted().inClear();
    const [rpc] = observedRpcs([unary(() => Promise.reject(failure))], observer);
    expect(await rejection((rpc as unknown as { call: () => Promise<unknown> }).call())).to.equal(failure);
    expect(told).to.deep.equal(['/a/B RQS01']);
    expect(outcomeOf(temporaryOutage().inClear())).to.equal('SVR01');
    expect(outcomeOf(new Error('no RPC throws this'))).to.equal('SVR00');
  });

  it('tell what went well, with streams when they open and when they end, also when nobody listens any more', async () => {
    const answer = {} as never;
    const [plain, streamed] = observedRpcs(
      [
        unary(async () => answer),
        stream(async function* () {
          yield answer;
          yield answer;
        }),
      ],
      observer,
    ) as unknown as [{ call: () => Promise<unknown> }, { call: () => AsyncGenerator<unknown> }];
    expect(await plain.call()).to.equal(answer);
    for await (const message of streamed.call()) {
      expect(message).to.equal(answer);
      break;
    }
    expect(told).to.deep.equal(['/a/B OK', '/a/C opened', '/a/C OK']);
  });
});
