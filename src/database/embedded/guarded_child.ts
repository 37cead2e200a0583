/**
 * A child process that ends when this process does, however that happens. It runs in a session of its own, so that a
 * signal to the process group of the server (npm, a terminal) does not reach it before the server has drained.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import type { Writable } from 'node:stream';
import { type Account, SYSTEM_PATH, spawnIds } from './account.ts';

/** How a child ended: its exit code, or the signal. */
export interface Exit {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
}

/** A child that was started, and its end. */
export interface GuardedChild {
  readonly process: ChildProcess;
  readonly exited: Promise<Exit>;
}

/**
 * Holds the read end of a pipe whose other end only this process has. End of file means that this process is gone: the
 * child gets the signal `$0`. A line means that the child ended first. The guard is nobody's child, so that PostgreSQL
 * does not find a stranger among its own.
 */
const GUARD = '( ( cd /; read -r _ <&3 || kill "-$0" $$ ) </dev/null >/dev/null 2>&1 & ); exec "$@" 3<&-';

/**
 * Starts a program under an account, with an environment of its own.
 * `output` is a file descriptor for what it prints, or 'pipe'. `lastSignal` is what it gets when this process is gone.
 */
export function spawnGuarded(
  account: Account,
  command: readonly string[],
  options: { cwd: string; output: number | 'pipe'; lastSignal: 'INT' | 'TERM' },
): GuardedChild {
  const { cwd, output, lastSignal } = options;
  const child = spawn('/bin/sh', ['-c', GUARD, lastSignal, ...account.prefix, ...command], {
    cwd,
    stdio: [output === 'pipe' ? 'pipe' : 'ignore', output, output, 'pipe'],
    env: { PATH: SYSTEM_PATH, LC_ALL: 'C', TZ: 'UTC' },
    detached: true,
    ...spawnIds(account),
  });
  const guard = child.stdio[3] as Writable;
  guard.on('error', () => {});
  const exited = new Promise<Exit>((resolve) => {
    child.once('error', () => resolve({ code: 127, signal: null }));
    child.once('exit', (code, signal) => {
      guard.end('ended\n');
      resolve({ code, signal });
    });
  });
  return { process: child, exited };
}

/** Signals in turn, each with the milliseconds it has to take effect, until the child has ended. */
export async function endChild(
  child: GuardedChild,
  steps: readonly (readonly [signal: NodeJS.Signals, waitMs: number])[],
): Promise<void> {
  for (const [signal, waitMs] of steps) {
    child.process.kill(signal);
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<'late'>((resolve) => {
      timer = setTimeout(resolve, waitMs, 'late');
    });
    const ended = await Promise.race([child.exited, late]);
    clearTimeout(timer);
    if (ended !== 'late') return;
  }
  await child.exited;
}
