/** What a call costs as the database and the vault grow. */
import * as data from '../../gen/passmanager/data/v1/data_service_pb.ts';
import { type Benchmark, ROUNDS } from '../support/bar.ts';
import { type Lane, newLane } from '../support/lane.ts';
import { grpcSender, type Round, type Send, sendAll } from '../support/load.ts';
import { DATA_BYTES, GET_ENTRY, LIST_ENTRIES, NAME_BYTES, reads } from '../support/sealed_session.ts';
import { ServerProcess } from '../support/server_process.ts';
import { exponent, median } from '../support/statistics.ts';
import { inTurns, perSecond, type Spent, type Turn } from '../support/turns.ts';

const LANES = 8;
/** Calls of a lane in a turn, and turns of a side in a round. */
const CALLS = 40;
const TURNS = 6;
/** First pages of a vault in a turn. */
const PAGES = 25;
const SIZES = [10_000, 100_000, 1_000_000];
/** Entries of each made-up user that fills the database. */
const VAULT = 1_000;

/** Fills the database with other users' entries up to `total`: random bytes of the sizes that clients make. */
async function fillTo(server: ServerProcess, total: number): Promise<void> {
  await server.query(async (client) => {
    const { rows } = await client.query('select count(*)::int as n from secure_data');
    const users = Math.ceil((total - rows[0].n) / VAULT);
    const bytes = (length: number) =>
      `substring(decode(repeat(md5(random()::text || g::text), ${Math.ceil(length / 16)}), 'hex') for ${length})`;
    await client.query(
      `with made as (
        insert into users (id, username_lookup, srp_salt, srp_verifier, master_key_salt, encrypted_vault_header,
          kdf_algorithm, kdf_memory_kib, kdf_iterations, kdf_parallelism, history_id, revision, entry_count)
        select gen_random_uuid(), ${bytes(32)}, ${bytes(64)}, ${bytes(544)}, ${bytes(64)}, ${bytes(317)}, 1, 65536, 3, 1,
          ${bytes(16)}, ${VAULT}, ${VAULT} from generate_series(1, $1::int) g returning id
      )
      insert into secure_data (user_id, entry_id, entry_name, entry_data, revision)
      select id, gen_random_uuid(), ${bytes(NAME_BYTES)}, ${bytes(DATA_BYTES)}, g from made, generate_series(1, ${VAULT}) g`,
      [users],
    );
    await client.query('analyze');
  });
}

function turnOf(send: Send, lanes: readonly Lane[]): Turn {
  return async () => {
    const ready = lanes.map(({ session, entryIds }) =>
      reads(session, entryIds, CALLS).map(({ bytes }) => bytes),
    );
    return spent(await sendAll(send, GET_ENTRY, ready));
  };
}

/** First pages of a vault, one after the other. */
function pagesOf(send: Send, { session }: Lane): Turn {
  return async () => {
    const lane = Array.from(
      { length: PAGES },
      () => session.seal(LIST_ENTRIES, data.ListEntriesPayloadSchema, {}).bytes,
    );
    return spent(await sendAll(send, LIST_ENTRIES, [lane]));
  };
}

/** Wall time is all that these look at. */
const spent = ({ calls, ms }: Round): Spent => ({ calls, ms, cpuMs: 0, postgresMs: 0 });

export const growth: Benchmark = {
  names: ['get-entry-1m-entries', 'list-entries-10k'],
  async run(report, wanted) {
    const small = await ServerProcess.start();
    const { send, close } = grpcSender(small.grpcPort);
    try {
      if (wanted('list-entries-10k')) {
        const [thousand, tenThousand] = [await newLane(small, 1_000), await newLane(small, 10_000)];
        const ratios: number[] = [];
        for (let round = -1; round < ROUNDS; round += 1) {
          const [one, ten] = await inTurns(TURNS, pagesOf(send, thousand), pagesOf(send, tenThousand));
          if (round >= 0) ratios.push(perSecond(one) / perSecond(ten));
        }
        report.bar('list-entries-10k', ratios, '<= 1.1');
      }
      if (!wanted('get-entry-1m-entries')) return;

      const large = await ServerProcess.start();
      const sender = grpcSender(large.grpcPort);
      try {
        const lanesOf = (server: ServerProcess) =>
          Promise.all(Array.from({ length: LANES }, () => newLane(server, 125)));
        const [smallLanes, largeLanes] = [await lanesOf(small), await lanesOf(large)];
        const points: [number, number][] = [];
        const sizes: [number, number][] = [];
        const ratios: number[] = [];
        for (const size of [LANES * 125, ...SIZES]) {
          if (size > LANES * 125) await fillTo(large, size);
          const times: number[] = [];
          for (let round = -2; round < ROUNDS; round += 1) {
            const [base, grown] = await inTurns(
              TURNS,
              turnOf(send, smallLanes),
              turnOf(sender.send, largeLanes),
            );
            if (round < 0) continue;
            times.push(1000 / perSecond(grown));
            if (size === SIZES.at(-1)) ratios.push(perSecond(grown) / perSecond(base));
          }
          points.push([size, median(times)]);
          sizes.push([size, await large.query(bytesPerEntry)]);
        }
        report.note(
          `the time of a read grows with the entries to the power of ${exponent(points).toFixed(3)}`,
        );
        report.note(
          `an entry of ${NAME_BYTES + DATA_BYTES} bytes takes ${sizes.at(-1)![1].toFixed(0)} bytes on disk`,
        );
        report.bar('get-entry-1m-entries', ratios, '>= 0.9');
        report.curve({
          title: 'A sealed read',
          xLabel: 'entries in the database',
          yLabel: 'ms a call, 8 at once',
          series: [{ name: 'GetEntry', points }],
        });
      } finally {
        sender.close();
        await large.stop();
      }
    } finally {
      close();
      await small.stop();
    }
  },
};

async function bytesPerEntry(client: import('pg').Client): Promise<number> {
  const { rows } = await client.query(
    "select pg_total_relation_size('secure_data')::float8 / count(*) as bytes from secure_data",
  );
  return rows[0].bytes as number;
}
