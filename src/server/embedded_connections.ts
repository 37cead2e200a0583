/** How many connections the embedded PostgreSQL takes. */
import type { Config } from './config.ts';

/** Of commands beside the server, and of PostgreSQL's own. */
const SPARE = 16;

/** Both pools and the listener of every process, and some to spare. */
export function connectionsOf({
  databasePoolSize,
  workers,
}: Pick<Config, 'databasePoolSize' | 'workers'>): number {
  return workers * Math.ceil(1.5 * databasePoolSize) + Math.max(0, workers - 1) + SPARE;
}
