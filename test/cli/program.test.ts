import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect } from 'chai';
import type { Command } from 'commander';
import { CliContext } from '../../src/cli/context.ts';
import { createProgram, EXIT } from '../../src/cli/program.ts';
import type { Terminal } from '../../src/cli/terminal.ts';
import { runCli } from '../support/cli.ts';

describe('the passmanager command', () => {
  let directory: string;

  before(async () => {
    directory = await mkdtemp(join(tmpdir(), 'pm-program-'));
    await writeFile(join(directory, 'passphrase'), 'correct horse battery staple\n', { mode: 0o600 });
    await writeFile(join(directory, 'key'), `${'ab'.repeat(32)}\n`, { mode: 0o600 });
  });

  after(() => rm(directory, { recursive: true }));

  it('refuses what is no command and no option of one with the exit code of a usage error', async () => {
    for (const line of [
      '',
      'sevre',
      'config --colour',
      'invites revoke',
      'invites create --expires-in soon',
    ]) {
      const result = await runCli(line.split(' ').filter(Boolean));
      expect(result.code, line).to.equal(EXIT.usage);
    }
    expect((await runCli(['sevre'])).notes).to.include('serve');
  });

  it('ends with the exit code of a bad configuration, and says all that is wrong', async () => {
    const { code, notes, out } = await runCli(['config'], {
      PASSMANAGER_GRPC_PORT: 'x',
      PASSMANAGER_HOTS: 'y',
    });
    expect(code).to.equal(EXIT.configuration);
    expect(notes).to.include('PASSMANAGER_GRPC_PORT').and.to.include('PASSMANAGER_HOTS');
    expect(out).to.equal('');
  });

  it('ends with 1 when something is not done, and says why and what to do without a stack', async () => {
    const { code, notes } = await runCli(['invites', 'list'], { PASSMANAGER_DATA_DIR: '/nonexistent/data' });
    expect(code).to.equal(EXIT.failed);
    expect(notes).to.include('npm start').and.not.to.include('    at ');
  });

  it('explains a database that is down as the start does, whatever the command', async () => {
    const settings = {
      PASSMANAGER_DATABASE_URL: 'postgres://me:geheim@127.0.0.1:1/vaults',
      PASSMANAGER_DATA_DIR: directory,
    };
    const passphrase = ['--passphrase-file', join(directory, 'passphrase')];
    for (const line of [
      ['stats'],
      ['users', 'list'],
      ['keys', 'status'],
      ['migrate'],
      ['backup', join(directory, 'backup'), ...passphrase],
      ['move-database', 'postgres://127.0.0.1:1/other'],
    ]) {
      const { code, notes } = await runCli(line, settings);
      expect(code, line[0]).to.equal(EXIT.failed);
      expect(notes, line[0])
        .to.include('PASSMANAGER_DATABASE_URL')
        .and.to.include('ECONNREFUSED')
        .and.not.to.include('geheim')
        .and.not.to.include('    at ');
    }
  }).timeout(60_000);

  it('says of a file that cannot be used what is wrong with it, without a stack', async () => {
    const passphrase = ['--passphrase-file', join(directory, 'passphrase')];
    const { code, notes } = await runCli(['backup', 'verify', directory, ...passphrase]);
    expect(code).to.equal(EXIT.failed);
    expect(notes).to.include('EISDIR').and.not.to.include('    at ');
  });

  it('shows its version, its help with exit codes, and examples with a command', async () => {
    expect(await runCli(['--version'])).to.deep.include({ code: 0, out: '1.2.3' });
    const help = await runCli(['--help']);
    expect(help).to.have.property('code', 0);
    expect(help.out).to.include('Exit codes').and.to.include('invites');
    expect((await runCli(['invites', 'create', '--help'])).out).to.include('Example');
  });

  it('has an example in the help of every command that does something', async () => {
    const leaves = (command: Command, path: readonly string[]): string[][] =>
      command.commands.length === 0
        ? [[...path]]
        : command.commands.flatMap((each) => leaves(each, [...path, each.name()]));
    const all = leaves(createProgram(new CliContext({} as Terminal, {}), '1.2.3'), []);
    expect(all.length).to.be.greaterThan(15);
    for (const path of all)
      expect((await runCli([...path, '--help'])).out, path.join(' ')).to.match(/Examples?: /);
  });

  it('takes the configuration file by an option', async () => {
    const { code, notes } = await runCli(['--config', '/nonexistent.toml', 'config']);
    expect(code).to.equal(EXIT.configuration);
    expect(notes).to.include('/nonexistent.toml');
  });
});
