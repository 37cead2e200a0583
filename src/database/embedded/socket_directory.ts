/** The directory of PostgreSQL's Unix socket: how deep below the root it may lie. */
import { closeSync, openSync } from 'node:fs';
import { join } from 'node:path';
import { EmbeddedPostgresError } from './errors.ts';

/** Inside the data directory; PostgreSQL is told it relative to its own. */
export const SOCKET_DIRECTORY = 'socket';

/** PostgreSQL's name for a socket; without TCP the port is only a part of this name. */
const SOCKET_NAME = '.s.PGSQL.5432';

/** What sun_path holds, in bytes, without the NUL. */
const SOCKET_PATH_BYTES = process.platform === 'linux' ? 107 : 103;

/** The directory as clients are told it. */
export interface SocketDirectory {
  readonly host: string;
  /** After this, `host` may name nothing. Connections go on. */
  close(): void;
}

/**
 * The socket directory under a name that fits the address of a socket. A longer one is reached through a descriptor of
 * this process, which its children may use too. Throws EmbeddedPostgresError where the system has no such names.
 */
export function openSocketDirectory(dataDir: string, platform: string = process.platform): SocketDirectory {
  const host = join(dataDir, SOCKET_DIRECTORY);
  if (Buffer.byteLength(join(host, SOCKET_NAME)) <= SOCKET_PATH_BYTES) return { host, close: () => {} };
  if (platform !== 'linux') {
    throw new EmbeddedPostgresError(
      `the path of the data directory ${dataDir} is too long for a Unix socket: choose one of at most ` +
        `${SOCKET_PATH_BYTES - Buffer.byteLength(`/${SOCKET_DIRECTORY}/${SOCKET_NAME}`)} bytes with PASSMANAGER_DATA_DIR`,
    );
  }
  const descriptor = openSync(host, 'r');
  return { host: `/proc/${process.pid}/fd/${descriptor}`, close: () => closeSync(descriptor) };
}
