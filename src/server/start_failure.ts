/** Why a server did not start, for the one who started it: what went wrong, which setting it is about, and what to do. */
import { resolve, sep } from 'node:path';
import { DatabaseFault, toFault } from '../database/sqlstate.ts';
import type { Config } from './config.ts';
import { authorityOf } from './door.ts';

type Settings = Pick<
  Config,
  | 'host'
  | 'grpcPort'
  | 'httpPort'
  | 'metricsAddress'
  | 'workers'
  | 'dataDir'
  | 'keyFile'
  | 'logFile'
  | 'backup'
  | 'databaseUrl'
>;

interface SystemError extends NodeJS.ErrnoException {
  readonly address?: string;
  readonly port?: number;
  readonly dest?: string;
}

/**
 * The message for an error of the system or the database; undefined for one that says by itself what to do, or that only a
 * developer understands. Names no password: of a database's URL it says nothing.
 */
export function explainStartFailure(error: unknown, settings: Settings): string | undefined {
  const { code, syscall, path } = error as SystemError;
  if (syscall === 'listen' || syscall === 'bind' || syscall === 'getaddrinfo')
    return addressProblem(error as SystemError, settings);
  return code === undefined || path === undefined
    ? explainDatabaseFailure(error, settings)
    : pathProblem(code, path, settings);
}

/** The message for a database that is out of reach, lets nobody in or takes no writes; undefined for any other error. */
export function explainDatabaseFailure(
  error: unknown,
  { databaseUrl, dataDir }: Pick<Settings, 'databaseUrl' | 'dataDir'>,
): string | undefined {
  const fault = databaseFaultOf(error);
  if (fault === undefined) return undefined;
  const { address, port } = systemCause(fault) ?? {};
  const isEmbedded = databaseUrl === undefined && port === undefined;
  const name =
    databaseUrl !== undefined
      ? 'the database of PASSMANAGER_DATABASE_URL'
      : port === undefined
        ? 'the database'
        : `the database at ${address}:${port}`;
  const refusal = REFUSALS.get(fault.sqlState ?? '');
  if (refusal !== undefined) return `${name} ${refusal} (SQLSTATE ${fault.sqlState})`;
  switch (fault.kind) {
    case 'outage': {
      if (isEmbedded) return embeddedProblem(dataDir);
      const code = fault.sqlState ?? systemCause(fault)?.code;
      return `${name} cannot be reached${code === undefined ? '' : ` (${code})`}: is it running, and is the address right?`;
    }
    case 'lost':
      return isEmbedded
        ? embeddedProblem(dataDir)
        : `${name} went away meanwhile: see its log, and whether what you wanted was done`;
    case 'full':
      return `${name} takes no writes: its disk is full, or it is read-only`;
    default:
      return undefined;
  }
}

const embeddedProblem = (dataDir: string): string =>
  `the embedded PostgreSQL does not answer: what it says is in ${dataDir}/postgres/postgres.log`;

/** The fault that an error of the driver is, raw or not. */
function databaseFaultOf(error: unknown): DatabaseFault | undefined {
  if (error instanceof DatabaseFault) return error;
  const { code, syscall } = error as SystemError;
  if (syscall === 'connect' || syscall === 'getaddrinfo') return toFault(error, false);
  // A name that has several addresses: one error for all.
  if (error instanceof AggregateError && code !== undefined)
    return toFault(error.errors.at(-1) ?? error, false);
  return REFUSALS.has(code ?? '') ? toFault(error, false) : undefined;
}

/** SQLSTATEs of a database that lets nobody in. */
const REFUSALS: ReadonlyMap<string, string> = new Map([
  ['28P01', 'refuses the password'],
  ['28000', 'refuses this user'],
  ['3D000', 'has no database of that name'],
  ['42501', 'does not let this user make tables'],
  ['53300', 'has no connection left'],
]);

function addressProblem(error: SystemError, settings: Settings): string | undefined {
  const { code, port } = error;
  const [host, name] = listenerOf(error, settings);
  switch (code) {
    case 'EADDRINUSE':
      return `${authorityOf({ host, port: port ?? 0 })} is taken: stop what listens there, another passmanager perhaps, or set ${name}`;
    case 'EACCES':
      return `${authorityOf({ host, port: port ?? 0 })} may not be listened on by this user: set ${name} to 1024 or more`;
    case 'EADDRNOTAVAIL':
    case 'ENOTFOUND':
    case 'EAI_AGAIN':
      return name === METRICS
        ? `${METRICS} begins with ${host}, which is no address of this machine`
        : `PASSMANAGER_HOST is ${host}, which is no address of this machine: set it to one, or to 0.0.0.0 for all`;
    default:
      return undefined;
  }
}

const METRICS = 'PASSMANAGER_METRICS_ADDRESS';

/** The host of what could not listen, and the setting of its port. */
function listenerOf({ address, port = -1 }: SystemError, settings: Settings): readonly [string, string] {
  const { host, grpcPort, httpPort, metricsAddress, workers } = settings;
  if (metricsAddress !== undefined && port >= metricsAddress.port && port < metricsAddress.port + workers) {
    const isDoor = (port === grpcPort || port === httpPort) && address === host;
    if (!isDoor) return [metricsAddress.host, METRICS];
  }
  return [host, port === httpPort ? 'PASSMANAGER_HTTP_PORT' : 'PASSMANAGER_GRPC_PORT'];
}

function pathProblem(code: string, path: string, settings: Settings): string | undefined {
  const [name, place, kind] = placeOf(path, settings);
  const another = `choose another ${kind} by ${name}`;
  switch (code) {
    case 'EACCES':
    case 'EPERM':
      return `${path} is closed to this user: give it access, or ${another}`;
    case 'EROFS':
      return `${path} cannot be written, its file system is read-only: ${another}`;
    case 'ENOENT':
      return `${path} cannot be made, since the directory that it is to be in is not there: make that, or ${another}`;
    case 'EISDIR':
      return `${name} is ${place}, and ${path} is a directory: ${another}`;
    case 'EEXIST':
    case 'ENOTDIR':
      return `${name} is ${place}, and ${path} is no directory: ${another}`;
    case 'ENOSPC':
    case 'EDQUOT':
      return `the disk of ${path} is full: make room, or ${another}`;
    default:
      return undefined;
  }
}

/** The setting that a path is of, with its value and what it names. */
function placeOf(
  path: string,
  { dataDir, keyFile, logFile, backup }: Settings,
): readonly [string, string, string] {
  const places: readonly (readonly [string, string | undefined, string])[] = [
    ['PASSMANAGER_LOG_FILE', logFile, 'file'],
    ['PASSMANAGER_BACKUP_DIR', backup?.directory, 'directory'],
    ['PASSMANAGER_KEY_FILE', keyFile, 'file'],
    ['PASSMANAGER_DATA_DIR', dataDir, 'directory'],
  ];
  const given = places.filter((place): place is readonly [string, string, string] => place[1] !== undefined);
  // Files beside a file have its name and more: of another process, unfinished.
  const within = given.find(([, place, kind]) =>
    kind === 'file' ? resolve(path).startsWith(resolve(place)) : isWithin(path, place),
  );
  return within ?? given.findLast(([, place]) => isWithin(place, path)) ?? given.at(-1)!;
}

const isWithin = (path: string, directory: string): boolean =>
  `${resolve(path)}${sep}`.startsWith(`${resolve(directory)}${sep}`);

/** The error of the system among the causes of an error. */
function systemCause(error: unknown): SystemError | undefined {
  for (let cause = error; cause instanceof Error; cause = cause.cause) {
    const of = cause instanceof AggregateError ? (cause.errors.at(-1) ?? cause) : cause;
    if (typeof (of as SystemError).code === 'string') return of as SystemError;
  }
  return undefined;
}
