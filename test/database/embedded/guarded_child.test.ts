import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect } from 'chai';
import { chooseAccount } from '../../../src/database/embedded/account.ts';
import { endChild, spawnGuarded } from '../../../src/database/embedded/guarded_child.ts';
import { remove, temporaryDirectory } from '../../support/embedded.ts';
import { eventually } from '../../support/eventually.ts';

const own = chooseAccount('', '', { isRoot: false, hasName: true });

describe('a guarded child', () => {
  const guarded = (script: string) =>
    spawnGuarded(own, ['/bin/sh', '-c', script], { cwd: '/', output: 'pipe', lastSignal: 'TERM' });

  const isAlive = (pid: number): boolean => {
    try {
      process.kill(pid, 0);
      return !/^State:\s+Z/m.test(readFileSync(`/proc/${pid}/status`, 'utf8'));
    } catch {
      return false;
    }
  };

  it('says how it ended', async () => {
    expect(await guarded('exit 3').exited).to.deep.equal({ code: 3, signal: null });
    expect(await guarded('kill -9 $$').exited).to.deep.equal({ code: null, signal: 'SIGKILL' });
    expect(
      (await spawnGuarded(own, ['/no/such/program'], { cwd: '/', output: 'pipe', lastSignal: 'TERM' }).exited)
        .code,
    ).to.equal(127);
    expect(
      (await spawnGuarded(own, ['true'], { cwd: '/no/such', output: 'pipe', lastSignal: 'TERM' }).exited)
        .code,
    ).to.equal(127);
  });

  it('has an environment, a session and a process group of its own', async () => {
    const child = guarded('env; exec cat');
    let text = '';
    child.process.stdout!.setEncoding('utf8').on('data', (more: string) => {
      text += more;
    });
    await eventually(() => text.includes('PATH='));
    const names = text.split('\n').map((line) => line.split('=')[0]!);
    expect(names.filter((name) => !['PWD', '_', 'SHLVL', 'OLDPWD', ''].includes(name)).sort()).to.deep.equal([
      'LC_ALL',
      'PATH',
      'TZ',
    ]);
    if (process.platform === 'linux') {
      const fields = readFileSync(`/proc/${child.process.pid}/stat`, 'utf8').split(') ')[1]!.split(' ');
      expect(fields.slice(2, 4)).to.deep.equal([`${child.process.pid}`, `${child.process.pid}`]);
    }
    await endChild(child, [['SIGTERM', 1_000]]);
  });

  it('ends when its parent is killed', async () => {
    const directory = temporaryDirectory();
    try {
      const note = join(directory, 'note');
      const [account, module] = ['account', 'guarded_child'].map((name) =>
        JSON.stringify(new URL(`../../../src/database/embedded/${name}.ts`, import.meta.url).href),
      );
      writeFileSync(
        join(directory, 'parent.mts'),
        `import { chooseAccount } from ${account};
        import { spawnGuarded } from ${module};
        const own = chooseAccount('', '', { isRoot: false, hasName: true });
        const script = 'trap "echo told > ${note}; exit" TERM; while :; do sleep 0.05; done';
        const child = spawnGuarded(own, ['/bin/sh', '-c', script], { cwd: '/', output: 'pipe', lastSignal: 'TERM' });
        console.log(child.process.pid);
        setInterval(() => {}, 1000);`,
      );
      const parent = spawn(process.execPath, [join(directory, 'parent.mts')], {
        stdio: ['ignore', 'pipe', 'inherit'],
      });
      const [line] = await once(parent.stdout.setEncoding('utf8'), 'data');
      const pid = Number(line);
      await new Promise((resolve) => setTimeout(resolve, 100));
      expect(isAlive(pid)).to.equal(true);
      parent.kill('SIGKILL');
      await eventually(() => !isAlive(pid));
      expect(existsSync(note)).to.equal(true);
    } finally {
      remove(directory);
    }
  });

  it('is not signalled by its guard when it ended by itself', async () => {
    const child = guarded('exit 0');
    await child.exited;
    // The guard reads the line that says so and goes; were it to see the end of the pipe it would signal a stranger.
    await eventually(
      () =>
        child.process.stdio[3] === null ||
        (child.process.stdio[3] as { writableFinished?: boolean }).writableFinished === true,
    );
  });

  it('is ended by the next signal when one is not enough', async () => {
    const child = guarded('trap "" INT TERM; echo ready; while :; do sleep 0.05; done');
    await once(child.process.stdout!, 'data');
    await endChild(child, [
      ['SIGINT', 100],
      ['SIGTERM', 100],
      ['SIGKILL', 2_000],
    ]);
    expect(await child.exited).to.deep.equal({ code: null, signal: 'SIGKILL' });
  });

  it('is ended by the first signal that it heeds', async () => {
    const child = guarded('trap "exit 5" INT; echo ready; while :; do sleep 0.05; done');
    await once(child.process.stdout!, 'data');
    await endChild(child, [
      ['SIGINT', 5_000],
      ['SIGKILL', 5_000],
    ]);
    expect(await child.exited).to.deep.equal({ code: 5, signal: null });
    await endChild(child, [['SIGKILL', 10]]);
  });
});
