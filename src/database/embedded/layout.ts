/**
 * Where things lie below a data directory. Everything PostgreSQL touches is in one directory of its own, which only the
 * server's account may enter, so that another process of PostgreSQL's account cannot reach the socket.
 */
import { join, resolve } from 'node:path';

/** Absolute paths. */
export interface Layout {
  readonly dataDir: string;
  /** Around all that follows. */
  readonly home: string;
  /** PostgreSQL's data directory. */
  readonly cluster: string;
  /** Before the random end of the name that a cluster is made under. */
  readonly making: string;
  /** A cluster of the next major version, whole and proved, that is about to take the place of `cluster`. */
  readonly next: string;
  /** Before the major version of a cluster whose place the next one took. */
  readonly aside: string;
  readonly socket: string;
  readonly log: string;
}

/** The absolute paths for a data directory. */
export function layoutOf(dataDir: string): Layout {
  const absolute = resolve(dataDir);
  const home = join(absolute, 'postgres');
  return {
    dataDir: absolute,
    home,
    cluster: join(home, 'data'),
    making: join(home, 'data.new-'),
    next: join(home, 'data.next'),
    aside: join(home, 'data.postgresql-'),
    socket: join(home, 'socket'),
    log: join(home, 'postgres.log'),
  };
}
