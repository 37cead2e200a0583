/** The edge of the process: environment, terminal and signals. */

import cluster from 'node:cluster';
import { resolve } from 'node:path';
import { type Config, ConfigError, EXIT_BAD_CONFIGURATION } from './config.ts';
import { readConfig } from './config_sources.ts';
import { authorityOf } from './door.ts';
import { createLogger, type Logger } from './log.ts';
import { openLogFile } from './log_file.ts';
import type { RunningServer } from './server.ts';
import { explainStartFailure } from './start_failure.ts';

const say = (line = ''): void => void process.stdout.write(`${line}\n`);

async function main(config: Config): Promise<void> {
  const [, , role = ''] = process.argv;
  // Each process rotates a file of its own.
  const logFile =
    config.logFile === undefined || cluster.isPrimary ? config.logFile : `${config.logFile}-${role}`;
  const stream = logFile === undefined ? undefined : await openLogFile(logFile);
  const log = createLogger(config.logLevel, stream);
  process.on('SIGUSR2', () => {
    log.level = log.level === 'debug' ? config.logLevel : 'debug';
  });
  const untilStopped = new AbortController();
  const starting: Promise<Pick<RunningServer, 'stop' | 'renewTls'>> = cluster.isPrimary
    ? config.workers > 1
      ? import('./worker_processes.ts').then(({ startWorkerProcesses }) => startWorkerProcesses(config, log))
      : serve(config, log, untilStopped.signal)
    : serveAsWorker(config, log, untilStopped.signal, role);
  const stop = (): void => {
    // A second signal does not cut the stop short.
    if (untilStopped.signal.aborted) return;
    untilStopped.abort();
    if (process.stdout.isTTY) say('\nstopping');
    void starting
      .then((server) => server.stop())
      .catch(() => {})
      .then(() => process.exit(0));
  };
  for (const signal of ['SIGTERM', 'SIGINT'] as const) process.on(signal, stop);
  process.on('SIGHUP', () => {
    // A terminal that is closed sends it, too.
    if (process.stdout.isTTY) stop();
    else void starting.then((server) => server.renewTls()).catch(() => {});
  });
  await starting.catch((error: unknown) => {
    // Who is told to stop while it starts does what it was told.
    if (!untilStopped.signal.aborted) throw error;
  });
}

async function serve(
  config: Config,
  log: Logger,
  untilStopped: AbortSignal,
  worker?: number,
): Promise<RunningServer> {
  const { startServer } = await import('./server.ts');
  const server = await startServer(config, { log, ...(worker === undefined ? {} : { worker }) });
  // Who stops it while it starts is not told that it is ready; the next start shows the recovery code.
  if ((worker === undefined || worker === 0) && !untilStopped.aborted) {
    announce(server, config);
    await introduceRecoveryCode(server, (message) => log.warn(message));
  }
  return server;
}

async function serveAsWorker(
  config: Config,
  log: Logger,
  untilStopped: AbortSignal,
  role: string,
): Promise<RunningServer> {
  const server = await serve(config, log, untilStopped, workerIndex(role));
  const { WORKER_READY } = await import('./worker_processes.ts');
  process.send?.(WORKER_READY);
  return server;
}

/** The place of a worker among all, by what it was started with: `worker-0` is the first. */
function workerIndex(role: string): number {
  return Number(/^worker-(\d+)$/.exec(role)?.[1] ?? 0);
}

function announce(server: RunningServer, { tls, workers }: Config): void {
  const { grpcAddress, httpAddress, metricsAddress, dataDir } = server;
  const scheme = tls === undefined ? 'http' : 'https';
  say(`passmanager is ready${workers > 1 ? `, with ${workers} processes` : ''}`);
  say(`  gRPC                        ${scheme}://${authorityOf(grpcAddress)}`);
  say(`  Connect, gRPC-Web           ${scheme}://${authorityOf(httpAddress)}`);
  if (metricsAddress !== undefined)
    say(`  metrics                     http://${authorityOf(metricsAddress)}/metrics`);
  say(
    `  data                        ${dataDir === undefined ? 'in the configured database' : resolve(dataDir)}`,
  );
}

/** Shows the recovery code once, to a person; no log and no file ever holds it. */
async function introduceRecoveryCode(server: RunningServer, warn: (message: string) => void): Promise<void> {
  if (server.hasRecoveryCode) return;
  if (!process.stdout.isTTY) {
    warn('no recovery code was made yet; make and see one with: npx passmanager keys recovery-code');
    return;
  }
  say();
  say(
    'Recovery code, shown this once. With it a lost key file can be made again; losing both loses every vault.',
  );
  say(`  ${await server.makeRecoveryCode()}`);
  say();
}

function fail(message: string, code = 1): never {
  process.stderr.write(`passmanager did not start: ${message}\n`);
  process.exit(code);
}

let config: Config;
try {
  config = readConfig(process.env);
} catch (error) {
  if (error instanceof ConfigError) fail(error.message, EXIT_BAD_CONFIGURATION);
  throw error;
}
main(config).catch((error: unknown) => {
  if (!(error instanceof Error)) fail(String(error));
  const explained = explainStartFailure(error, config);
  // Errors with a name of their own say what to do.
  if (explained === undefined && error.name === 'Error') fail(error.stack ?? error.message);
  fail(explained ?? error.message);
});
