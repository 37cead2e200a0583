/**
 * What a server measures of itself, for Prometheus. Labels are names of RPCs, codes, doors and pools: never a name, an id or
 * an address of anybody. docs/monitoring.md lists them.
 */
import type * as PrometheusClient from 'prom-client';
import type { PoolLoad } from '../database/connection_pool.ts';
import type { BackupOutcome } from './backup_schedule.ts';
import type { DoorLoad } from './door.ts';
import type { RpcObserver } from './observed_rpcs.ts';

/** Where the numbers come from; asked when somebody collects them. */
export interface MetricSources {
  readonly version: string;
  readonly doors: () => Readonly<Record<'grpc' | 'http', DoorLoad>>;
  readonly pools: () => Readonly<Record<'writes' | 'reads', PoolLoad>>;
  readonly srp: () => {
    readonly queued: number;
    readonly busy: number;
    readonly threads: number;
    readonly most: number;
  };
  readonly watchers: () => number;
  readonly degradedSessions: () => number;
  readonly isReady: () => boolean;
  /** Of the database, by kind. */
  readonly faults: () => ReadonlyMap<string, number>;
  /** What the database takes on its disk. Rejects where it does not answer. */
  readonly databaseBytes: () => Promise<number>;
  /** Rows of login_sessions, about. Rejects where the database does not answer. */
  readonly sessions: () => Promise<number>;
  readonly backups:
    | (() => { readonly last: BackupOutcome | undefined; readonly newestAt: Date | undefined })
    | undefined;
}

/** Seconds: a sealed read takes one or two milliseconds, a log-in ten. */
const BUCKETS = [0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 10];

/** Counts calls as it is told of them, and asks its sources whenever somebody collects. */
export class Metrics implements RpcObserver {
  readonly #registry: PrometheusClient.Registry;
  readonly #durations: PrometheusClient.Histogram<'rpc' | 'outcome'>;
  readonly #streams: PrometheusClient.Counter<'rpc' | 'outcome'>;
  readonly #openStreams: PrometheusClient.Gauge<'rpc'>;

  /** `client`: the library, loaded by those alone who want it. */
  constructor(client: typeof PrometheusClient, sources: MetricSources) {
    this.#registry = new client.Registry();
    const registers = [this.#registry];
    client.collectDefaultMetrics({ register: this.#registry });
    this.#durations = new client.Histogram({
      name: 'passmanager_rpc_duration_seconds',
      help: 'Time from a parsed request to its answer, by RPC and outcome.',
      labelNames: ['rpc', 'outcome'],
      buckets: BUCKETS,
      registers,
    });
    this.#streams = new client.Counter({
      name: 'passmanager_rpc_streams_total',
      help: 'Streams that have ended, by RPC and outcome.',
      labelNames: ['rpc', 'outcome'],
      registers,
    });
    this.#openStreams = new client.Gauge({
      name: 'passmanager_rpc_streams_open',
      help: 'Streams that are open, by RPC.',
      labelNames: ['rpc'],
      registers,
    });
    const gauge = <L extends string>(
      name: string,
      help: string,
      labelNames: readonly L[],
      collect: (set: (value: number, labels?: Partial<Record<L, string>>) => void) => Promise<void> | void,
    ): void => {
      new client.Gauge({
        name: `passmanager_${name}`,
        help,
        labelNames,
        registers,
        async collect() {
          await collect((value, labels) =>
            labels === undefined ? this.set(value) : this.set(labels as never, value),
          );
        },
      });
    };

    gauge('build_info', 'Always 1; the version is a label.', ['version', 'node'], (set) =>
      set(1, { version: sources.version, node: process.versions.node }),
    );
    gauge('ready', '1 while the database answers, else 0.', [], (set) => set(sources.isReady() ? 1 : 0));
    gauge('connections_open', 'Open connections of a door.', ['door'], (set) => {
      for (const [door, { connections }] of Object.entries(sources.doors()))
        set(connections, { door: door as 'door' });
    });
    gauge('request_body_bytes', 'Request bodies that a door holds.', ['door'], (set) => {
      for (const [door, { bodyBytes }] of Object.entries(sources.doors()))
        set(bodyBytes, { door: door as 'door' });
    });
    new client.Counter({
      name: 'passmanager_proxy_headers_refused_total',
      help: 'Connections of trusted proxies that ended without a valid header of the PROXY protocol.',
      labelNames: ['door'],
      registers,
      collect() {
        this.reset();
        for (const [door, { refusedHeaders }] of Object.entries(sources.doors()))
          this.inc({ door }, refusedHeaders);
      },
    });
    gauge(
      'database_connections',
      'Connections to the database, by pool and state.',
      ['pool', 'state'],
      (set) => {
        for (const [pool, load] of Object.entries(sources.pools()))
          for (const [state, value] of Object.entries(load)) set(value, { pool, state });
      },
    );
    new client.Counter({
      name: 'passmanager_database_faults_total',
      help: 'Attempts at statements and transactions that failed, by kind.',
      labelNames: ['kind'],
      registers,
      collect() {
        this.reset();
        for (const [kind, count] of sources.faults()) this.inc({ kind }, count);
      },
    });
    gauge('database_bytes', 'Tables and indexes of the database.', [], async (set) => {
      await sources.databaseBytes().then(set, () => {});
    });
    gauge('login_queue_length', 'Log-ins that wait for a thread.', [], (set) => set(sources.srp().queued));
    gauge('login_threads', 'Threads for the arithmetic of log-ins, by state.', ['state'], (set) => {
      const { busy, threads, most } = sources.srp();
      set(busy, { state: 'busy' });
      set(threads - busy, { state: 'idle' });
      set(most, { state: 'most' });
    });
    gauge('watches_open', 'Open watches of entries.', [], (set) => set(sources.watchers()));
    gauge(
      'degraded_sessions',
      'Sessions whose requests are counted in memory since the database takes no writes.',
      [],
      (set) => set(sources.degradedSessions()),
    );
    gauge('sessions', 'Open sessions of all servers, by the estimate of the database.', [], async (set) => {
      await sources.sessions().then(set, () => {});
    });
    if (sources.backups !== undefined) {
      const { backups } = sources;
      gauge(
        'backup_newest_timestamp_seconds',
        'When the newest scheduled backup was made; 0: there is none.',
        [],
        (set) => set((backups().newestAt?.getTime() ?? 0) / 1_000),
      );
      gauge('backup_failed', '1 when the last scheduled backup failed, else 0.', [], (set) =>
        set(backups().last?.ok === false ? 1 : 0),
      );
      gauge('backup_bytes', 'Size of the last scheduled backup of this process.', [], (set) =>
        set(backups().last?.bytes ?? 0),
      );
      gauge('backup_duration_seconds', 'What the last scheduled backup took.', [], (set) =>
        set((backups().last?.milliseconds ?? 0) / 1_000),
      );
    }
  }

  ended(path: string, seconds: number, outcome: string): void {
    this.#durations.observe({ rpc: nameOf(path), outcome }, seconds);
  }

  streamOpened(path: string): void {
    this.#openStreams.inc({ rpc: nameOf(path) });
  }

  streamEnded(path: string, outcome: string): void {
    this.#openStreams.dec({ rpc: nameOf(path) });
    this.#streams.inc({ rpc: nameOf(path), outcome });
  }

  /** Everything in the text format of Prometheus, and its content type. */
  async collected(): Promise<{ contentType: string; text: string }> {
    return { contentType: this.#registry.contentType, text: await this.#registry.metrics() };
  }
}

/** `DataService/GetEntry`. */
const nameOf = (path: string): string => path.slice(path.lastIndexOf('.') + 1);
