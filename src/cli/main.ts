#!/usr/bin/env node
/** The edge of the `passmanager` command: streams, environment and exit code. */
import { isBelow, oldestNode, packageOfProgram } from '../server/package.ts';
import { createTerminal } from './terminal.ts';

// Who reads what is said may have read enough: `passmanager stats | head -1`.
for (const stream of [process.stdout, process.stderr])
  stream.on('error', (error: NodeJS.ErrnoException) => {
    if (error.code !== 'EPIPE') throw error;
  });

const { engines, version } = packageOfProgram();
const terminal = createTerminal({ input: process.stdin, output: process.stdout, errors: process.stderr });

if (isBelow(process.versions.node, oldestNode())) {
  terminal.note(
    `passmanager runs on Node ${engines.node}, and this is ${process.versions.node}: run it by npx, which finds the right one`,
  );
  process.exitCode = 1;
} else {
  // Loaded once it is known that this Node can.
  const { runProgram } = await import('./program.ts');
  process.exitCode = await runProgram(process.argv.slice(2), terminal, process.env, version);
}
