/** Back-pressure: nothing is written faster than its reader takes it. */
import type { EventEmitter } from 'node:events';

/** Waits until a stream that was full takes more, or is gone. */
export function drained(stream: EventEmitter & { readonly destroyed: boolean }): Promise<void> {
  return new Promise((resolve) => {
    const done = () => {
      stream.off('drain', done);
      stream.off('close', done);
      resolve();
    };
    stream.on('drain', done);
    stream.on('close', done);
    if (stream.destroyed) done();
  });
}
