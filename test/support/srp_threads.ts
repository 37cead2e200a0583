/** Log-in threads that fail. */
import { Worker } from 'node:worker_threads';
import { createSrpWorker } from '../../src/server/srp/srp_pool.ts';

/** Threads that say they are ready and then do `onJob`; the next ones are real. */
export const failingOnce = (onJob: string, times = 1): (() => Worker) => {
  let made = 0;
  return () => {
    made += 1;
    if (made > times) return createSrpWorker();
    return new Worker(
      `const { parentPort } = require('node:worker_threads');
       parentPort.postMessage({ kind: 'ready', arithmetic: 'openssl' });
       parentPort.on('message', () => { ${onJob} });`,
      { eval: true },
    );
  };
};
