import { expect } from 'chai';
import { completePlatform } from '../../src/client/platform.ts';
import { rejection } from '../support/rejection.ts';

describe('the platform', () => {
  const { random, now, sleep } = completePlatform({ argon2id: async () => new Uint8Array(32) });

  it('stops sleeping when the signal is aborted, before and during', async () => {
    const controller = new AbortController();
    const sleeping = sleep(60_000, controller.signal);
    controller.abort(new Error('up'));
    expect((await rejection(sleeping)).message).to.equal('up');
    expect((await rejection(sleep(60_000, controller.signal))).message).to.equal('up');
  });

  it('sleeps about as long as asked', async () => {
    const start = now();
    await sleep(20);
    expect(now() - start).to.be.greaterThan(15);
  });

  it('gives as many random bytes as asked, beyond what the engine gives at once', () => {
    const bytes = random(200_000);
    expect(bytes.length).to.equal(200_000);
    expect(bytes.subarray(199_000).some((byte) => byte !== 0)).to.equal(true);
  });

  it('takes what a test puts in its place', () => {
    const platform = completePlatform({ argon2id: async () => new Uint8Array(32), now: () => 7 });
    expect(platform.now()).to.equal(7);
  });
});
