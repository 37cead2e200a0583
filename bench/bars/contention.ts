/**
 * What one user's work leaves to others: `npm run bench -- contention`. Others read and write at a pace that leaves room, while
 * somebody changes a password of 10,000 entries; and writers who share flushes of the disk.
 */
import { once } from 'node:events';
import { Worker } from 'node:worker_threads';
import type { TestAccount } from '../../test/support/raw_client.ts';
import { type Benchmark, type Report, ROUNDS } from '../support/bar.ts';
import { type Lane, newLane } from '../support/lane.ts';
import { grpcSender, type Send, sendAll } from '../support/load.ts';
import { CREATE_ENTRY, creations, GET_ENTRY, reads } from '../support/sealed_session.ts';
import { ServerProcess } from '../support/server_process.ts';
import { median, percentile } from '../support/statistics.ts';
import { newVault } from './password_change.ts';

const ENTRIES = 10_000;
const LANES = 4;
/** Between two calls of a lane. */
const PACE_MS = 20;
const WRITERS = [1, 2, 4, 8, 16, 32];
const WRITES = 200;

/** Latencies of reads, at a pace, until `isOver`. */
async function paced(send: Send, lanes: readonly Lane[], isOver: () => boolean): Promise<number[]> {
  const latencies: number[] = [];
  await Promise.all(
    lanes.map(async ({ session, entryIds }) => {
      while (!isOver()) {
        const [request] = reads(session, entryIds, 1);
        const begun = performance.now();
        await send(GET_ENTRY, request!.bytes);
        latencies.push(performance.now() - begun);
        await new Promise((resolve) => setTimeout(resolve, PACE_MS));
      }
    }),
  );
  return latencies;
}

async function besideChange(report: Report): Promise<void> {
  const server = await ServerProcess.start();
  try {
    const lanes = await Promise.all(Array.from({ length: LANES }, () => newLane(server)));
    const vault = await newVault(server.httpUrl, ENTRIES);
    const { send, close } = grpcSender(server.grpcPort);
    const medians: number[] = [];
    const slowest: number[] = [];
    for (let round = -1; round < ROUNDS; round += 1) {
      const end = performance.now() + 3_000;
      const alone = await paced(send, lanes, () => performance.now() > end);
      let isDone = false;
      const changing = changeElsewhere(server.httpUrl, vault).finally(() => {
        isDone = true;
      });
      const beside = await paced(send, lanes, () => isDone);
      vault.account = (await changing).account;
      if (round < 0) continue;
      medians.push(median(beside) / median(alone));
      slowest.push(percentile(beside, 0.99) / percentile(alone, 0.99));
      report.note(
        `a paced read alone ${median(alone).toFixed(2)} ms (p99 ${percentile(alone, 0.99).toFixed(1)}), beside a password change ${median(beside).toFixed(2)} ms (p99 ${percentile(beside, 0.99).toFixed(1)})`,
      );
    }
    report.note(
      `beside a password change of ${ENTRIES} entries, whose client takes what is left of the two cores, a read takes ${median(medians).toFixed(2)} of its time, the slowest of a hundred ${median(slowest).toFixed(2)}`,
    );
    close();
  } finally {
    await server.stop();
  }
}

/** A password change in a thread of its own; the account with its new credentials. */
async function changeElsewhere(
  httpUrl: string,
  vault: { account: TestAccount; ids: string[] },
): Promise<{ account: TestAccount }> {
  const worker = new Worker(new URL('../support/change_worker.ts', import.meta.url), {
    workerData: { httpUrl, ...vault },
  });
  const [done] = (await once(worker, 'message')) as [{ account: TestAccount }];
  return done;
}

/** PostgreSQL's own count of flushes of its log. */
const FLUSHES = `select sum(fsyncs)::float8 as n from pg_stat_io where object = 'wal'`;

async function sharedFlushes(report: Report): Promise<void> {
  const server = await ServerProcess.start();
  try {
    const { send, close } = grpcSender(server.grpcPort);
    for (const writers of WRITERS) {
      const lanes = await Promise.all(Array.from({ length: writers }, () => newLane(server, 1)));
      const ready = lanes.map(({ session }) => creations(session, WRITES).map(({ bytes }) => bytes));
      const flushes = () =>
        server.query(async (client) => {
          // A process of PostgreSQL's tells what it counted once it has been idle for ten seconds.
          await new Promise((resolve) => setTimeout(resolve, 11_000));
          return (await client.query(FLUSHES)).rows[0].n as number;
        });
      const before = await flushes();
      const { perSecond } = await sendAll(send, CREATE_ENTRY, ready);
      const each = ((await flushes()) - before) / (writers * WRITES);
      report.note(
        `${writers} writers: ${perSecond.toFixed(0)} writes a second, ${each.toFixed(2)} flushes each`,
      );
    }
    close();
  } finally {
    await server.stop();
  }
}

export const contention: Benchmark = {
  names: ['contention'],
  onlyNamed: true,
  async run(report) {
    await besideChange(report);
    await sharedFlushes(report);
  },
};
