/**
 * A process that runs an embedded PostgreSQL on the data directory of its first parameter until it is killed, for tests
 * that kill it; with a number as the second one it kills itself as it writes that line of its log. Prints one line of JSON:
 * where it listens, or the error that kept it from starting (exit code 1).
 */
import { startEmbeddedPostgres } from '../../src/database/embedded/embedded_postgres.ts';

let lines = 0;
const note = (): void => {
  lines += 1;
  if (`${lines}` === process.argv[3]) process.kill(process.pid, 'SIGKILL');
};
const log = { info: note, warn: note, error: note };
const print = (line: object): void => void process.stdout.write(`${JSON.stringify(line)}\n`);

process.on('SIGTERM', () => print({ signal: 'SIGTERM' }));
try {
  const { connection, stop } = await startEmbeddedPostgres({ dataDir: process.argv[2]!, log });
  print({ connection });
  // The end of the input asks for a clean stop.
  process.stdin.resume().on('end', () => void stop());
} catch (error) {
  const { name, message } = error as Error;
  print({ name, message });
  process.exitCode = 1;
}
