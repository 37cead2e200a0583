/** Loaded into the server process by --import: how late a timer of 1 ms comes. SIGWINCH prints its p99 and begins anew. */
import { isMainThread } from 'node:worker_threads';
import { percentile } from './statistics.ts';

if (isMainThread) {
  let gaps: number[] = [];
  let last = performance.now();
  const tick = (): void => {
    const now = performance.now();
    gaps.push(now - last);
    last = now;
    setTimeout(tick, 1);
  };
  tick();
  process.on('SIGWINCH', () => {
    process.stdout.write(`timer p99 ${percentile(gaps, 0.99)}\n`);
    gaps = [];
  });
}
