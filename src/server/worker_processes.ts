/**
 * Several processes that share the ports, for machines with many cores. The first process runs the embedded PostgreSQL and
 * hands out connections; it serves nothing itself. Each worker is a whole server with pools and threads of its own: they
 * meet in the database, as servers on several machines do.
 */
import cluster, { type Worker } from 'node:cluster';
import { mkdir } from 'node:fs/promises';
import { startEmbeddedPostgres } from '../database/embedded/embedded_postgres.ts';
import type { Config } from './config.ts';
import { connectionsOf } from './embedded_connections.ts';
import type { Logger } from './log.ts';

/** What a worker sends once it serves. */
export const WORKER_READY = 'ready';

/** How long workers may take to stop before they are killed: longer than a server takes at most. In milliseconds. */
const STOP_MS = 9_000;

/** Back-off between the end of a worker and the start of another in its place, in milliseconds. */
const FIRST_DELAY_MS = 500;
const LONGEST_DELAY_MS = 30_000;

/** A worker that serves for this long is well: the next one that dies is replaced after the first delay again. */
const WELL_MS = 60_000;

/** A worker that ended before it served. It said why itself. */
export class WorkerStartError extends Error {
  constructor() {
    super('a worker process did not start: see the line above');
    this.name = 'WorkerStartError';
  }
}

/** Workers that serve, and what they need. */
export interface WorkerProcesses {
  /** Ends the workers, each as a server ends, and then PostgreSQL. Never rejects. */
  stop(): Promise<void>;
  /** Has each worker read certificate and key again. Never rejects. */
  renewTls(): Promise<void>;
}

/** Starts `config.workers` processes and resolves when all serve. Rejects, with nothing left running, when one does not. */
export async function startWorkerProcesses(
  config: Pick<Config, 'dataDir' | 'databaseUrl' | 'databasePoolSize' | 'workers'>,
  log: Logger,
): Promise<WorkerProcesses> {
  await mkdir(config.dataDir, { recursive: true, mode: 0o700 });
  const postgres =
    config.databaseUrl === undefined
      ? await startEmbeddedPostgres({ dataDir: config.dataDir, log, maxConnections: connectionsOf(config) })
      : undefined;
  const workers = new Set<Worker>();
  const timers = new Set<NodeJS.Timeout>();
  let stopping = false;
  let delayMs = FIRST_DELAY_MS;

  /** Starts a worker, which is replaced when it ends. Resolves when it serves. */
  const start = (index: number): Promise<void> => {
    cluster.setupPrimary({ args: [`worker-${index}`] });
    const worker = cluster.fork();
    workers.add(worker);
    let readyAt: number | undefined;
    return new Promise((resolve, reject) => {
      worker.on('message', (message) => {
        if (message !== WORKER_READY) return;
        readyAt = performance.now();
        resolve();
      });
      worker.on('error', (error) => log.error({ err: error }, 'a worker process cannot be reached'));
      worker.on('exit', (code, signal) => {
        workers.delete(worker);
        reject(new WorkerStartError());
        if (stopping) return;
        log.error(
          { code, ...(signal === null ? {} : { signal }) },
          'a worker process ended; another one takes its place',
        );
        if (readyAt !== undefined && performance.now() - readyAt > WELL_MS) delayMs = FIRST_DELAY_MS;
        const timer = setTimeout(() => {
          timers.delete(timer);
          // Its end is told above, and tries again.
          start(index).catch(() => {});
        }, delayMs);
        timers.add(timer);
        delayMs = Math.min(2 * delayMs, LONGEST_DELAY_MS);
      });
    });
  };

  const stop = async (): Promise<void> => {
    stopping = true;
    for (const timer of timers) clearTimeout(timer);
    await Promise.all(
      [...workers].map(
        (worker) =>
          new Promise<void>((resolve) => {
            const kill = setTimeout(() => worker.process.kill('SIGKILL'), STOP_MS);
            worker.on('exit', () => {
              clearTimeout(kill);
              resolve();
            });
            worker.process.kill('SIGTERM');
          }),
      ),
    );
    await postgres?.stop();
  };

  try {
    // The first one makes schema and keys where there are none, and says what is wrong, once.
    await start(0);
    await Promise.all(Array.from({ length: config.workers - 1 }, (_, index) => start(index + 1)));
  } catch (error) {
    await stop();
    throw error;
  }
  const renewTls = async (): Promise<void> => {
    for (const worker of workers) worker.process.kill('SIGHUP');
  };
  return { stop, renewTls };
}
