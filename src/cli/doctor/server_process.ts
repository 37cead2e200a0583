/** The process of the server that runs on this machine. */
import { readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';

/**
 * The id of the process that holds the lock of a data directory, by the kernel's list of locks (proc_locks(5)); undefined
 * where no other process does, or the system does not say.
 */
export function serverProcess(dataDir: string): number | undefined {
  try {
    const { ino } = statSync(join(dataDir, 'lock'));
    const holders = readFileSync('/proc/locks', 'utf8').matchAll(
      /^\d+: +POSIX +\S+ +WRITE +(\d+) +[0-9a-f]+:[0-9a-f]+:(\d+) /gm,
    );
    for (const [, pid, inode] of holders) {
      if (Number(inode) === ino && Number(pid) !== process.pid && Number(pid) > 0) return Number(pid);
    }
  } catch {
    // No lock, or a system without such a list.
  }
  return undefined;
}
