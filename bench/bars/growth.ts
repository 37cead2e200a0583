/** What a call costs as the database and the vault grow. */
import * as data from '../../gen/passmanager/data/v1/data_service_pb.ts';
import { type Benchmark, ROUNDS } from '../support/bar.ts';
import { type Lane, newLane } from '../support/lane.ts';
import { grpcSender, type Send, sendAll } from '../support/load.ts';
import { DATA_BYTES, GET_ENTRY, LIST_ENTRIES, NAME_BYTES, reads } from '../support/sealed_session.ts';
import { ServerProcess } from '../support/server_process.ts';
import { exponent, median } from '../support/statistics.ts';

const LANES = 8;
const CALLS = 200;
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

async function perSecond(send: Send, lanes: readonly Lane[]): Promise<number> {
  const ready = lanes.map(({ session, entryIds }) =>
    reads(session, entryIds, CALLS).map(({ bytes }) => bytes),
  );
  return (await sendAll(send, GET_ENTRY, ready)).perSecond;
}

/** The first page of a vault, one call after the other; milliseconds a call. */
async function firstPage(send: Send, { session }: Lane, calls: number): Promise<number> {
  const lane = Array.from(
    { length: calls },
    () => session.seal(LIST_ENTRIES, data.ListEntriesPayloadSchema, {}).bytes,
  );
  return median((await sendAll(send, LIST_ENTRIES, [lane])).latencies);
}

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
          const one = await firstPage(send, thousand, 60);
          const ten = await firstPage(send, tenThousand, 60);
          if (round >= 0) ratios.push(ten / one);
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
            const base = await perSecond(send, smallLanes);
            const grown = await perSecond(sender.send, largeLanes);
            if (round < 0) continue;
            times.push(1000 / grown);
            if (size === SIZES.at(-1)) ratios.push(grown / base);
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
