import { expect } from 'chai';
import { Teardown } from '../../src/server/teardown.ts';
import { collectingLog } from '../support/collecting_log.ts';

describe('a teardown', () => {
  it('ends what was started last first, each when the one before has ended, and once', async () => {
    const done: string[] = [];
    const teardown = new Teardown(collectingLog().log);
    teardown.add(() => done.push('first'));
    teardown.add(async () => {
      done.push('second begins');
      await new Promise(setImmediate);
      done.push('second');
    });
    expect(teardown.hasBegun).to.equal(false);
    const run = teardown.run();
    expect(teardown.hasBegun).to.equal(true);
    await run;
    await teardown.run();
    expect(done).to.deep.equal(['second begins', 'second', 'first']);
  });

  it('goes on past what does not end, and logs that', async () => {
    const { log, lines } = collectingLog();
    const done: string[] = [];
    const teardown = new Teardown(log);
    teardown.add(() => done.push('first'));
    teardown.add(() => Promise.reject(new Error('later')));
    teardown.add(() => {
      throw new Error('at once');
    });
    await teardown.run();
    expect(done).to.deep.equal(['first']);
    expect(lines).to.have.length(2);
    for (const line of lines) expect(JSON.parse(line)).to.include({ msg: 'a part did not stop cleanly' });
  });
});
