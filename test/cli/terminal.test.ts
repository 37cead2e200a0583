import { PassThrough } from 'node:stream';
import { text } from 'node:stream/consumers';
import { expect } from 'chai';
import { confirm, createTerminal, NotConfirmedError } from '../../src/cli/terminal.ts';
import { rejection } from '../support/rejection.ts';

describe('the terminal of a command', () => {
  function streams(isTTY: boolean) {
    const input = Object.assign(new PassThrough(), { isTTY });
    const output = new PassThrough();
    const errors = Object.assign(new PassThrough(), { isTTY });
    return { input, output, errors };
  }

  async function written(stream: PassThrough): Promise<string> {
    stream.end();
    return text(stream);
  }

  it('does nothing that cannot be undone without a yes', async () => {
    for (const answer of ['', 'n\n', 'yess\n', 'no\n']) {
      const { input, ...rest } = streams(true);
      input.end(answer);
      expect(await rejection(confirm(createTerminal({ input, ...rest }), 'Delete?', false))).to.be.instanceOf(
        NotConfirmedError,
      );
    }
    const nobody = createTerminal(streams(false));
    expect((await rejection(confirm(nobody, 'Delete?', false))).message).to.include('--yes');
  });

  it('takes yes from a person, and --yes from a program', async () => {
    for (const answer of ['y\n', 'YES', 'yes\n']) {
      const { input, ...rest } = streams(true);
      input.end(answer);
      await confirm(createTerminal({ input, ...rest }), 'Delete?', false);
    }
    await confirm(createTerminal(streams(false)), 'Delete?', true);
  });

  it('keeps the answer and what is beside it apart, and asks beside it', async () => {
    const all = streams(true);
    const terminal = createTerminal(all);
    all.input.end('code\nmore\n');
    terminal.say('answer');
    terminal.note('note');
    expect(await terminal.ask('Code: ')).to.equal('code');
    expect(await written(all.output)).to.equal('answer\n');
    expect(await written(all.errors)).to.equal('note\nCode: ');
  });

  it('shows progress to a person alone, and takes it away before the next line', async () => {
    const seen = streams(true);
    const terminal = createTerminal(seen);
    terminal.progress('1 of 2');
    terminal.say('done');
    expect(await written(seen.errors)).to.equal('1 of 2\r      \r');
    const unseen = streams(false);
    createTerminal(unseen).progress('1 of 2');
    expect(await written(unseen.errors)).to.equal('');
  });
});
