import { expect } from 'chai';
import { OpenStreams } from '../../src/server/open_streams.ts';

describe('OpenStreams', () => {
  it('aborts what is open, and what opens later at once', () => {
    const streams = new OpenStreams();
    const before = streams.open();
    expect(before.signal.aborted).to.equal(false);
    streams.abortAll();
    expect(before.signal.aborted).to.equal(true);
    expect(streams.open().signal.aborted).to.equal(true);
  });

  it('leaves alone what is over', () => {
    const streams = new OpenStreams();
    const over = streams.open();
    streams.close(over);
    streams.abortAll();
    expect(over.signal.aborted).to.equal(false);
  });
});
