/** Sealed reads and writes over both doors, against the same stack without the server's code. */
import { fromBinary } from '@bufbuild/protobuf';
import * as data from '../../gen/passmanager/data/v1/data_service_pb.ts';
import { type Benchmark, type Report, ROUNDS } from '../support/bar.ts';
import { BareProcess } from '../support/bare_process.ts';
import { type Lane, newLane } from '../support/lane.ts';
import { connectSender, grpcSender, type Send, sendAll } from '../support/load.ts';
import { CREATE_ENTRY, creations, GET_ENTRY, reads, type SealedRequest } from '../support/sealed_session.ts';
import { ServerProcess } from '../support/server_process.ts';
import { median } from '../support/statistics.ts';
import { inTurns, perSecond, type Spent, type Turn } from '../support/turns.ts';

/** Calls at once, each by a user of its own; calls of a lane in a turn, and turns of a side in a round. */
const LANES = 16;
const CALLS = 40;
const TURNS = 8;
/** Rounds that are not counted: V8 compiles what is hot within some ten thousand calls. */
const WARM_UP = 5;

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

function turnOf({ path }: Kind, side: Side, server: ServerProcess): Turn {
  return async () => {
    const lanes = side.lanes.map(({ session, entryIds }): SealedRequest[] =>
      path === GET_ENTRY ? reads(session, entryIds, CALLS) : creations(session, CALLS),
    );
    const [cpu, postgres] = [side.cpuMs(), server.postgresCpuMs()];
    const { calls, ms } = await sendAll(
      side.send,
      path,
      lanes.map((lane) => lane.map(({ bytes }) => bytes)),
    );
    return { calls, ms, cpuMs: side.cpuMs() - cpu, postgresMs: server.postgresCpuMs() - postgres };
  };
}

async function compare(
  kind: Kind,
  server: ServerProcess,
  ours: Side,
  bare: Side,
  report: Report,
): Promise<void> {
  const turns = [turnOf(kind, ours, server), turnOf(kind, bare, server)] as const;
  for (let time = 0; time < WARM_UP; time += 1) await inTurns(TURNS, ...turns);
  const rounds: [ours: Spent, bare: Spent][] = [];
  for (let time = 0; time < ROUNDS; time += 1) rounds.push(await inTurns(TURNS, ...turns));
  const shown = (side: 0 | 1, of: (spent: Spent) => number, digits: number) =>
    median(rounds.map((round) => of(round[side]))).toFixed(digits);
  const [cpu, postgres] = [
    (spent: Spent) => spent.cpuMs / spent.calls,
    (spent: Spent) => spent.postgresMs / spent.calls,
  ];
  report.note(
    `${kind.name}: ${shown(0, perSecond, 0)}/s, server ${shown(0, cpu, 3)} ms and PostgreSQL ${shown(0, postgres, 3)} ms CPU a call; ` +
      `floor ${shown(1, perSecond, 0)}/s, ${shown(1, cpu, 3)} and ${shown(1, postgres, 3)} ms`,
  );
  report.bar(
    kind.name,
    rounds.map(([one, other]) => perSecond(one) / perSecond(other)),
    kind.goal,
  );
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
