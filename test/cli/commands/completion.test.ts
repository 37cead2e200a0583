import { execFileSync, spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect } from 'chai';
import { Argument, Command } from 'commander';
import { completionScript, type Shell } from '../../../src/cli/commands/completion.ts';
import { runCli } from '../../support/cli.ts';

describe('passmanager completion', () => {
  const program = new Command('tool').description('a tool').option('-c, --config <file>', 'a file');
  program.command('one').description("the user's one").option('--flag', 'a flag');
  program.command('two').command('deep').description('deeper: down');
  program.command('three').addArgument(new Argument('<colour>', 'which').choices(['red', 'green']));

  const directory = mkdtempSync(join(tmpdir(), 'pm-completion-'));
  after(() => rmSync(directory, { recursive: true }));

  it('refuses a shell that it does not know', async () => {
    expect((await runCli(['completion', 'cmd'])).code).to.equal(64);
  });

  const complete: Record<Shell, (words: readonly string[]) => string[]> = {
    bash: (words) => {
      const script = `${completionScript(program, 'bash')}
        COMP_WORDS=(${words.map((word) => `'${word}'`).join(' ')}); COMP_CWORD=${words.length - 1}; _tool
        printf '%s\\n' "\${COMPREPLY[@]}"`;
      return run('bash', ['-c', script]);
    },
    // The completion system of zsh needs a terminal: what would be handed to it is printed.
    zsh: (words) => {
      const script = `compdef() { }; _files() { }; _describe() { print -l -- "\${(@P)2}" }
        ${completionScript(program, 'zsh')}
        words=(${words.map((word) => `'${word}'`).join(' ')}); CURRENT=${words.length}; _tool`;
      const typed = words.at(-1)!;
      return run('zsh', ['-f', '-c', script])
        .map((line) => line.split(':', 1)[0]!)
        .filter((word) => word.startsWith(typed));
    },
    fish: (words) => {
      const script = `${completionScript(program, 'fish')}
        complete -C '${words.join(' ')}'`;
      return run('fish', ['--no-config', '-c', script]).map((line) => line.split('\t', 1)[0]!);
    },
  };

  const run = (shell: string, parameters: string[]): string[] =>
    execFileSync(shell, parameters, {
      encoding: 'utf8',
      // Where no file is offered, too.
      cwd: directory,
      env: { ...process.env, HOME: '/nonexistent' },
    })
      .trim()
      .split('\n');

  for (const shell of ['bash', 'zsh', 'fish'] as const) {
    it(`completes commands, flags and values in ${shell}, whatever stands between them`, () => {
      if (spawnSync(shell, ['--version']).error !== undefined) {
        // Not installed here; the script at least knows what is to be skipped.
        expect(completionScript(program, shell)).to.include('two deep').and.to.include('--config');
        return;
      }
      const offered = complete[shell];
      expect(offered(['tool', ''])).to.include.members(['one', 'two']);
      expect(offered(['tool', 'o'])).to.deep.equal(['one']);
      expect(offered(['tool', 'one', '--f'])).to.deep.equal(['--flag']);
      expect(offered(['tool', 'two', '']))
        .to.include('deep')
        .and.not.to.include('one');
      expect(offered(['tool', 'one', '/a/file', '--f'])).to.deep.equal(['--flag']);
      expect(offered(['tool', '-c', 'file', 'two', ''])).to.include('deep');
      expect(offered(['tool', '--config', 'one', 'two', 'de'])).to.deep.equal(['deep']);
      expect(offered(['tool', '--config', ''])).not.to.include('one');
      expect(offered(['tool', 'three', ''])).to.include.members(['red', 'green']);
      expect(offered(['tool', 'three', 'r'])).to.deep.equal(['red']);
    });
  }

  it('prints scripts that name every command, and that their shell can read where it is installed', async () => {
    for (const shell of ['bash', 'zsh', 'fish'] as const) {
      const { code, out } = await runCli(['completion', shell]);
      expect(code).to.equal(0);
      for (const name of ['serve', 'invites', 'recovery-code', 'expires-in'])
        expect(out, shell).to.include(name);
      const file = join(directory, shell);
      writeFileSync(file, out);
      const checked = spawnSync(shell, ['-n', file]);
      if (checked.error === undefined) expect(checked.status, String(checked.stderr)).to.equal(0);
    }
  });
});
