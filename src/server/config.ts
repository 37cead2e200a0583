/** The configuration: one table of settings, and a pure function that reads it. Where the texts come from: config_sources.ts. */
import { availableParallelism } from 'node:os';
import { join } from 'node:path';
import { PASSPHRASE_CHARACTERS } from '../database/backup/backup_seal.ts';
import type { ProxyHeader } from './client_address.ts';
import { LOG_LEVELS, type LogLevel } from './log.ts';
import { LOG_FILE_MEGABYTES, LOG_FILES_KEPT } from './log_file.ts';
import {
  checked,
  databaseUrl,
  host,
  hostAndPort,
  httpUrl,
  integer,
  networks,
  oneOf,
  onOff,
  origins,
  path,
  RefusedValue,
  ratio,
  type ValueKind,
} from './setting_values.ts';

/** What the server is told from outside. Sizes in bytes. */
export interface Config {
  readonly host: string;
  readonly grpcPort: number;
  readonly httpPort: number;
  readonly dataDir: string;
  readonly databaseUrl: string | undefined;
  readonly databasePoolSize: number;
  readonly pgbouncer: boolean;
  /** None: in the data directory; keyFileOf knows where. */
  readonly keyFile: string | undefined;
  readonly tls: { readonly certificateFile: string; readonly keyFile: string } | undefined;
  readonly corsOrigins: readonly string[];
  readonly reflection: boolean;
  readonly logLevel: LogLevel;
  /** None: stderr. */
  readonly logFile: string | undefined;
  /** Where Prometheus collects; none: nothing is measured. */
  readonly metricsAddress: { readonly host: string; readonly port: number } | undefined;
  /** None: no call is traced. */
  readonly tracing: TracingSettings | undefined;
  readonly registration: Registration;
  /** Processes that share the ports. */
  readonly workers: number;
  readonly srpWorkers: number;
  readonly srpQueueLimit: number;
  readonly maxConnections: number;
  readonly maxConnectionsPerNetwork: number;
  /** In CIDR notation. */
  readonly trustedProxies: readonly string[];
  readonly proxyHeader: ProxyHeader;
  readonly maxUsers: number | undefined;
  readonly rateLimit: boolean;
  /** None: no backups are scheduled. */
  readonly backup: BackupSettings | undefined;
  readonly limits: Limits;
}

/** Who may make an account: everybody, who has an invite, or nobody. */
export type Registration = 'open' | 'invite' | 'closed';

/** Traces of calls, for a collector that speaks OTLP over HTTP. */
export interface TracingSettings {
  /** Its address, without the path of the signal. May hold a name and a password. */
  readonly endpoint: string;
  /** The part of all calls that is traced, from 0 to 1. */
  readonly sampleRatio: number;
}

/** Backups that the server makes by itself. */
export interface BackupSettings {
  readonly directory: string;
  readonly passphrase: string;
  readonly intervalHours: number;
  readonly keep: number;
  /** A program that is run with the path of each backup. */
  readonly command: string | undefined;
}

/** The limits of the contract. */
export interface Limits {
  readonly maxEntryNameBytes: number;
  readonly maxEntryDataBytes: number;
  readonly maxEntriesPerUser: number;
  readonly maxSessionsPerUser: number;
  readonly maxMessageBytes: number;
  readonly maxBatchEntries: number;
  readonly maxPageSize: number;
  readonly defaultPageSize: number;
  readonly defaultMaximumRequests: number;
  readonly defaultExpirySeconds: number;
  readonly capMaximumRequests: number | undefined;
  readonly capExpirySeconds: number | undefined;
}

/** The path of the key file: that of its setting, or `key` in the data directory. */
export const keyFileOf = ({ dataDir, keyFile }: Pick<Config, 'dataDir' | 'keyFile'>): string =>
  keyFile ?? join(dataDir, 'key');

/** Settings that are not good, all at once. */
export class ConfigError extends Error {
  readonly problems: readonly string[];

  constructor(problems: readonly string[]) {
    super(`the configuration is not good:\n${problems.map((problem) => `  ${problem}`).join('\n')}`);
    this.name = 'ConfigError';
    this.problems = problems;
  }
}

/** What a process ends with for settings that are not good (EX_CONFIG of sysexits.h): starting it again does not help. */
export const EXIT_BAD_CONFIGURATION = 78;

/** One setting. */
export interface Setting<T = unknown> {
  /** Of the environment variable. */
  readonly name: string;
  /** In the configuration file. */
  readonly key: string;
  /** Never shown; may be given as the path of a file that holds it, by the name with _FILE. */
  readonly secret: boolean;
  /** As the document prints it; none: empty. */
  readonly byDefault: string;
  readonly allowed: string;
  readonly description: string;
  /** Throws RefusedValue. */
  readonly parse: (text: string) => T;
}

const setting = <T>(
  name: string,
  byDefault: string,
  description: string,
  { allowed, parse }: ValueKind<T>,
  secret = false,
): Setting<T> => ({
  name: `PASSMANAGER_${name}`,
  key: name.toLowerCase(),
  secret,
  byDefault,
  allowed,
  description,
  parse,
});

/** Every setting, in the order of the document. */
export const SETTINGS = {
  host: setting('HOST', '127.0.0.1', 'The address that both doors listen on.', host),
  grpcPort: setting(
    'GRPC_PORT',
    '50051',
    'The port of the gRPC door; 0 takes a free one.',
    integer(0, 65_535),
  ),
  httpPort: setting(
    'HTTP_PORT',
    '8080',
    'The port of the Connect, gRPC-Web and HTTP door; 0 takes a free one.',
    integer(0, 65_535),
  ),
  dataDir: setting('DATA_DIR', './data', 'Where the embedded database and the key file are.', path),
  databaseUrl: setting(
    'DATABASE_URL',
    '',
    'A PostgreSQL of your own, 14 or newer. None: the embedded one.',
    databaseUrl,
    true,
  ),
  databasePoolSize: setting(
    'DATABASE_POOL_SIZE',
    '10',
    'Connections for writes; half as many more are for reads.',
    integer(1, 200),
  ),
  pgbouncer: setting(
    'PGBOUNCER',
    'off',
    'Whether the database is reached through PgBouncer in transaction mode.',
    onOff,
  ),
  keyFile: setting(
    'KEY_FILE',
    '',
    'The key file. None: `key` in the data directory. Replicas share one.',
    path,
  ),
  tlsCertificateFile: setting(
    'TLS_CERT_FILE',
    '',
    'The certificate chain (PEM) for both doors. It is read again each minute, and at SIGHUP.',
    path,
  ),
  tlsKeyFile: setting('TLS_KEY_FILE', '', 'The private key (PEM) of the certificate.', path),
  insecure: setting(
    'INSECURE',
    'off',
    'Allows clear text on an address other than loopback: for use behind a proxy that does TLS.',
    onOff,
  ),
  corsOrigins: setting('CORS_ORIGINS', '', 'Origins whose pages may call the HTTP door.', origins),
  reflection: setting('REFLECTION', 'off', 'Server reflection on the gRPC door.', onOff),
  logLevel: setting(
    'LOG_LEVEL',
    'info',
    'What is logged. SIGUSR2 raises it to debug while the server runs, and takes it back.',
    oneOf(...LOG_LEVELS),
  ),
  logFile: setting(
    'LOG_FILE',
    '',
    `Where the log goes: a file that is rotated at ${LOG_FILE_MEGABYTES} MB, with ${LOG_FILES_KEPT} older ones. None: stderr.`,
    path,
  ),
  metricsAddress: setting(
    'METRICS_ADDRESS',
    '',
    'Where Prometheus collects GET /metrics. None: nothing is measured.',
    hostAndPort,
  ),
  otlpEndpoint: setting(
    'OTLP_ENDPOINT',
    '',
    'Where traces of calls go: an OpenTelemetry collector that takes OTLP over HTTP. None: no call is traced.',
    httpUrl,
    true,
  ),
  traceSampleRatio: setting(
    'TRACE_SAMPLE_RATIO',
    '1',
    'The part of all calls that is traced, where there is an endpoint.',
    ratio,
  ),
  registration: setting(
    'REGISTRATION',
    'open on loopback without trusted proxies, else invite',
    'Who may make an account: anybody, whoever has an invite, nobody.',
    oneOf<Registration>('open', 'invite', 'closed'),
  ),
  workers: setting(
    'WORKERS',
    '1',
    'Processes that share the ports. More than one is for machines with more than two cores.',
    integer(1, 64),
  ),
  srpWorkers: setting(
    'SRP_WORKERS',
    'cores, at most 2 in all',
    'Threads of each process for the arithmetic of log-ins.',
    integer(1, 64),
  ),
  srpQueueLimit: setting(
    'SRP_QUEUE_LIMIT',
    '256',
    'Log-ins that may wait for a thread; more are refused with RQS03.',
    integer(1, 100_000),
  ),
  maxConnections: setting('MAX_CONNECTIONS', '1024', 'Open connections of each door.', integer(1, 1_000_000)),
  maxConnectionsPerNetwork: setting(
    'MAX_CONNECTIONS_PER_NETWORK',
    '256',
    'Open connections of each door from one network: an IPv4 address, a /64 of IPv6. Trusted proxies have no such limit, and nobody has while the server listens on loopback alone, unless they tell by the PROXY protocol.',
    integer(1, 1_000_000),
  ),
  trustedProxies: setting(
    'TRUSTED_PROXIES',
    '',
    'Networks of proxies whose header tells the client’s address. None: the address of the connection counts.',
    networks,
  ),
  proxyHeader: setting(
    'PROXY_HEADER',
    'x-forwarded-for',
    'The header that the trusted proxies write; the others are not read. With `proxy-protocol` (version 1 or 2) each of their connections to either door must begin with one.',
    oneOf<ProxyHeader>('x-forwarded-for', 'forwarded', 'proxy-protocol'),
  ),
  maxUsers: setting('MAX_USERS', '', 'Accounts in all. None: as many as come.', integer(1, 1_000_000_000)),
  rateLimit: setting(
    'RATE_LIMIT',
    'on',
    'Limits on how often public calls may be made: 300 handshakes a minute for a network, 30 failed log-ins for a name and network. `off` is for tests and benchmarks.',
    onOff,
  ),
  backupDir: setting(
    'BACKUP_DIR',
    '',
    'Where the server writes backups by itself. None: it makes none. One replica is enough.',
    path,
  ),
  backupPassphrase: setting(
    'BACKUP_PASSPHRASE',
    '',
    `What these backups are sealed with: ${PASSPHRASE_CHARACTERS} characters at least.`,
    checked(`${PASSPHRASE_CHARACTERS} characters or more`, (text) =>
      [...text].length >= PASSPHRASE_CHARACTERS ? text : undefined,
    ),
    true,
  ),
  backupIntervalHours: setting(
    'BACKUP_INTERVAL_HOURS',
    '24',
    'Hours from one backup to the next.',
    integer(1, 8_760),
  ),
  backupKeep: setting(
    'BACKUP_KEEP',
    '7',
    'How many of them are kept; older ones are deleted.',
    integer(1, 10_000),
  ),
  backupCommand: setting(
    'BACKUP_COMMAND',
    '',
    'A program that is run after each, with the path of the backup as its one argument: to copy it elsewhere.',
    path,
  ),
  maxEntryNameBytes: setting(
    'MAX_ENTRY_NAME_BYTES',
    '1024',
    'Padded plaintext of an entry name, in bytes.',
    integer(64, 65_536),
  ),
  maxEntryDataBytes: setting(
    'MAX_ENTRY_DATA_BYTES',
    '65536',
    'Padded plaintext of an entry’s data, in bytes.',
    integer(256, 1_048_576),
  ),
  maxEntriesPerUser: setting('MAX_ENTRIES_PER_USER', '10000', 'Entries of one user.', integer(1, 1_000_000)),
  maxSessionsPerUser: setting(
    'MAX_SESSIONS_PER_USER',
    '64',
    'Log-in sessions of one user; one more ends the one used longest ago.',
    integer(1, 10_000),
  ),
  maxMessageBytes: setting(
    'MAX_MESSAGE_BYTES',
    '4194304',
    'One message on either door, in bytes.',
    integer(4_194_304, 67_108_864),
  ),
  maxBatchEntries: setting('MAX_BATCH_ENTRIES', '500', 'Entries of one batch.', integer(1, 10_000)),
  maxPageSize: setting('MAX_PAGE_SIZE', '1000', 'Entries of one page.', integer(1, 10_000)),
  defaultPageSize: setting(
    'DEFAULT_PAGE_SIZE',
    '100',
    'Entries of a page when none is asked for; never more than the most.',
    integer(1, 10_000),
  ),
  defaultMaximumRequests: setting(
    'DEFAULT_MAXIMUM_REQUESTS',
    '100',
    'Requests of a session when none is asked for.',
    integer(1, 4_294_967_296),
  ),
  defaultExpirySeconds: setting(
    'DEFAULT_EXPIRY_SECONDS',
    '3600',
    'Seconds of a session when none is asked for.',
    integer(1, 4_294_967_296),
  ),
  capMaximumRequests: setting(
    'CAP_MAXIMUM_REQUESTS',
    '',
    'The most requests of any session. None: no cap.',
    integer(1, 4_294_967_296),
  ),
  capExpirySeconds: setting(
    'CAP_EXPIRY_SECONDS',
    '',
    'The most seconds of any session. None: no cap.',
    integer(1, 4_294_967_296),
  ),
} as const satisfies Record<string, Setting>;

type Key = keyof typeof SETTINGS;
type Value<K extends Key> = ReturnType<(typeof SETTINGS)[K]['parse']>;

const settingOf = <K extends Key>(key: K): Setting<Value<K>> => SETTINGS[key] as Setting<Value<K>>;

/** Names with this prefix are the tests', no settings of the server. */
const TEST_PREFIX = 'PASSMANAGER_TEST_';

/** Whether an address is this machine alone. */
export function isLoopback(host: string): boolean {
  return host === 'localhost' || host === '::1' || /^127(\.\d{1,3}){3}$/.test(host);
}

/** Whether others than who is on this machine reach the server: by its address, or through a proxy. */
export function isReached({ host, trustedProxies }: Pick<Config, 'host' | 'trustedProxies'>): boolean {
  return !isLoopback(host) || trustedProxies.length > 0;
}

/**
 * The configuration of texts by the names of their variables. `labels`: what a message calls a setting, by name, where that
 * is not its name. Throws ConfigError with everything that is wrong and what is allowed instead.
 */
export function loadConfig(
  texts: Readonly<Record<string, string | undefined>>,
  labels: ReadonlyMap<string, string> = new Map(),
): Config {
  const problems: string[] = [];
  const known = new Set(Object.values(SETTINGS).map(({ name }) => name));
  for (const name of Object.keys(texts)) {
    if (name.startsWith('PASSMANAGER_') && !known.has(name) && !name.startsWith(TEST_PREFIX)) {
      problems.push(`${name} is not a setting (docs/configuration.md lists them)`);
    }
  }
  const read = <K extends Key, F>(key: K, fallback: F): Value<K> | F => {
    const { name, parse } = settingOf(key);
    const text = texts[name];
    if (text === undefined || text === '') return fallback;
    try {
      return parse(text);
    } catch (error) {
      if (!(error instanceof RefusedValue)) throw error;
      problems.push(`${labels.get(name) ?? name} takes ${error.message}`);
      return fallback;
    }
  };
  const preset = <K extends Key>(key: K): Value<K> => {
    const { parse, byDefault } = settingOf(key);
    return read(key, parse(byDefault));
  };

  const host = preset('host');
  const certificateFile = read('tlsCertificateFile', undefined);
  const tlsKeyFile = read('tlsKeyFile', undefined);
  if ((certificateFile === undefined) !== (tlsKeyFile === undefined)) {
    problems.push('PASSMANAGER_TLS_CERT_FILE and PASSMANAGER_TLS_KEY_FILE go together');
  }
  const tls =
    certificateFile === undefined || tlsKeyFile === undefined
      ? undefined
      : { certificateFile, keyFile: tlsKeyFile };
  const insecure = preset('insecure');
  if (!isLoopback(host) && tls === undefined && !insecure) {
    problems.push(
      `PASSMANAGER_HOST is not loopback: set PASSMANAGER_TLS_CERT_FILE and PASSMANAGER_TLS_KEY_FILE, or PASSMANAGER_INSECURE=on behind a proxy that does TLS`,
    );
  }
  const backupDir = read('backupDir', undefined);
  const backupPassphrase = read('backupPassphrase', undefined);
  if ((backupDir === undefined) !== (backupPassphrase === undefined)) {
    problems.push(
      'PASSMANAGER_BACKUP_DIR and PASSMANAGER_BACKUP_PASSPHRASE (or PASSMANAGER_BACKUP_PASSPHRASE_FILE) go together',
    );
  }
  const backupTimes = {
    intervalHours: preset('backupIntervalHours'),
    keep: preset('backupKeep'),
    command: read('backupCommand', undefined),
  };
  const otlpEndpoint = read('otlpEndpoint', undefined);
  const sampleRatio = preset('traceSampleRatio');
  const workers = preset('workers');
  const trustedProxies = read('trustedProxies', []);
  const maxPageSize = preset('maxPageSize');
  const config: Config = {
    host,
    grpcPort: preset('grpcPort'),
    httpPort: preset('httpPort'),
    dataDir: preset('dataDir'),
    databaseUrl: read('databaseUrl', undefined),
    databasePoolSize: preset('databasePoolSize'),
    pgbouncer: preset('pgbouncer'),
    keyFile: read('keyFile', undefined),
    tls,
    corsOrigins: read('corsOrigins', []),
    reflection: preset('reflection'),
    logLevel: preset('logLevel'),
    logFile: read('logFile', undefined),
    metricsAddress: read('metricsAddress', undefined),
    tracing: otlpEndpoint === undefined ? undefined : { endpoint: otlpEndpoint, sampleRatio },
    registration: read('registration', isReached({ host, trustedProxies }) ? 'invite' : 'open'),
    workers,
    srpWorkers: read('srpWorkers', Math.max(1, Math.floor(Math.min(2, availableParallelism()) / workers))),
    srpQueueLimit: preset('srpQueueLimit'),
    maxConnections: preset('maxConnections'),
    maxConnectionsPerNetwork: preset('maxConnectionsPerNetwork'),
    trustedProxies,
    proxyHeader: preset('proxyHeader'),
    maxUsers: read('maxUsers', undefined),
    rateLimit: preset('rateLimit'),
    backup:
      backupDir === undefined || backupPassphrase === undefined
        ? undefined
        : { directory: backupDir, passphrase: backupPassphrase, ...backupTimes },
    limits: {
      maxEntryNameBytes: preset('maxEntryNameBytes'),
      maxEntryDataBytes: preset('maxEntryDataBytes'),
      maxEntriesPerUser: preset('maxEntriesPerUser'),
      maxSessionsPerUser: preset('maxSessionsPerUser'),
      maxMessageBytes: preset('maxMessageBytes'),
      maxBatchEntries: preset('maxBatchEntries'),
      maxPageSize,
      defaultPageSize: Math.min(preset('defaultPageSize'), maxPageSize),
      defaultMaximumRequests: preset('defaultMaximumRequests'),
      defaultExpirySeconds: preset('defaultExpirySeconds'),
      capMaximumRequests: read('capMaximumRequests', undefined),
      capExpirySeconds: read('capExpirySeconds', undefined),
    },
  };
  problems.push(...contradictions(config));
  if (problems.length > 0) throw new ConfigError(problems);
  return config;
}

/** Settings that are good by themselves, but not together. */
function contradictions(config: Config): string[] {
  const { host, grpcPort, httpPort, metricsAddress, proxyHeader, trustedProxies } = config;
  const problems: string[] = [];
  if (grpcPort === httpPort && grpcPort !== 0)
    problems.push('PASSMANAGER_GRPC_PORT and PASSMANAGER_HTTP_PORT take two different ports');
  if (
    metricsAddress !== undefined &&
    metricsAddress.host === host &&
    metricsAddress.port !== 0 &&
    [grpcPort, httpPort].includes(metricsAddress.port)
  )
    problems.push('PASSMANAGER_METRICS_ADDRESS takes another port than those of the doors');
  if (proxyHeader === 'proxy-protocol' && trustedProxies.length === 0)
    problems.push(
      'PASSMANAGER_PROXY_HEADER=proxy-protocol takes PASSMANAGER_TRUSTED_PROXIES: the header is read of these alone',
    );
  return problems;
}
