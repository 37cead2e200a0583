import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { expect } from 'chai';
import { interruptible } from '../../src/cli/interruption.ts';
import { rejection } from '../support/rejection.ts';

describe('a command that may be interrupted', function () {
  this.timeout(60_000);
  const listeners = () => ['SIGINT', 'SIGTERM', 'SIGHUP'].map((signal) => process.listenerCount(signal));
  const raised: string[] = [];
  const raise = (signal: string): void => void raised.push(signal);
  const untilAborted = (signal: AbortSignal): Promise<never> =>
    new Promise((_, reject) => {
      signal.addEventListener('abort', () => reject(signal.reason));
    });

  it('rejects as its work does when nobody interrupts it', async () => {
    const before = listeners();
    const failure = new Error('of the work');
    expect(await rejection(interruptible(() => Promise.reject(failure), raise))).to.equal(failure);
    expect(raised).to.deep.equal([]);
    expect(listeners()).to.deep.equal(before);
  });

  it('answers what its work does, also when the interruption came too late', async () => {
    const before = listeners();
    const late = interruptible(async () => {
      process.emit('SIGHUP');
      return 1;
    }, raise);
    expect(await late).to.equal(1);
    expect(raised).to.deep.equal([]);
    expect(listeners()).to.deep.equal(before);
  });

  it('is aborted by the first signal, and ends by that one', async () => {
    for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
      const running = interruptible(untilAborted, raise);
      process.emit(signal);
      expect((await rejection(running)).name).to.equal('AbortError');
      expect(raised.splice(0)).to.deep.equal([signal]);
    }
  });

  it('cleans up before its process ends by the signal; a second signal ends it at once', async () => {
    const module = new URL('../../src/cli/interruption.ts', import.meta.url).href;
    const program = `
      import { interruptible } from ${JSON.stringify(module)};
      await interruptible(async (signal) => {
        const timer = setInterval(() => {}, 1000);
        console.log('begun');
        await new Promise((resolve) => signal.addEventListener('abort', resolve));
        if (process.argv[1] === 'slow') { console.log('cleaning'); await new Promise(() => {}); }
        clearInterval(timer);
        console.log('cleaned');
        throw signal.reason;
      });`;
    const start = (how: string) =>
      spawn(process.execPath, ['--input-type=module', '-e', program, how], {
        stdio: ['ignore', 'pipe', 'ignore'],
      });
    const one = start('quick');
    const ended = once(one, 'exit');
    let said = '';
    one.stdout.setEncoding('utf8').on('data', (text) => {
      said += text;
    });
    await once(one.stdout, 'data');
    one.kill('SIGTERM');
    expect(await ended).to.deep.equal([null, 'SIGTERM']);
    expect(said).to.equal('begun\ncleaned\n');

    const other = start('slow');
    const killed = once(other, 'exit');
    await once(other.stdout, 'data');
    other.kill('SIGINT');
    await once(other.stdout, 'data');
    other.kill('SIGINT');
    expect(await killed).to.deep.equal([null, 'SIGINT']);
  });
});
