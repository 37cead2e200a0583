/** Why a server did not start, for the one who started it: what went wrong, which setting it is about, and what to do. */
import { DatabaseFault } from '../database/sqlstate.ts';
import type { Config } from './config.ts';

type Settings = Pick<Config, 'host' | 'grpcPort' | 'httpPort' | 'dataDir' | 'databaseUrl'>;

/**
 * The message for an error of the system or the database; undefined for one that says by itself what to do, or that only a
 * developer understands. Names no password: of a database's URL it says nothing.
 */
export function explainStartFailure(error: unknown, settings: Settings): string | undefined {
  if (error instanceof DatabaseFault) return databaseProblem(error, settings);
  const { code, syscall, port, path } = error as NodeJS.ErrnoException & { port?: number };
  if (code === undefined) return undefined;
  if (syscall === 'listen' || syscall === 'bind' || syscall === 'getaddrinfo') {
    return addressProblem(code, port, settings);
  }
  return path === undefined ? undefined : pathProblem(code, path, settings);
}

function addressProblem(code: string, port: number | undefined, settings: Settings): string | undefined {
  const { host, httpPort } = settings;
  const name = port === httpPort ? 'PASSMANAGER_HTTP_PORT' : 'PASSMANAGER_GRPC_PORT';
  switch (code) {
    case 'EADDRINUSE':
      return `${host}:${port} is taken: stop what listens there, another passmanager perhaps, or set ${name}`;
    case 'EACCES':
      return `${host}:${port} may not be listened on by this user: set ${name} to 1024 or more`;
    case 'EADDRNOTAVAIL':
    case 'ENOTFOUND':
    case 'EAI_AGAIN':
      return `PASSMANAGER_HOST is ${host}, which is no address of this machine: set it to one, or to 0.0.0.0 for all`;
    default:
      return undefined;
  }
}

function pathProblem(code: string, path: string, { dataDir }: Settings): string | undefined {
  const directory = 'choose another directory by PASSMANAGER_DATA_DIR';
  switch (code) {
    case 'EACCES':
    case 'EPERM':
      return `${path} is closed to this user: give it access, or ${directory}`;
    case 'EROFS':
      return `${path} cannot be written, its file system is read-only: ${directory}`;
    case 'EEXIST':
    case 'ENOTDIR':
      return `PASSMANAGER_DATA_DIR is ${dataDir}, and ${path} is no directory: ${directory}`;
    case 'ENOSPC':
    case 'EDQUOT':
      return `the disk of ${path} is full: make room, or ${directory}`;
    default:
      return undefined;
  }
}

/** SQLSTATEs of a database that lets nobody in. */
const REFUSALS: ReadonlyMap<string, string> = new Map([
  ['28P01', 'refuses the password'],
  ['28000', 'refuses this user'],
  ['3D000', 'has no database of that name'],
  ['42501', 'does not let this user make tables'],
  ['53300', 'has no connection left'],
]);

function databaseProblem(fault: DatabaseFault, { databaseUrl, dataDir }: Settings): string | undefined {
  if (databaseUrl === undefined) {
    if (fault.kind !== 'outage' && fault.kind !== 'lost') return undefined;
    return `the embedded PostgreSQL does not answer: what it says is in ${dataDir}/postgres/postgres.log`;
  }
  const refusal = REFUSALS.get(fault.sqlState ?? '');
  if (refusal !== undefined)
    return `the database of PASSMANAGER_DATABASE_URL ${refusal} (SQLSTATE ${fault.sqlState})`;
  if (fault.kind !== 'outage') return undefined;
  const code = systemCode(fault);
  return `the database of PASSMANAGER_DATABASE_URL cannot be reached${code === undefined ? '' : ` (${code})`}: is it running, and is the address right?`;
}

/** The system's code among the causes of an error. */
function systemCode(error: unknown): string | undefined {
  for (let cause = error; cause instanceof Error; cause = cause.cause) {
    const { code } = cause as NodeJS.ErrnoException;
    if (typeof code === 'string') return code;
  }
  return undefined;
}
