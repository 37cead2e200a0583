/** The edge of the process: environment, terminal and signals. */

import { resolve } from 'node:path';
import { type Config, ConfigError } from './config.ts';
import { readConfig } from './config_sources.ts';
import { createLogger } from './log.ts';
import { openLogFile } from './log_file.ts';
import { type RunningServer, startServer } from './server.ts';
import { explainStartFailure } from './start_failure.ts';

const say = (line = ''): void => void process.stdout.write(`${line}\n`);

async function main(config: Config): Promise<void> {
  const stream = config.logFile === undefined ? undefined : await openLogFile(config.logFile);
  const log = createLogger(config.logLevel, stream);
  process.on('SIGUSR2', () => {
    log.level = log.level === 'debug' ? config.logLevel : 'debug';
  });
  const starting = startServer(config, { log });
  let stopping = false;
  const stop = (): void => {
    // A second signal does not cut the stop short.
    if (stopping) return;
    stopping = true;
    if (process.stdout.isTTY) say('\nstopping');
    void starting
      .then((server) => server.stop())
      .catch(() => {})
      .then(() => process.exit(0));
  };
  for (const signal of ['SIGTERM', 'SIGINT', 'SIGHUP'] as const) process.on(signal, stop);
  const server = await starting;
  announce(server, config.tls !== undefined);
  await introduceRecoveryCode(server, (message) => log.warn(message));
}

function announce({ grpcAddress, httpAddress, metricsAddress, dataDir }: RunningServer, tls: boolean): void {
  const scheme = tls ? 'https' : 'http';
  say('passmanager is ready');
  say(`  gRPC                        ${scheme}://${grpcAddress.host}:${grpcAddress.port}`);
  say(`  Connect, gRPC-Web           ${scheme}://${httpAddress.host}:${httpAddress.port}`);
  if (metricsAddress !== undefined)
    say(`  metrics                     http://${metricsAddress.host}:${metricsAddress.port}/metrics`);
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

function fail(message: string): never {
  process.stderr.write(`passmanager did not start: ${message}\n`);
  process.exit(1);
}

let config: Config;
try {
  config = readConfig(process.env);
} catch (error) {
  if (error instanceof ConfigError) fail(error.message);
  throw error;
}
main(config).catch((error: unknown) => {
  if (!(error instanceof Error)) fail(String(error));
  const explained = explainStartFailure(error, config);
  // Errors with a name of their own say what to do.
  if (explained === undefined && error.name === 'Error') fail(error.stack ?? error.message);
  fail(explained ?? error.message);
});
