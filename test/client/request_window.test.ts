import { expect } from 'chai';
import { RequestWindow } from '../../src/client/request_window.ts';
import { rejection } from '../support/rejection.ts';

describe('the window of requests', () => {
  const takeMany = async (window: RequestWindow, count: number) => {
    for (let index = 0; index < count; index += 1) await window.take();
  };
  const isPending = async (promise: Promise<unknown>) =>
    (await Promise.race([promise, new Promise((resolve) => setTimeout(resolve, 5, 'pending'))])) ===
    'pending';

  it('gives out no number once all are spent', async () => {
    const window = new RequestWindow(2n);
    await takeMany(window, 2);
    expect(window.isSpent).to.equal(true);
    expect(await window.take()).to.equal(undefined);
  });

  it('holds number 64 back until number 0 is answered', async () => {
    const window = new RequestWindow(-1n);
    await takeMany(window, 64);
    const next = window.take();
    expect(await isPending(next)).to.equal(true);
    window.settle(5n);
    expect(await isPending(next)).to.equal(true);
    window.settle(0n);
    expect(await next).to.equal(64n);
  });

  it('lets 64 requests be in flight side by side, numbered from 0', async () => {
    const window = new RequestWindow(-1n);
    const numbers = await Promise.all(Array.from({ length: 64 }, () => window.take()));
    expect(numbers).to.deep.equal(Array.from({ length: 64 }, (_, index) => BigInt(index)));
  });

  it('never gives a number twice, however many wait', async () => {
    const window = new RequestWindow(-1n);
    await takeMany(window, 64);
    const waiting = Array.from({ length: 10 }, () => window.take());
    for (let number = 0n; number < 10n; number += 1n) window.settle(number);
    const numbers = await Promise.all(waiting);
    expect(new Set(numbers).size).to.equal(10);
    expect(numbers.at(-1)).to.equal(73n);
  });

  it('stops waiting when the signal is aborted, and keeps the number for others', async () => {
    const window = new RequestWindow(-1n);
    await takeMany(window, 64);
    const controller = new AbortController();
    const given = window.take(controller.signal);
    const patient = window.take();
    controller.abort(new Error('enough'));
    expect((await rejection(given)).message).to.equal('enough');
    window.settle(0n);
    expect(await patient).to.equal(64n);
  });

  it('tells those who wait that nothing is left', async () => {
    const window = new RequestWindow(65n);
    await takeMany(window, 64);
    const waiting = [window.take(), window.take()];
    window.settle(0n);
    window.settle(1n);
    expect(await Promise.all(waiting)).to.have.members([64n, undefined]);
  });
});
