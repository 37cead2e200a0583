import { expect } from 'chai';
import { Rounds } from '../../src/server/rounds.ts';
import { eventually } from '../support/eventually.ts';

/** Longer than a test lives. */
const NEVER_MS = 2 ** 31 - 1;

describe('rounds', () => {
  let counted: number;
  const count = async (): Promise<void> => {
    counted += 1;
  };
  beforeEach(() => {
    counted = 0;
  });

  it('do not begin once they were stopped', async () => {
    const rounds = new Rounds(count, 0);
    rounds.start();
    await rounds.stop();
    await new Promise((resolve) => setTimeout(resolve, 5));
    expect(counted).to.equal(0);
  });

  it('stop after the one that runs, and no other follows', async () => {
    let finish = () => {};
    const rounds = new Rounds(async () => {
      await count();
      await new Promise<void>((resolve) => {
        finish = resolve;
      });
    }, 0);
    rounds.start();
    await eventually(() => counted === 1);
    let isStopped = false;
    const stopped = rounds.stop().then(() => {
      isStopped = true;
    });
    await new Promise((resolve) => setImmediate(resolve));
    expect(isStopped).to.equal(false);
    finish();
    await stopped;
    await new Promise((resolve) => setTimeout(resolve, 5));
    expect(counted).to.equal(1);
  });

  it('follow one another after a pause, and the first one when it is told', async () => {
    const paused = new Rounds(count, NEVER_MS);
    paused.start();
    await eventually(() => counted === 1);
    await paused.stop();
    const again = new Rounds(count, 1);
    again.start(1);
    await eventually(() => counted > 3);
    await again.stop();
  });
});
