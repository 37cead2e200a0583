/** Runs commands in this process, with a terminal that keeps what is said. */
import { runProgram } from '../../src/cli/program.ts';
import type { Terminal } from '../../src/cli/terminal.ts';

/** What a command line ended with. */
export interface CliResult {
  readonly code: number;
  /** Standard output and standard error. */
  readonly out: string;
  readonly notes: string;
}

/** Runs `parameters` with settings by the names of their variables. `answers`: what the person says, in order; none: nobody is there. */
export async function runCli(
  parameters: readonly string[],
  environment: Readonly<Record<string, string | undefined>> = {},
  answers?: readonly string[],
): Promise<CliResult> {
  const out: string[] = [];
  const notes: string[] = [];
  const left = [...(answers ?? [])];
  const terminal: Terminal = {
    isInteractive: answers !== undefined,
    say: (line = '') => void out.push(line),
    note: (line) => void notes.push(line),
    progress: () => {},
    ask: async (question) => {
      notes.push(question);
      return left.shift() ?? '';
    },
  };
  const code = await runProgram(parameters, terminal, environment, '1.2.3');
  return { code, out: out.join('\n'), notes: notes.join('\n') };
}
