/** Memory, and how long a start takes. */
import { type Benchmark, ROUNDS } from '../support/bar.ts';
import { type Lane, newLane } from '../support/lane.ts';
import { grpcSender, sendAll } from '../support/load.ts';
import { GET_ENTRY, reads } from '../support/sealed_session.ts';
import { ServerProcess } from '../support/server_process.ts';

/** Calls of the load after which memory is looked at again. */
const CALLS = 100_000;
const LANES = 16;
/** How long after readiness a server counts as idle, in milliseconds. */
const SETTLE_MS = 2_000;

const settled = () => new Promise((resolve) => setTimeout(resolve, SETTLE_MS));

export const footprint: Benchmark = {
  names: ['start-first', 'start-later', 'memory-server', 'memory-postgres', 'memory-server-growth'],
  async run(report, wanted) {
    const [first, later, idle, postgres]: number[][] = [[], [], [], []];
    for (let round = 0; round < ROUNDS; round += 1) {
      const fresh = await ServerProcess.start();
      first!.push(fresh.startMs / 1000);
      await settled();
      idle!.push(fresh.residentMb());
      postgres!.push(fresh.postgresMb());
      const directory = await fresh.stop({ keep: true });
      const again = await ServerProcess.start({ directory });
      later!.push(again.startMs / 1000);
      await again.stop();
    }
    report.bar('start-first', first!, '<= 4');
    report.bar('start-later', later!, '<= 1.5');
    report.bar('memory-server', idle!, '<= 130');
    report.bar('memory-postgres', postgres!, '<= 60');
    if (!wanted('memory-server-growth')) return;

    const server = await ServerProcess.start();
    await settled();
    const before = server.residentMb();
    const points: [number, number][] = [[0, before]];
    // One log-in after the other: log-ins at once would start another thread for them, of some 14 MB.
    const lanes: Lane[] = [];
    while (lanes.length < LANES) lanes.push(await newLane(server));
    const { send, close } = grpcSender(server.grpcPort);
    for (let done = 0; done < CALLS; ) {
      const ready = lanes.map(({ session, entryIds }) =>
        reads(session, entryIds, CALLS / LANES / 10).map(({ bytes }) => bytes),
      );
      done += (await sendAll(send, GET_ENTRY, ready)).calls;
      points.push([done, server.residentMb()]);
    }
    close();
    await settled();
    report.note(
      `after ${CALLS} calls by ${LANES} users: server ${server.residentMb().toFixed(0)} MB, PostgreSQL ${server.postgresMb().toFixed(0)} MB`,
    );
    report.bar('memory-server-growth', [server.residentMb() - before], '<= 30');
    report.curve({
      title: 'Resident memory of the server',
      xLabel: 'sealed reads',
      yLabel: 'MB',
      series: [{ name: 'server', points }],
    });
    await server.stop();
  },
};
