/** Runs one of PostgreSQL's programs to its end. */
import type { Readable } from 'node:stream';
import type { Account } from './account.ts';
import { endChild, spawnGuarded } from './guarded_child.ts';

/** A program that did not end well. `output` is the end of what it printed. */
export class ProgramFailedError extends Error {
  readonly output: string;

  constructor(program: string, output: string) {
    super(`${program} failed: ${output}`);
    this.name = 'ProgramFailedError';
    this.output = output;
  }
}

/** How much of the output is kept, in characters. */
const OUTPUT_CHARACTERS = 4_000;

/** Milliseconds; a slow disk takes seconds. */
const DEADLINE_MS = 300_000;

/** Runs a command under an account with `input` as its standard input. Throws ProgramFailedError. */
export async function runProgram(
  account: Account,
  command: readonly string[],
  { cwd, input = '', deadlineMs = DEADLINE_MS }: { cwd: string; input?: string; deadlineMs?: number },
): Promise<void> {
  const child = spawnGuarded(account, command, { cwd, output: 'pipe', lastSignal: 'TERM' });
  const { stdin, stdout, stderr } = child.process;
  let output = '';
  for (const stream of [stdout, stderr] as Readable[]) {
    stream.setEncoding('utf8').on('data', (text: string) => {
      output = (output + text).slice(-OUTPUT_CHARACTERS);
    });
  }
  stdin!.on('error', () => {});
  stdin!.end(input);
  const timer = setTimeout(() => {
    output += `it took longer than ${deadlineMs / 1000} s`;
    void endChild(child, [
      ['SIGTERM', 5_000],
      ['SIGKILL', 5_000],
    ]);
  }, deadlineMs);
  const closed = new Promise((resolve) => child.process.once('close', resolve));
  const { code } = await child.exited;
  clearTimeout(timer);
  await closed;
  if (code !== 0) throw new ProgramFailedError(command[0]!, output.trim());
}
