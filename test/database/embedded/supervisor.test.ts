import { expect } from 'chai';
import { chooseAccount } from '../../../src/database/embedded/account.ts';
import { type GuardedChild, spawnGuarded } from '../../../src/database/embedded/guarded_child.ts';
import { Supervisor } from '../../../src/database/embedded/supervisor.ts';
import { recordingLog } from '../../support/embedded.ts';
import { eventually } from '../../support/eventually.ts';
import { rejection } from '../../support/rejection.ts';

const own = chooseAccount('', '', { isRoot: false, hasName: true });
const sleeper = (): GuardedChild =>
  spawnGuarded(own, ['sleep', '60'], { cwd: '/', output: 'pipe', lastSignal: 'TERM' });

describe('the supervisor', () => {
  let launched: GuardedChild[];
  let moments: number[];
  let log: ReturnType<typeof recordingLog>;
  let supervisor: Supervisor;

  function supervise(launch: (attempt: number, signal: AbortSignal) => Promise<GuardedChild>): Supervisor {
    launched = [];
    moments = [];
    log = recordingLog();
    supervisor = new Supervisor({
      launch: async (signal) => {
        moments.push(performance.now());
        const child = await launch(moments.length, signal);
        launched.push(child);
        return child;
      },
      stopSteps: [['SIGTERM', 2_000]],
      log,
      firstDelayMs: 20,
      maximumDelayMs: 80,
    });
    return supervisor;
  }

  afterEach(() => supervisor.stop());

  it('rejects when the first start fails, and tries no more', async () => {
    const error = await rejection(supervise(() => Promise.reject(new Error('no'))).start());
    expect(error.message).to.equal('no');
    await new Promise((resolve) => setTimeout(resolve, 60));
    expect(moments).to.have.length(1);
  });

  it('starts what ended by itself again, ever later, until it comes up', async () => {
    await supervise(async (attempt) => {
      if (attempt === 2 || attempt === 3 || attempt === 4) throw new Error('not yet');
      return sleeper();
    }).start();
    launched[0]!.process.kill('SIGKILL');
    await eventually(() => launched.length === 2);
    const gaps = moments.slice(1).map((moment, index) => moment - moments[index]!);
    // Timers may be late, never early: 20, 40, 80, 80.
    expect(gaps[1]).to.be.at.least(39);
    expect(gaps[2]).to.be.at.least(79);
    expect(gaps[3]).to.be.at.least(79);
    await eventually(() => log.messages.includes('PostgreSQL runs again'));
  });

  it('goes on when it ends again and again', async () => {
    await supervise(async () => sleeper()).start();
    for (const round of [1, 2, 3]) {
      launched.at(-1)!.process.kill('SIGKILL');
      await eventually(() => launched.length === round + 1);
    }
  });

  it('starts nothing once it is stopped, whatever it waits for', async () => {
    await supervise(async () => sleeper()).start();
    await supervisor.stop();
    expect(await launched[0]!.exited).to.deep.equal({ code: null, signal: 'SIGTERM' });
    await new Promise((resolve) => setTimeout(resolve, 60));
    expect(launched).to.have.length(1);
    expect(log.messages).to.deep.equal([]);
  });

  it('stops while it waits before the next attempt, and while one is under way', async () => {
    await supervise(async (attempt) => {
      if (attempt > 1) throw new Error('never');
      return sleeper();
    }).start();
    launched[0]!.process.kill('SIGKILL');
    await eventually(() => moments.length === 3);
    await supervisor.stop();
    const attempts = moments.length;
    await new Promise((resolve) => setTimeout(resolve, 120));
    expect(moments).to.have.length(attempts);

    await supervise(async (attempt, signal) => {
      if (attempt === 1) return sleeper();
      await new Promise((resolve) => signal.addEventListener('abort', resolve));
      return sleeper();
    }).start();
    launched[0]!.process.kill('SIGKILL');
    await eventually(() => moments.length === 2);
    await supervisor.stop();
    expect(launched).to.have.length(2);
    expect(await launched[1]!.exited).to.deep.equal({ code: null, signal: 'SIGTERM' });
  });
});
