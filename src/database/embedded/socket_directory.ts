/** The directory of PostgreSQL's Unix socket, however deep below the root it lies. */
import { closeSync, openSync } from 'node:fs';
import { join } from 'node:path';
import { EmbeddedPostgresError } from './errors.ts';

/** PostgreSQL's usual port; without TCP it is only a part of the name of a socket. */
export const USUAL_PORT = 5432;

/** PostgreSQL's name for a socket in its directory. */
export const socketName = (port: number): string => `.s.PGSQL.${port}`;

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
export function openSocketDirectory(host: string, platform: string = process.platform): SocketDirectory {
  if (Buffer.byteLength(join(host, socketName(USUAL_PORT))) <= SOCKET_PATH_BYTES)
    return { host, close: () => {} };
  if (platform !== 'linux') {
    throw new EmbeddedPostgresError(
      `the path ${host} is too long for a Unix socket: choose a shorter data directory with PASSMANAGER_DATA_DIR`,
    );
  }
  const descriptor = openSync(host, 'r');
  return { host: `/proc/${process.pid}/fd/${descriptor}`, close: () => closeSync(descriptor) };
}
