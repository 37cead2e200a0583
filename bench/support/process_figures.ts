/** Processor time and memory of processes, from Linux' /proc. */
import { readdirSync, readFileSync } from 'node:fs';

/** Clock ticks of /proc are hundredths of a second on every Linux. */
const TICK_MS = 10;

/** All descendants of a process, without itself. */
export function descendants(pid: number): number[] {
  const children: number[] = [];
  for (const thread of entries(`/proc/${pid}/task`)) {
    const listed = text(`/proc/${pid}/task/${thread}/children`).trim();
    if (listed !== '') children.push(...listed.split(' ').map(Number));
  }
  return children.flatMap((child) => [child, ...descendants(child)]);
}

/** Processor time that a process has used with all its threads, in milliseconds. */
export function cpuMs(pid: number): number {
  const [own] = times(pid);
  return own;
}

/** Processor time of all descendants, those that have ended included, in milliseconds. */
export function descendantsCpuMs(pid: number): number {
  return descendants(pid).reduce((sum, child) => {
    const [own, reaped] = times(child);
    return sum + own + reaped;
  }, 0);
}

/** Resident memory of a process, in MB of 2^20 bytes. */
export function residentMb(pid: number): number {
  return Number(/^VmRSS:\s+(\d+) kB/m.exec(text(`/proc/${pid}/status`))?.[1] ?? 0) / 1024;
}

/** Proportional set size of processes, where what they share counts once, in MB of 2^20 bytes. */
export function proportionalMb(pids: readonly number[]): number {
  const kib = pids.map((pid) =>
    Number(/^Pss:\s+(\d+) kB/m.exec(text(`/proc/${pid}/smaps_rollup`))?.[1] ?? 0),
  );
  return kib.reduce((sum, value) => sum + value, 0) / 1024;
}

function times(pid: number): [own: number, reapedChildren: number] {
  const fields = text(`/proc/${pid}/stat`).split(') ')[1]?.split(' ') ?? [];
  const ticks = (index: number) => Number(fields[index] ?? 0);
  return [(ticks(11) + ticks(12)) * TICK_MS, (ticks(13) + ticks(14)) * TICK_MS];
}

/** A process may end between two reads: what is gone is empty. */
function text(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return '';
  }
}

function entries(path: string): string[] {
  try {
    return readdirSync(path);
  } catch {
    return [];
  }
}
