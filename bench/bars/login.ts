/** What a log-in costs, and what many of them leave for the others. */
import { spawn } from 'node:child_process';
import { randomBytes, randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { createConnectTransport, createGrpcTransport } from '@connectrpc/connect-node';
import { SessionService } from '../../gen/passmanager/session/v1/session_service_pb.ts';
import { sha256, utf8 } from '../../src/protocol/bytes.ts';
import { clientPublicA } from '../../src/protocol/srp.ts';
import { callUnary, makeAccount, register, startLogin } from '../../test/support/raw_client.ts';
import { type Benchmark, type Report, ROUNDS } from '../support/bar.ts';
import { newLane } from '../support/lane.ts';
import { grpcSender, sendFor } from '../support/load.ts';
import { GET_ENTRY, reads, SealedSession } from '../support/sealed_session.ts';
import { ServerProcess } from '../support/server_process.ts';
import { median, percentile } from '../support/statistics.ts';

/** Log-ins of a round, each followed by its floor. */
const LOGINS = 160;

/** Log-ins before the rounds, in which V8 compiles what is hot, and how many of them at once. */
const WARM_UP = 3_000;
const WARM_UP_LANES = 4;

/** Accounts that take turns: none comes to the sessions that it may have, where one more ends another. */
const ACCOUNTS = 64;
const FLOOD_LANES = 16;
const READ_LANES = 8;
const WINDOW_MS = 2_000;
const PROBE = new URL('../support/timer_probe.ts', import.meta.url).pathname;
const MODEXP = new URL('../floors/modexp.ts', import.meta.url).pathname;

/** Log-ins that fail at the proof: the server computes as much for them, and the client nothing. */
async function flood(httpUrl: string, until: () => boolean): Promise<number> {
  const transport = createConnectTransport({ baseUrl: httpUrl, httpVersion: '1.1' });
  const ephPublicA = clientPublicA(new Uint8Array(randomBytes(40)));
  let done = 0;
  const lane = async (): Promise<void> => {
    const usernameHash = sha256(utf8(randomUUID()));
    while (!until()) {
      const { ephemeralId } = await startLogin(transport, usernameHash);
      const proof = { usernameHash, ephemeralId, ephPublicA, clientProofM1: new Uint8Array(32) };
      await callUnary(transport, SessionService.method.authenticateSession, proof).catch(() => {});
      done += 1;
    }
  };
  await Promise.all(Array.from({ length: FLOOD_LANES }, lane));
  return done;
}

/** Runs `work` while the flood goes on. */
async function duringFlood<T>(
  server: ServerProcess,
  work: () => Promise<T>,
): Promise<{ result: T; logins: number }> {
  let over = false;
  const flooding = flood(server.httpUrl, () => over);
  await new Promise((resolve) => setTimeout(resolve, 300));
  const result = await work();
  over = true;
  return { result, logins: await flooding };
}

class Modexp {
  readonly #child = spawn(process.execPath, [MODEXP], { stdio: ['pipe', 'pipe', 'inherit'] });
  readonly ready = once(this.#child.stdout, 'data');

  /** Processor time of one, over `count` of them, in milliseconds. */
  async measure(count: number): Promise<number> {
    this.#child.stdin.write(`${count}\n`);
    const [line] = (await once(this.#child.stdout, 'data')) as [Buffer];
    return Number(line);
  }

  stop(): void {
    this.#child.kill();
  }
}

/**
 * Genuine log-ins over gRPC, one at a time: the floor has a core to itself, and two calls at once would share the halves of
 * one, which makes either cost more. The floor of each log-in follows it, so that either begins with caches and a clock rate
 * that another program left.
 */
async function measureCpu(report: Report): Promise<void> {
  const server = await ServerProcess.start();
  const modexp = new Modexp();
  try {
    await modexp.ready;
    const transport = createGrpcTransport({ baseUrl: `http://127.0.0.1:${server.grpcPort}` });
    const accounts = Array.from({ length: ACCOUNTS }, () => makeAccount());
    for (const account of accounts) await register(transport, account);
    let turn = 0;
    const logIns = async (count: number) => {
      for (let done = 0; done < count; done += 1) {
        turn += 1;
        await SealedSession.logIn(transport, accounts[turn % ACCOUNTS]!);
      }
    };
    await Promise.all(Array.from({ length: WARM_UP_LANES }, () => logIns(WARM_UP / WARM_UP_LANES)));
    const rounds: { server: number; postgres: number; floor: number }[] = [];
    for (let round = 0; round < ROUNDS; round += 1) {
      const [cpu, postgresCpu] = [server.cpuMs(), server.postgresCpuMs()];
      let floor = 0;
      for (let done = 0; done < LOGINS; done += 1) {
        await logIns(1);
        floor += 3 * (await modexp.measure(3));
      }
      rounds.push({
        server: (server.cpuMs() - cpu) / LOGINS,
        postgres: (server.postgresCpuMs() - postgresCpu) / LOGINS,
        floor: floor / LOGINS,
      });
    }
    const shown = (of: 'server' | 'postgres' | 'floor') =>
      median(rounds.map((round) => round[of])).toFixed(2);
    report.note(
      `a log-in: server ${shown('server')} ms and PostgreSQL ${shown('postgres')} ms CPU; three modexps: ${shown('floor')} ms`,
    );
    report.bar(
      'login-cpu',
      rounds.map(({ server, floor }) => server / floor),
      '<= 1.15',
    );
  } finally {
    modexp.stop();
    await server.stop();
  }
}

/** What a flood of log-ins leaves of the event loop and for readers. */
async function measureOthers(report: Report): Promise<void> {
  const server = await ServerProcess.start({ flags: ['--import', PROBE] });
  try {
    const lanes = await Promise.all(Array.from({ length: READ_LANES }, () => newLane(server)));
    const { send, close } = grpcSender(server.grpcPort);
    const ready = (count: number) =>
      lanes.map(({ session, entryIds }) => reads(session, entryIds, count).map(({ bytes }) => bytes));
    await sendFor(send, GET_ENTRY, ready(1_000), WINDOW_MS);
    const [throughput, latency, timer, logins]: [number[], number[], number[], number[]] = [[], [], [], []];
    for (let round = 0; round < ROUNDS; round += 1) {
      const idle = await timerP99(server);
      const flooded = await duringFlood(server, () => timerP99(server));
      timer.push(flooded.result / idle);
      const [quietLoad, busyLoad] = [ready(1_500), ready(1_500)];
      const quiet = await sendFor(send, GET_ENTRY, quietLoad, WINDOW_MS);
      const begun = performance.now();
      const busy = await duringFlood(server, () => sendFor(send, GET_ENTRY, busyLoad, WINDOW_MS));
      logins.push((busy.logins / (performance.now() - begun)) * 1000);
      throughput.push(busy.result.perSecond / quiet.perSecond);
      latency.push(percentile(busy.result.latencies, 0.99) / percentile(quiet.latencies, 0.99));
    }
    close();
    report.note(`beside the reads ${median(logins).toFixed(0)} failing log-ins a second`);
    report.bar('login-timer-p99', timer, '<= 4');
    report.bar('login-reads-throughput', throughput, '>= 0.40');
    report.bar('login-reads-p99', latency, '<= 4');
  } finally {
    await server.stop();
  }
}

/** The p99 of the server's 1 ms timer over the next window, in milliseconds. */
async function timerP99(server: ServerProcess): Promise<number> {
  await server.timerP99();
  await new Promise((resolve) => setTimeout(resolve, WINDOW_MS));
  return server.timerP99();
}

export const login: Benchmark = {
  names: ['login-cpu', 'login-timer-p99', 'login-reads-throughput', 'login-reads-p99'],
  async run(report, wanted) {
    if (wanted('login-cpu')) await measureCpu(report);
    if (this.names.slice(1).some(wanted)) await measureOthers(report);
  },
};
