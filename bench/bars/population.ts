/**
 * What a server costs as its users, their sessions and their watches become many: curves, without bars. `npm run bench --
 * population` runs them; they are no part of the whole run, which they would make twice as long.
 */
import { fromBinary } from '@bufbuild/protobuf';
import { createGrpcTransport } from '@connectrpc/connect-node';
import pg from 'pg';
import * as data from '../../gen/passmanager/data/v1/data_service_pb.ts';
import { GET_ENTRY as GET_ENTRY_STATEMENT } from '../../src/database/entry_statements.ts';
import { makeAccount, register, startLogin } from '../../test/support/raw_client.ts';
import { type Benchmark, type Report, ROUNDS } from '../support/bar.ts';
import { type Lane, newLane } from '../support/lane.ts';
import { grpcSender, sendAll } from '../support/load.ts';
import { CREATE_ENTRY, creations, GET_ENTRY, reads, SealedSession } from '../support/sealed_session.ts';
import { ServerProcess } from '../support/server_process.ts';
import { exponent, median } from '../support/statistics.ts';

const LANES = 8;
const CALLS = 200;
const USERS = [1_000, 10_000, 100_000];
const SESSIONS = [1_000, 10_000, 50_000];
const WATCHERS = [100, 500, 2_000];
const FEW_CALLS = 10_000;
const MANY_CALLS = 1_000_000;

/** Random bytes that differ from row to row `g`. */
const bytes = (length: number): string =>
  `substring(decode(repeat(md5(random()::text || g::text), ${Math.ceil(length / 16)}), 'hex') for ${length})`;

const FILL_USERS = `insert into users (id, username_lookup, srp_salt, srp_verifier, master_key_salt, encrypted_vault_header,
    kdf_algorithm, kdf_memory_kib, kdf_iterations, kdf_parallelism, history_id)
  select gen_random_uuid(), ${bytes(32)}, ${bytes(64)}, ${bytes(544)}, ${bytes(64)}, ${bytes(317)}, 1, 65536, 3, 1, ${bytes(16)}
    from generate_series(1, $1::int) g`;

const FILL_SESSIONS = `insert into login_sessions (id, user_id, session_key, kind, expires_at)
  select gen_random_uuid(), u.id, ${bytes(64)}, 1, now() + interval '1 day'
    from (select id, row_number() over () as g from users limit 1000) u, generate_series(1, $1::int / 1000)`;

/** Of the table of sessions with its indexes. */
const sessionTableBytes = (server: ServerProcess): Promise<number> =>
  server.query(async (client) => {
    const { rows } = await client.query("select pg_total_relation_size('login_sessions')::float8 as bytes");
    return rows[0].bytes as number;
  });

/** Milliseconds of a read and of the start of a log-in. */
async function costs(
  server: ServerProcess,
  lanes: readonly Lane[],
): Promise<{ read: number; handshake: number }> {
  const { send, close } = grpcSender(server.grpcPort);
  const transport = createGrpcTransport({ baseUrl: `http://127.0.0.1:${server.grpcPort}` });
  const read: number[] = [];
  const handshake: number[] = [];
  for (let round = -1; round < ROUNDS; round += 1) {
    const ready = lanes.map(({ session, entryIds }) =>
      reads(session, entryIds, CALLS).map((each) => each.bytes),
    );
    const { perSecond } = await sendAll(send, GET_ENTRY, ready);
    const begun = performance.now();
    for (let index = 0; index < 20; index += 1) await startLogin(transport, makeAccount().usernameHash);
    if (round < 0) continue;
    read.push(1_000 / perSecond);
    handshake.push((performance.now() - begun) / 20);
  }
  close();
  return { read: median(read), handshake: median(handshake) };
}

async function usersAndSessions(report: Report): Promise<void> {
  const server = await ServerProcess.start();
  try {
    const lanes = await Promise.all(Array.from({ length: LANES }, () => newLane(server)));
    const points = {
      usersRead: [] as [number, number][],
      handshake: [] as [number, number][],
      sessionsRead: [] as [number, number][],
    };
    for (const users of USERS) {
      await server.query(async (client) => {
        const { rows } = await client.query('select count(*)::int as n from users');
        await client.query(FILL_USERS, [users - rows[0].n]);
        await client.query('vacuum analyze users');
      });
      const { read, handshake } = await costs(server, lanes);
      points.usersRead.push([users, read]);
      points.handshake.push([users, handshake]);
      report.note(
        `${users} users: ${read.toFixed(3)} ms a read, ${handshake.toFixed(2)} ms the start of a log-in`,
      );
    }
    report.note(
      `grows with users: reads ^${exponent(points.usersRead).toFixed(3)}, starts of log-ins ^${exponent(points.handshake).toFixed(3)}`,
    );
    let before = 0;
    for (const sessions of SESSIONS) {
      await server.query(async (client) => {
        await client.query(FILL_SESSIONS, [sessions - before]);
        await client.query('vacuum analyze login_sessions');
      });
      before = sessions;
      const { read } = await costs(server, lanes);
      const size = await sessionTableBytes(server);
      points.sessionsRead.push([sessions, read]);
      report.note(
        `${sessions} open sessions: ${read.toFixed(3)} ms a read, ${(size / sessions).toFixed(0)} bytes of table and indexes each`,
      );
    }
    report.note(`grows with open sessions: reads ^${exponent(points.sessionsRead).toFixed(3)}`);
  } finally {
    await server.stop();
  }
}

async function watchers(report: Report): Promise<void> {
  const server = await ServerProcess.start({ settings: { PASSMANAGER_MAX_CONNECTIONS_PER_NETWORK: '4096' } });
  const abort = new AbortController();
  try {
    const lane = await newLane(server);
    const transport = createGrpcTransport({ baseUrl: `http://127.0.0.1:${server.grpcPort}` });
    let account = makeAccount();
    await register(transport, account);
    let session = await SealedSession.logIn(transport, account);
    const base = server.residentMb();
    const points: [number, number][] = [];
    let open = 0;
    for (const count of WATCHERS) {
      while (open < count) {
        // A connection carries a hundred streams.
        const connection = createGrpcTransport({ baseUrl: `http://127.0.0.1:${server.grpcPort}` });
        for (let index = 0; index < 50 && open < count; index += 1, open += 1) {
          // A session has a few watches, and an account a few sessions.
          if (open % 500 === 499) {
            account = makeAccount();
            await register(transport, account);
          }
          if (open % 10 === 9) session = await SealedSession.logIn(transport, account);
          const path = '/passmanager.data.v1.DataService/WatchEntries';
          const { bytes: message } = session.seal(path, data.WatchEntriesPayloadSchema, {});
          const input = data.DataService.method.watchEntries.input;
          const stream = await connection.stream(
            data.DataService.method.watchEntries,
            abort.signal,
            undefined,
            undefined,
            (async function* () {
              yield fromBinary(input, message) as never;
            })(),
          );
          const messages = stream.message[Symbol.asyncIterator]();
          await messages.next();
          void (async () => {
            while (!(await messages.next()).done);
          })().catch(() => {});
        }
      }
      const { send, close } = grpcSender(server.grpcPort);
      const times: number[] = [];
      for (let round = -1; round < ROUNDS; round += 1) {
        const ready = creations(lane.session, 100).map((each) => each.bytes);
        const { latencies } = await sendAll(send, CREATE_ENTRY, [ready]);
        if (round >= 0) times.push(median(latencies));
      }
      close();
      points.push([count, median(times)]);
      report.note(
        `${count} watches: ${(((server.residentMb() - base) * 1024) / count).toFixed(0)} KB each, ${median(times).toFixed(2)} ms a write of somebody else`,
      );
    }
    report.note(`grows with watches: writes of others ^${exponent(points).toFixed(3)}`);
  } finally {
    abort.abort();
    await server.stop();
  }
}

/** Spends numbers as the server does, past it: a million calls through the door would take six minutes. */
async function sessionTable(report: Report): Promise<void> {
  const server = await ServerProcess.start();
  try {
    const lanes = await Promise.all(Array.from({ length: LANES }, () => newLane(server, 10)));
    const clients = await Promise.all(
      lanes.map(async ({ session, entryIds }) => {
        const client = new pg.Client({ ...server.connection, options: '-c synchronous_commit=off' });
        await client.connect();
        const { rows } = await client.query('select user_id from login_sessions where id = $1', [
          session.sessionId,
        ]);
        return { client, parameters: [session.sessionId, rows[0].user_id as string], entryId: entryIds[0]! };
      }),
    );
    let spent = 1_000;
    const spend = (calls: number) =>
      Promise.all(
        clients.map(async ({ client, parameters, entryId }) => {
          for (let number = 0; number < calls / LANES; number += 1)
            await client.query({
              name: 'get',
              text: GET_ENTRY_STATEMENT.text,
              values: [...parameters, String(spent + number), entryId],
            });
        }),
      );
    const begun = performance.now();
    await spend(FEW_CALLS);
    spent += FEW_CALLS;
    const few = await sessionTableBytes(server);
    await spend(MANY_CALLS - FEW_CALLS);
    const many = await sessionTableBytes(server);
    const seconds = (performance.now() - begun) / 1_000;
    report.note(
      `the table of sessions takes ${few / 1024} KiB after ${FEW_CALLS} calls and ${many / 1024} KiB after ${MANY_CALLS} (${(MANY_CALLS / seconds).toFixed(0)} statements a second)`,
    );
    for (const { client } of clients) await client.end();
  } finally {
    await server.stop();
  }
}

export const population: Benchmark = {
  names: ['population'],
  onlyNamed: true,
  async run(report) {
    await usersAndSessions(report);
    await watchers(report);
    await sessionTable(report);
  },
};
