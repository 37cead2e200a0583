import { EventEmitter } from 'node:events';
import { expect } from 'chai';
import { drained } from '../../src/server/drained.ts';

describe('waiting for a stream that is full', () => {
  const stream = (destroyed = false) => Object.assign(new EventEmitter(), { destroyed });

  it('ends at once where the stream is gone', async () => {
    const gone = stream(true);
    await drained(gone);
    expect(gone.eventNames()).to.deep.equal([]);
  });

  it('ends when the stream takes more or goes, and leaves no listener behind', async () => {
    for (const event of ['drain', 'close']) {
      const full = stream();
      let isOver = false;
      const waiting = drained(full).then(() => {
        isOver = true;
      });
      await new Promise((resolve) => setImmediate(resolve));
      expect(isOver).to.equal(false);
      full.emit(event);
      await waiting;
      expect(full.eventNames()).to.deep.equal([]);
    }
  });
});
