/** What a sealed read costs with several processes, in processor time of all of them and of PostgreSQL. */
import { type Benchmark, ROUNDS } from '../support/bar.ts';
import { newLane } from '../support/lane.ts';
import { grpcSender, sendAll } from '../support/load.ts';
import { GET_ENTRY, reads } from '../support/sealed_session.ts';
import { ServerProcess } from '../support/server_process.ts';

/**
 * For each process, on connections of their own: connections are what is shared out. As busy as the one is, each of the two is,
 * for a process that finds several calls at once takes less for each of them.
 */
const LANES = 8;
const CALLS = 300;
const WARM_UP = 8;

async function prepared(processes: number) {
  const server = await ServerProcess.start({ settings: { PASSMANAGER_WORKERS: String(processes) } });
  const lanes = await Promise.all(Array.from({ length: processes * LANES }, () => newLane(server)));
  const senders = lanes.map(() => grpcSender(server.grpcPort));
  return {
    /** Processor milliseconds a call. */
    async round(): Promise<number> {
      const ready = lanes.map(({ session, entryIds }) =>
        reads(session, entryIds, CALLS).map(({ bytes }) => bytes),
      );
      const before = server.cpuMs() + server.postgresCpuMs();
      await Promise.all(ready.map((lane, index) => sendAll(senders[index]!.send, GET_ENTRY, [lane])));
      return (server.cpuMs() + server.postgresCpuMs() - before) / (lanes.length * CALLS);
    },
    async stop(): Promise<void> {
      for (const { close } of senders) close();
      await server.stop();
    },
  };
}

export const workers: Benchmark = {
  names: ['two-workers-cpu'],
  async run(report) {
    const one = await prepared(1);
    const two = await prepared(2);
    try {
      const ratios: number[] = [];
      // Each process compiles its own code, of half as many calls.
      for (let round = -WARM_UP; round < ROUNDS; round += 1) {
        const base = await one.round();
        const both = await two.round();
        if (round < 0) continue;
        ratios.push(both / base);
        report.note(
          `${base.toFixed(3)} ms of processor time a read with one process, ${both.toFixed(3)} with two`,
        );
      }
      report.bar('two-workers-cpu', ratios, '<= 1.1');
    } finally {
      await one.stop();
      await two.stop();
    }
  },
};
