/** A PostgreSQL that outlived its server, killed by -9: it is stopped cleanly before another is started on its data. */
import { execFileSync } from 'node:child_process';
import { readFileSync, rmSync, statSync } from 'node:fs';
import { basename, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';

/** Fast shutdown, immediate shutdown, the end; each with the milliseconds it has. */
const STEPS: readonly (readonly [NodeJS.Signals, number])[] = [
  ['SIGINT', 15_000],
  ['SIGQUIT', 5_000],
  ['SIGKILL', 5_000],
];

/**
 * Stops what `postmaster.pid` names, if it is a PostgreSQL that runs on this cluster, and returns its process id. The
 * caller holds the lock of the data directory. A file that names another process, as after a restart of the machine, is
 * removed: PostgreSQL would refuse to start for as long as that one lives.
 */
export async function stopOrphan(cluster: string): Promise<number | undefined> {
  const file = join(cluster, 'postmaster.pid');
  const pid = firstNumber(file);
  if (pid === undefined || !isAlive(pid)) return undefined;
  if (!runsOn(pid, cluster)) {
    rmSync(file, { force: true });
    return undefined;
  }
  for (const [signal, waitMs] of STEPS) {
    signalProcess(pid, signal);
    for (let waited = 0; waited < waitMs; waited += 20) {
      if (!isAlive(pid) || !runsOn(pid, cluster)) return pid;
      await sleep(20);
    }
  }
  return pid;
}

function firstNumber(path: string): number | undefined {
  try {
    const number = Number.parseInt(readFileSync(path, 'utf8'), 10);
    return number > 1 ? number : undefined;
  } catch {
    return undefined;
  }
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM';
  }
}

function signalProcess(pid: number, signal: NodeJS.Signals): void {
  try {
    process.kill(pid, signal);
  } catch {
    // It ended by itself.
  }
}

/** A postmaster's working directory is its cluster, whatever that is called by now. */
function runsOn(pid: number, cluster: string): boolean {
  if (process.platform !== 'linux') {
    try {
      return (
        basename(execFileSync('ps', ['-p', `${pid}`, '-o', 'comm='], { encoding: 'utf8' }).trim()) ===
        'postgres'
      );
    } catch {
      return false;
    }
  }
  try {
    const [theirs, ours] = [statSync(`/proc/${pid}/cwd`), statSync(cluster)];
    return theirs.dev === ours.dev && theirs.ino === ours.ino;
  } catch (error) {
    // In a container root may not look into processes of other accounts, but it sees their command lines.
    if (!['EACCES', 'EPERM'].includes((error as NodeJS.ErrnoException).code!)) return false;
    return basename(commandOf(pid)) === 'postgres';
  }
}

function commandOf(pid: number): string {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, 'utf8').split('\0')[0]!;
  } catch {
    return '';
  }
}
