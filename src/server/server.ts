/** The composition root: builds everything that serves, in order, and takes it down in reverse. */
import { randomFillSync } from 'node:crypto';
import { mkdir } from 'node:fs/promises';
import { DataService } from '../../gen/passmanager/data/v1/data_service_pb.ts';
import { PasswordService } from '../../gen/passmanager/password/v1/password_service_pb.ts';
import { SessionService } from '../../gen/passmanager/session/v1/session_service_pb.ts';
import { UserService } from '../../gen/passmanager/user/v1/user_service_pb.ts';
import type { Around } from '../database/around.ts';
import type { Place } from '../database/backup/backup.ts';
import { type ConnectionOptions, type Database, openDatabase } from '../database/database.ts';
import { databaseSize } from '../database/database_size.ts';
import { embeddedConnection, startEmbeddedPostgres } from '../database/embedded/embedded_postgres.ts';
import { migrate } from '../database/migrator.ts';
import { estimatedRows } from '../database/row_estimate.ts';
import { makeRecoveryCode, openServerKeys, type ServerKeys } from '../database/server_keys.ts';
import type { RandomBytes } from '../protocol/bytes.ts';
import { BackupSchedule } from './backup_schedule.ts';
import { BulkTurns } from './bulk_turns.ts';
import { clientAddressesOf } from './client_address.ts';
import { type Config, isLoopback, keyFileOf } from './config.ts';
import { DataHandler } from './data_handler.ts';
import { Decoys } from './decoys.ts';
import { DEFAULT_DOOR_LIMITS, type Door, type DoorLimits, type DoorLoad } from './door.ts';
import { connectionsOf } from './embedded_connections.ts';
import { FieldRules } from './field_rules.ts';
import { createGrpcDoor } from './grpc_door.ts';
import { Housekeeping } from './housekeeping.ts';
import { createHttpDoor } from './http_door.ts';
import { KeyRefresh } from './key_refresh.ts';
import type { Logger } from './log.ts';
import { type MetricSources, Metrics } from './metrics.ts';
import { createMetricsDoor, type MetricsDoor } from './metrics_door.ts';
import { observedRpcs } from './observed_rpcs.ts';
import { packageOfProgram } from './package.ts';
import { PasswordHandler } from './password_handler.ts';
import { serviceRpcs } from './pipeline.ts';
import { DatabaseRateLimits, NO_RATE_LIMITS } from './rate_limits.ts';
import { DatabaseReadiness } from './readiness.ts';
import { RequestGate } from './request_gate.ts';
import { DEFAULT_FEED_TIMES, type FeedTimes, RevisionFeed } from './revision_feed.ts';
import type { Rpc } from './rpc.ts';
import { SessionHandler } from './session_handler.ts';
import { SessionKeys } from './session_keys.ts';
import { EphemeralStock } from './srp/ephemeral_stock.ts';
import { SrpPool } from './srp/srp_pool.ts';
import { Teardown } from './teardown.ts';
import { readTlsFiles } from './tls.ts';
import { TlsRenewal } from './tls_renewal.ts';
import type { Tracing } from './tracing.ts';
import { UserHandler } from './user_handler.ts';
import { UserTurns } from './user_turns.ts';

/** What a running server is made with beside its configuration. Times in milliseconds. */
export interface ServerParts {
  readonly log: Logger;
  /** Which of several processes this is, from 0: another one runs the embedded PostgreSQL. None: the only one. */
  readonly worker?: number;
  /** Secure random bytes. Default: node:crypto's. */
  readonly random?: RandomBytes;
  readonly feedTimes?: FeedTimes;
  /** How often the clean-up runs. Default: a minute. */
  readonly housekeepingMs?: number;
  /** How often the database is asked whether it answers. Default: two seconds. */
  readonly readinessMs?: number;
  /** How often the server looks for keys that were rotated. Default: five seconds. */
  readonly keyRefreshMs?: number;
}

/** A server that serves. */
export interface RunningServer {
  readonly grpcAddress: Door['address'];
  readonly httpAddress: Door['address'];
  /** Undefined: nothing is measured. */
  readonly metricsAddress: Door['address'] | undefined;
  /** Where the embedded database keeps its files; undefined with a database of one's own. */
  readonly dataDir: string | undefined;
  /** Whether this start made the server's keys. */
  readonly isFirstStart: boolean;
  /** Whether a lost key file could be made again. */
  readonly hasRecoveryCode: boolean;
  /** Makes a new recovery code in the place of the one before. The text is kept nowhere. */
  makeRecoveryCode(): Promise<string>;
  /** Reads certificate and key again, as it does each minute by itself. Never rejects. */
  renewTls(): Promise<void>;
  /** Takes no new calls, lets running ones finish, then ends everything: within 8 seconds. Never rejects. */
  stop(): Promise<void>;
}

/** How long watches may take to end once the server stops, and their last words to leave. */
const WATCHES_END_MS = 500;
const FLUSH_MS = 50;

/** How long calls that run may take to finish once the server stops. */
const DRAIN_MS = 4_000;

/** How long statements that run may take after that: a commit that waits for a standby may never end. */
const STATEMENTS_END_MS = 2_000;

/** A door that is not open yet. */
const NO_LOAD: DoorLoad = { connections: 0, bodyBytes: 0, refusedHeaders: 0 };

const secureRandom: RandomBytes = (bytes) => randomFillSync(new Uint8Array(bytes));

/** Starts a server. Rejects with an error that says what to do; nothing is left running then. */
export async function startServer(config: Config, parts: ServerParts): Promise<RunningServer> {
  const teardown = new Teardown(parts.log);
  try {
    return await start(config, parts, teardown);
  } catch (error) {
    await teardown.run();
    throw error;
  }
}

async function start(config: Config, parts: ServerParts, teardown: Teardown): Promise<RunningServer> {
  const { log, random = secureRandom } = parts;
  const tls =
    config.tls === undefined ? undefined : await readTlsFiles(config.tls.certificateFile, config.tls.keyFile);
  const tracing = await openTracing(config, log);
  if (tracing !== undefined) teardown.add(() => tracing.stop());
  const connection = await connectionOf(config, parts, teardown);
  const database = await openMigratedDatabase(config, connection, { tracing, log, teardown });
  const keyFile = keyFileOf(config);
  const keys = await openServerKeys({ database, keyFile, random });
  const keyRefresh = new KeyRefresh({ database, keyFile, sealer: keys.sealer, log }, parts.keyRefreshMs);
  keyRefresh.start();
  teardown.add(() => keyRefresh.stop());
  const services = await openServices(config, parts, { database, keys, random, tracing, teardown });
  const { srp, feed, gate } = services;

  const readiness = new DatabaseReadiness(database.reads, parts.readinessMs ?? 2_000, log);
  database.whenFull(() => readiness.refusedWrite());
  const schedule = await openBackups(config, parts, { place: { connection, keyFile }, readiness, teardown });
  const doors: { grpc?: Door; http?: Door } = {};
  const measured = await openMetrics(config, parts, {
    doors: () => ({ grpc: doors.grpc?.load() ?? NO_LOAD, http: doors.http?.load() ?? NO_LOAD }),
    pools: () => database.load(),
    faults: () => database.faults(),
    databaseBytes: () => databaseSize(database),
    srp: () => srp.load(),
    watchers: () => feed.watcherCount,
    degradedSessions: () => gate.degradedSessions,
    isReady: () => readiness.isServing(),
    sessions: () => estimatedRows(database, 'login_sessions'),
    backups: schedule && (() => ({ last: schedule.last(), newestAt: schedule.newestAt() })),
  });
  if (measured !== undefined) teardown.add(() => measured.door.stop());
  const observed = measured === undefined ? services.rpcs : observedRpcs(services.rpcs, measured.metrics);
  const door = {
    rpcs: tracing === undefined ? observed : tracing.traced(observed),
    readiness,
    host: config.host,
    limits: doorLimitsOf(config),
    clients: clientAddressesOf(config),
    log,
    ...(tls === undefined ? {} : { tls }),
  };
  const grpc = await createGrpcDoor({ ...door, port: config.grpcPort, reflection: config.reflection });
  doors.grpc = grpc;
  teardown.add(() => grpc.stop(0));
  const http = await createHttpDoor({ ...door, port: config.httpPort, corsOrigins: config.corsOrigins });
  doors.http = http;
  teardown.add(() => http.stop(0));
  await readiness.start();
  const renewal =
    config.tls === undefined || tls === undefined
      ? undefined
      : new TlsRenewal(config.tls, {
          shown: tls,
          show: (identity) => {
            for (const each of [grpc, http]) each.renewTls(identity);
          },
          log,
        });
  renewal?.start();
  teardown.add(() => renewal?.stop());

  const stop = async (): Promise<void> => {
    readiness.stop();
    // Watches end by a sealed failure of their own before the doors cut what is left.
    await feed.endWatches(WATCHES_END_MS);
    await new Promise((resolve) => setTimeout(resolve, FLUSH_MS));
    await Promise.all([grpc.stop(DRAIN_MS), http.stop(DRAIN_MS)]);
    const late = setTimeout(() => database.abandon(), STATEMENTS_END_MS);
    // The last calls are over; their traces leave while everything else ends.
    await Promise.all([tracing?.stop(), teardown.run()]);
    clearTimeout(late);
  };
  let stopped: Promise<void> | undefined;
  return {
    grpcAddress: grpc.address,
    httpAddress: http.address,
    metricsAddress: measured?.door.address,
    dataDir: config.databaseUrl === undefined ? config.dataDir : undefined,
    isFirstStart: keys.isFirstStart,
    hasRecoveryCode: keys.hasRecoveryCode,
    makeRecoveryCode: () => makeRecoveryCode({ database, keyFile, random }),
    renewTls: async () => renewal?.run(),
    stop: () => {
      stopped ??= stop();
      return stopped;
    },
  };
}

/** The database of the configuration with all that this version wants of it. */
async function openMigratedDatabase(
  config: Config,
  connection: ConnectionOptions,
  { tracing, log, teardown }: { tracing: Tracing | undefined; log: Logger; teardown: Teardown },
): Promise<Database> {
  const database = await openDatabase({
    connection,
    poolSize: config.databasePoolSize,
    pgbouncer: config.pgbouncer,
    ...aroundOf(tracing),
    primaryOnly: true,
    onError: (error) => {
      // PostgreSQL tells the last idle connections that it ends, too.
      if (!teardown.hasBegun) log.warn({ err: error }, 'a database connection was lost');
    },
  });
  teardown.add(() => database.close());
  await migrate(database);
  return database;
}

/** What the services stand on. */
interface Foundation {
  readonly database: Database;
  readonly keys: ServerKeys;
  readonly random: RandomBytes;
  readonly tracing: Tracing | undefined;
  readonly teardown: Teardown;
}

/** The RPCs of all four services, and what stands behind them whose load is measured or whose end is awaited. */
interface Services {
  readonly rpcs: readonly Rpc[];
  readonly srp: SrpPool;
  readonly feed: RevisionFeed;
  readonly gate: RequestGate;
}

async function openServices(
  config: Config,
  parts: ServerParts,
  { database, keys, random, tracing, teardown }: Foundation,
): Promise<Services> {
  const { log } = parts;
  const { limits, registration, maxUsers } = config;
  const srp = new SrpPool({
    workers: config.srpWorkers,
    queueLimit: config.srpQueueLimit,
    log,
    ...aroundOf(tracing),
  });
  teardown.add(() => srp.stop());
  const ephemerals = new EphemeralStock({ srp, random, ...aroundOf(tracing) });
  teardown.add(() => ephemerals.stop());
  const feed = new RevisionFeed(database, log, parts.feedTimes ?? DEFAULT_FEED_TIMES);
  await feed.start();
  teardown.add(() => feed.stop());
  const sessionKeys = new SessionKeys(database.reads, keys.sealer);
  const gate = new RequestGate(database);
  const intervalMs = parts.housekeepingMs ?? 60_000;
  const housekeeping = new Housekeeping({ database, gate, sessionKeys, random, log, intervalMs });
  housekeeping.start();
  teardown.add(() => housekeeping.stop());

  const rateLimits = config.rateLimit
    ? new DatabaseRateLimits(database.reads, keys, config.srpQueueLimit)
    : NO_RATE_LIMITS;
  const decoys = new Decoys(keys, keys.sealer);
  const rules = new FieldRules(limits);
  const pipeline = { sessionKeys, gate, rules, turns: new UserTurns(), bulk: new BulkTurns(), log };
  const shared = { database, gate, feed, keys, sessionKeys, decoys, ephemerals, srp, rateLimits, random };
  const rpcs = [
    ...serviceRpcs(UserService, new UserHandler({ ...shared, registration, maxUsers }), pipeline),
    ...serviceRpcs(SessionService, new SessionHandler({ ...shared, limits }), pipeline),
    ...serviceRpcs(DataService, new DataHandler(gate, feed, limits), pipeline),
    ...serviceRpcs(PasswordService, new PasswordHandler(shared), pipeline),
  ];
  return { rpcs, srp, feed, gate };
}

/** The schedule of backups, started, whose state `readiness` tells from now on; undefined where there is none. */
async function openBackups(
  { backup }: Config,
  { log, worker = 0 }: ServerParts,
  { place, readiness, teardown }: { place: Place; readiness: DatabaseReadiness; teardown: Teardown },
): Promise<BackupSchedule | undefined> {
  // One process is enough for it.
  if (backup === undefined || worker !== 0) return undefined;
  const schedule = new BackupSchedule(backup, { place, log });
  readiness.alsoWarn(() => schedule.warning());
  readiness.alsoTell('backup', () => schedule.status());
  await schedule.start();
  teardown.add(() => schedule.stop());
  return schedule;
}

function doorLimitsOf({
  limits,
  host,
  proxyHeader,
  maxConnections,
  maxConnectionsPerNetwork,
}: Config): DoorLimits {
  // On loopback alone all peers are this machine, and a proxy among them perhaps, unless that tells whose connections they are.
  const isOneNetwork = isLoopback(host) && proxyHeader !== 'proxy-protocol';
  return {
    ...DEFAULT_DOOR_LIMITS,
    maxMessageBytes: limits.maxMessageBytes,
    maxBodyBytes: Math.max(DEFAULT_DOOR_LIMITS.maxBodyBytes, 16 * limits.maxMessageBytes),
    maxConnections,
    maxConnectionsPerNetwork: isOneNetwork ? maxConnections : maxConnectionsPerNetwork,
  };
}

/** What watches statements and arithmetic for traces: nothing without a collector. */
const aroundOf = (tracing: Tracing | undefined): { around?: Around } =>
  tracing === undefined ? {} : { around: tracing.around };

/** What is measured, and the door where Prometheus collects it; undefined without an address of it in the configuration. */
async function openMetrics(
  { metricsAddress }: Config,
  { log, worker = 0 }: ServerParts,
  sources: Omit<MetricSources, 'version'>,
): Promise<{ metrics: Metrics; door: MetricsDoor } | undefined> {
  if (metricsAddress === undefined) return undefined;
  const metrics = new Metrics(await import('prom-client'), {
    ...sources,
    version: packageOfProgram().version,
  });
  const { host, port } = metricsAddress;
  // Each process has numbers and a port of its own.
  const place = { host, port: port === 0 ? 0 : port + worker };
  return { metrics, door: await createMetricsDoor(place, metrics, log) };
}

/** What traces calls; undefined without a collector in the configuration, and then nothing of it is loaded. */
async function openTracing({ tracing }: Config, log: Logger): Promise<Tracing | undefined> {
  if (tracing === undefined) return undefined;
  const { startTracing } = await import('./tracing.ts');
  return startTracing(tracing, log);
}

/** Where the database of the configuration is, or the embedded one, started. */
async function connectionOf(
  config: Config,
  { log, worker }: ServerParts,
  teardown: Teardown,
): Promise<ConnectionOptions> {
  await mkdir(config.dataDir, { recursive: true, mode: 0o700 });
  if (config.databaseUrl !== undefined) return { connectionString: config.databaseUrl };
  if (worker !== undefined) {
    const { connection, close } = embeddedConnection(config.dataDir);
    teardown.add(close);
    return connection;
  }
  const postgres = await startEmbeddedPostgres({
    dataDir: config.dataDir,
    log,
    maxConnections: connectionsOf(config),
  });
  teardown.add(() => postgres.stop());
  return postgres.connection;
}
