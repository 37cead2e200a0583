/** What a command speaks to: a person, or a program that reads what it prints. */
import { createInterface } from 'node:readline/promises';
import type { Readable, Writable } from 'node:stream';

/** Where commands print and ask. */
export interface Terminal {
  /** The answer: standard output. */
  say(line?: string): void;
  /** What is beside the answer: standard error. */
  note(line: string): void;
  /** Shows how far something is, in the place of what it showed before; nothing where nobody looks. */
  progress(line: string): void;
  /** One line from the person, or what was piped in; empty at its end. */
  ask(question: string): Promise<string>;
  /** Whether a person can answer. */
  readonly isInteractive: boolean;
}

/** Something that was not done because nobody said yes. */
export class NotConfirmedError extends Error {
  constructor(message: string) {
    super(message);
    this.name = 'NotConfirmedError';
  }
}

/** The terminal of these streams. */
export function createTerminal(streams: {
  readonly input: Readable & { readonly isTTY?: boolean };
  readonly output: Writable;
  readonly errors: Writable & { readonly isTTY?: boolean };
}): Terminal {
  const { input, output, errors } = streams;
  const isInteractive = input.isTTY === true && errors.isTTY === true;
  let progressLength = 0;
  const clear = (): void => {
    if (progressLength === 0) return;
    errors.write(`\r${' '.repeat(progressLength)}\r`);
    progressLength = 0;
  };
  return {
    isInteractive,
    say(line = '') {
      clear();
      output.write(`${line}\n`);
    },
    note(line) {
      clear();
      errors.write(`${line}\n`);
    },
    progress(line) {
      if (errors.isTTY !== true) return;
      clear();
      errors.write(line);
      progressLength = line.length;
    },
    async ask(question) {
      clear();
      errors.write(question);
      const lines = createInterface({ input });
      // The last line may have no end.
      for await (const line of lines) return line;
      return '';
    },
  };
}

/**
 * Asks before something that cannot be undone. `yes`: it was said beforehand. Throws NotConfirmedError where the answer is
 * another one, or nobody is there to give it.
 */
export async function confirm(terminal: Terminal, question: string, yes: boolean): Promise<void> {
  if (yes) return;
  if (!terminal.isInteractive) throw new NotConfirmedError(`${question} Say so with --yes`);
  const answer = await terminal.ask(`${question} [y/N] `);
  if (!/^y(es)?$/i.test(answer.trim())) throw new NotConfirmedError('nothing was done');
}
