/**
 * The server with its database in 256 MB on one core, under load: by control groups (version 1) where they may be made, as
 * root on Linux. `npm run bench -- small-machine` runs it. The load comes from the other cores.
 */
import { existsSync, mkdirSync, readFileSync, rmdirSync, writeFileSync } from 'node:fs';
import { createConnectTransport } from '@connectrpc/connect-node';
import { makeAccount, register } from '../../test/support/raw_client.ts';
import type { Benchmark, Report } from '../support/bar.ts';
import { newLane } from '../support/lane.ts';
import { grpcSender, sendAll } from '../support/load.ts';
import { CREATE_ENTRY, creations, GET_ENTRY, reads, SealedSession } from '../support/sealed_session.ts';
import { ServerProcess } from '../support/server_process.ts';
import { percentile } from '../support/statistics.ts';

const LIMIT_BYTES = 256 * 2 ** 20;
const MEMORY = '/sys/fs/cgroup/memory';
const CPUSET = '/sys/fs/cgroup/cpuset';
const LANES = 16;

/** Runs `work` inside a group, which what it starts never leaves. */
async function inside<T>(groups: readonly string[], work: () => Promise<T>): Promise<T> {
  for (const group of groups) writeFileSync(`${group}/cgroup.procs`, String(process.pid));
  try {
    return await work();
  } finally {
    for (const group of groups) writeFileSync(`${group}/../cgroup.procs`, String(process.pid));
  }
}

async function measure(report: Report, memory: string, groups: readonly string[]): Promise<void> {
  const server = await inside(groups, () => ServerProcess.start());
  const figure = (name: string) => Number(readFileSync(`${memory}/${name}`, 'utf8')) / 2 ** 20;
  try {
    report.note(
      `ready after ${(server.startMs / 1_000).toFixed(2)} s on one core; ${figure('memory.usage_in_bytes').toFixed(0)} MB with files in the cache`,
    );
    const lanes = [];
    for (let lane = 0; lane < LANES; lane += 1) lanes.push(await newLane(server));
    const { send, close } = grpcSender(server.grpcPort);
    for (const [what, path, messages] of [
      [
        'reads',
        GET_ENTRY,
        lanes.map(({ session, entryIds }) => reads(session, entryIds, 500).map(({ bytes }) => bytes)),
      ],
      [
        'durable writes',
        CREATE_ENTRY,
        lanes.map(({ session }) => creations(session, 200).map(({ bytes }) => bytes)),
      ],
    ] as const) {
      const { perSecond, latencies } = await sendAll(send, path, messages);
      report.note(
        `${perSecond.toFixed(0)} ${what} a second, ${LANES} at once, p99 ${percentile(latencies, 0.99).toFixed(0)} ms`,
      );
    }
    const transport = createConnectTransport({ baseUrl: server.httpUrl, httpVersion: '1.1' });
    const account = makeAccount();
    await register(transport, account);
    const begun = performance.now();
    for (let round = 0; round < 5; round += 1)
      await Promise.all(Array.from({ length: 8 }, () => SealedSession.logIn(transport, account)));
    report.note(
      `${(40_000 / (performance.now() - begun)).toFixed(0)} log-ins a second, 8 at once, the client's part on another core`,
    );
    close();
    report.note(
      `at most ${figure('memory.max_usage_in_bytes').toFixed(0)} MB of 256, cache included; the limit was met ${readFileSync(`${memory}/memory.failcnt`, 'utf8').trim()} times; server ${server.residentMb().toFixed(0)} MB, PostgreSQL ${server.postgresMb().toFixed(0)} MB`,
    );
  } finally {
    await server.stop();
  }
}

export const smallMachine: Benchmark = {
  names: ['small-machine'],
  onlyNamed: true,
  async run(report) {
    if (!existsSync(`${MEMORY}/memory.limit_in_bytes`) || !existsSync(`${CPUSET}/cpuset.cpus`)) {
      report.note('there are no control groups of version 1 for memory and processors here');
      return;
    }
    const [memory, processors] = [`${MEMORY}/passmanager-bench`, `${CPUSET}/passmanager-bench`];
    for (const group of [memory, processors]) mkdirSync(group, { recursive: true });
    writeFileSync(`${memory}/memory.limit_in_bytes`, String(LIMIT_BYTES));
    writeFileSync(`${processors}/cpuset.mems`, '0');
    writeFileSync(`${processors}/cpuset.cpus`, '0');
    try {
      await measure(report, memory, [memory, processors]);
    } finally {
      await new Promise((resolve) => setTimeout(resolve, 500));
      for (const group of [memory, processors]) rmdirSync(group);
    }
  },
};
