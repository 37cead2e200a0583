import { execFileSync, spawnSync } from 'node:child_process';
import { expect } from 'chai';
import { Command } from 'commander';
import { completionScript } from '../../../src/cli/commands/completion.ts';
import { runCli } from '../../support/cli.ts';

describe('passmanager completion', () => {
  const program = new Command('tool').description('a tool');
  program.command('one').description("the user's one").option('--flag', 'a flag');
  program.command('two').command('deep').description('deeper: down');

  it('refuses a shell that it does not know', async () => {
    expect((await runCli(['completion', 'cmd'])).code).to.equal(64);
  });

  it('completes commands, their commands and their flags in bash', () => {
    const complete = (...words: string[]): string[] => {
      const script = `${completionScript(program, 'bash')}
        COMP_WORDS=(${words.map((word) => `'${word}'`).join(' ')}); COMP_CWORD=${words.length - 1}; _tool
        printf '%s\\n' "\${COMPREPLY[@]}"`;
      return execFileSync('bash', ['-c', script], { encoding: 'utf8' }).trim().split('\n');
    };
    expect(complete('tool', '')).to.include.members(['one', 'two']);
    expect(complete('tool', 'o')).to.deep.equal(['one']);
    expect(complete('tool', 'one', '--f')).to.deep.equal(['--flag']);
    expect(complete('tool', 'two', ''))
      .to.include('deep')
      .and.not.to.include('one');
  });

  it('prints scripts that name every command, and that their shell can read where it is installed', async () => {
    for (const shell of ['bash', 'zsh', 'fish'] as const) {
      const { code, out } = await runCli(['completion', shell]);
      expect(code).to.equal(0);
      for (const name of ['serve', 'invites', 'recovery-code', 'expires-in'])
        expect(out, shell).to.include(name);
      const checked = spawnSync(shell, ['-n'], { input: out });
      if (checked.error === undefined) expect(checked.status, String(checked.stderr)).to.equal(0);
    }
  });
});
