#!/usr/bin/env node
/** The edge of the `passmanager` command: streams, environment and exit code. */
import { packageOfProgram } from '../server/version.ts';
import { createTerminal } from './terminal.ts';

// Who reads what is said may have read enough: `passmanager stats | head -1`.
for (const stream of [process.stdout, process.stderr])
  stream.on('error', (error: NodeJS.ErrnoException) => {
    if (error.code !== 'EPIPE') throw error;
  });

const { engines, version } = packageOfProgram();
const terminal = createTerminal({ input: process.stdin, output: process.stdout, errors: process.stderr });

if (isOlder(process.versions.node, engines.node.replace('>=', ''))) {
  terminal.note(
    `passmanager runs on Node ${engines.node}, and this is ${process.versions.node}: run it by npx, which finds the right one`,
  );
  process.exitCode = 1;
} else {
  // Loaded once it is known that this Node can.
  const { runProgram } = await import('./program.ts');
  process.exitCode = await runProgram(process.argv.slice(2), terminal, process.env, version);
}

/** Whether a version is below another one, both `major.minor.patch`. */
function isOlder(version: string, floor: string): boolean {
  const [a, b] = [version, floor].map((text) => text.split('.').map(Number));
  const at = a!.findIndex((part, index) => part !== b![index]);
  return at >= 0 && a![at]! < b![at]!;
}
