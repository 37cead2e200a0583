import { chmodSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect } from 'chai';
import { Command, CommanderError } from 'commander';
import { passphraseOption, readPassphrase } from '../../src/cli/passphrase.ts';
import { BackupError } from '../../src/database/backup/backup_errors.ts';
import { remove, temporaryDirectory } from '../support/embedded.ts';
import { rejection } from '../support/rejection.ts';

describe('the passphrase of a command', () => {
  const directory = temporaryDirectory();
  const command = new Command('backup')
    .addOption(passphraseOption())
    .exitOverride()
    .configureOutput({ writeErr: () => {} });

  let notes: string[] = [];
  const terminal = { note: (line: string) => void notes.push(line) };

  beforeEach(() => {
    notes = [];
  });

  after(() => remove(directory));

  it('is refused when no file is named, when it is missing, and when it has two lines', async () => {
    expect(await rejection(readPassphrase(undefined, command, terminal))).to.be.instanceOf(CommanderError);
    const missing = await rejection(readPassphrase(join(directory, 'missing'), command, terminal));
    expect(missing).to.be.instanceOf(BackupError);
    expect(missing.message).to.contain('ENOENT');
    writeFileSync(join(directory, 'two'), 'one\ntwo\n');
    expect(await rejection(readPassphrase(join(directory, 'two'), command, terminal))).to.be.instanceOf(
      BackupError,
    );
  });

  it('is the line of the file', async () => {
    writeFileSync(join(directory, 'one'), 'correct horse battery staple\n', { mode: 0o600 });
    const passphrase = await readPassphrase(join(directory, 'one'), command, terminal);
    expect(passphrase).to.equal('correct horse battery staple');
    expect(notes).to.deep.equal([]);
  });

  it('is taken with a word about a file that others may read', async () => {
    const file = join(directory, 'open');
    writeFileSync(file, 'correct horse battery staple\n');
    chmodSync(file, 0o640);
    expect(await readPassphrase(file, command, terminal)).to.equal('correct horse battery staple');
    expect(notes).to.have.length(1);
    expect(notes[0]).to.include(file);
  });
});
