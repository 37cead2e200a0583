/** Sealed reads and writes over both doors, against the same stack without the server's code. */
import { fromBinary } from '@bufbuild/protobuf';
import * as data from '../../gen/passmanager/data/v1/data_service_pb.ts';
import { type Benchmark, type Report, ROUNDS } from '../support/bar.ts';
import { BareProcess } from '../support/bare_process.ts';
import { type Lane, newLane } from '../support/lane.ts';
import { connectSender, grpcSender, type Round, type Send, sendAll } from '../support/load.ts';
import { CREATE_ENTRY, creations, GET_ENTRY, reads, type SealedRequest } from '../support/sealed_session.ts';
import { ServerProcess } from '../support/server_process.ts';
import { median } from '../support/statistics.ts';

/** Calls at once, each by a user of its own; and calls of a lane in a round. */
const LANES = 16;
const CALLS = 250;
/** Rounds that are not counted: V8 compiles what is hot within some ten thousand calls. */
const WARM_UP = 7;

interface Kind {
  readonly name: string;
  readonly path: string;
  readonly door: 'grpc' | 'connect';
  readonly goal: string;
}

const KINDS: readonly Kind[] = [
  { name: 'get-entry-grpc', path: GET_ENTRY, door: 'grpc', goal: '>= 0.75' },
  { name: 'create-entry-grpc', path: CREATE_ENTRY, door: 'grpc', goal: '>= 0.75' },
  { name: 'get-entry-connect', path: GET_ENTRY, door: 'connect', goal: '>= 0.80' },
];

/** One side of a comparison. */
interface Side {
  readonly lanes: readonly Lane[];
  readonly send: Send;
  cpuMs(): number;
}

async function round({ path }: Kind, side: Side, calls: number): Promise<Round> {
  const lanes = side.lanes.map(({ session, entryIds }): SealedRequest[] =>
    path === GET_ENTRY ? reads(session, entryIds, calls) : creations(session, calls),
  );
  return sendAll(
    side.send,
    path,
    lanes.map((lane) => lane.map(({ bytes }) => bytes)),
  );
}

async function compare(
  kind: Kind,
  server: ServerProcess,
  ours: Side,
  bare: Side,
  report: Report,
): Promise<void> {
  for (let time = 0; time < WARM_UP; time += 1) {
    await round(kind, ours, CALLS);
    await round(kind, bare, CALLS);
  }
  const ratios: number[] = [];
  const figures: Record<string, number[]> = {
    ours: [],
    oursMs: [],
    postgresMs: [],
    bare: [],
    bareMs: [],
    barePostgresMs: [],
  };
  for (let time = 0; time < ROUNDS; time += 1) {
    let [cpu, postgres] = [server.cpuMs(), server.postgresCpuMs()];
    const one = await round(kind, ours, CALLS);
    figures.ours!.push(one.perSecond);
    figures.oursMs!.push((server.cpuMs() - cpu) / one.calls);
    figures.postgresMs!.push((server.postgresCpuMs() - postgres) / one.calls);
    [cpu, postgres] = [bare.cpuMs(), server.postgresCpuMs()];
    const other = await round(kind, bare, CALLS);
    figures.bare!.push(other.perSecond);
    figures.bareMs!.push((bare.cpuMs() - cpu) / other.calls);
    figures.barePostgresMs!.push((server.postgresCpuMs() - postgres) / other.calls);
    ratios.push(one.perSecond / other.perSecond);
  }
  const of = (name: string, digits: number) => median(figures[name]!).toFixed(digits);
  report.note(
    `${kind.name}: ${of('ours', 0)}/s, server ${of('oursMs', 3)} ms and PostgreSQL ${of('postgresMs', 3)} ms CPU a call; ` +
      `floor ${of('bare', 0)}/s, ${of('bareMs', 3)} and ${of('barePostgresMs', 3)} ms`,
  );
  report.bar(kind.name, ratios, kind.goal);
}

/** The first answer must open to a result, or nothing of what follows means anything. */
async function verify(side: Side): Promise<void> {
  const { session, entryIds } = side.lanes[0]!;
  const [request] = reads(session, entryIds, 1);
  const answer = fromBinary(data.GetEntryResponseSchema, await side.send(GET_ENTRY, request!.bytes));
  const result = session.open(GET_ENTRY, request!.requestNumber, answer.secure!.encryptedData);
  const { entryId } = fromBinary(data.GetEntryResultSchema, result);
  if (entryId !== entryIds[0]) throw new Error('an answer is about another entry');
}

export const sealedCalls: Benchmark = {
  names: KINDS.map(({ name }) => name),
  async run(report, wanted) {
    const server = await ServerProcess.start();
    const bare = await BareProcess.start(server, LANES);
    try {
      const lanes = await Promise.all(Array.from({ length: LANES }, () => newLane(server)));
      for (const kind of KINDS.filter(({ name }) => wanted(name))) {
        const sender = kind.door === 'grpc' ? grpcSender : connectSender;
        const [ourSender, bareSender] = [
          sender(kind.door === 'grpc' ? server.grpcPort : server.httpPort),
          sender(kind.door === 'grpc' ? bare.grpcPort : bare.httpPort),
        ];
        const ours: Side = { lanes, send: ourSender.send, cpuMs: () => server.cpuMs() };
        const floor: Side = {
          lanes: bare.sessions.map((session) => ({ session, entryIds: bare.entryIds })),
          send: bareSender.send,
          cpuMs: () => bare.cpuMs(),
        };
        await verify(ours);
        await verify(floor);
        await compare(kind, server, ours, floor, report);
        ourSender.close();
        bareSender.close();
      }
    } finally {
      await bare.stop();
      await server.stop();
    }
  },
};
