/** One node of the cluster: PostgreSQL and the Patroni that runs it, and what of both is installed here. */
import { type ChildProcess, spawnSync } from 'node:child_process';
import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { isRoot, processesOn } from '../support/embedded.ts';

/** One PostgreSQL and its Patroni. */
export class Node {
  readonly name: string;
  readonly directory: string;
  readonly restPort: number;
  readonly port: number;
  patroni: ChildProcess | undefined;

  constructor(name: string, directory: string, restPort: number, port: number) {
    this.name = name;
    this.directory = directory;
    this.restPort = restPort;
    this.port = port;
  }

  get data(): string {
    return join(this.directory, 'data');
  }

  /** All processes of PostgreSQL. */
  #postgres(): number[] {
    return existsSync(this.data) ? processesOn(this.data) : [];
  }

  /** Patroni's process and all of PostgreSQL's. */
  processes(): number[] {
    const patroni = this.patroni?.exitCode === null ? [this.patroni.pid!] : [];
    return [...patroni, ...this.#postgres()];
  }

  signal(name: NodeJS.Signals): void {
    for (const pid of this.processes()) kill(pid, name);
  }

  signalPostgres(name: NodeJS.Signals): void {
    for (const pid of this.#postgres()) kill(pid, name);
  }
}

function kill(pid: number, signal: NodeJS.Signals): void {
  try {
    process.kill(pid, signal);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error;
  }
}

/** The newest PostgreSQL that Debian's packages have installed. */
export function programs(): string {
  const base = '/usr/lib/postgresql';
  const newest = readdirSync(base).sort((one, other) => Number(other) - Number(one))[0];
  return join(base, newest!, 'bin');
}

export function patroniVersion(): string {
  return /[\d.]+/.exec(spawnSync('patroni', ['--version'], { encoding: 'utf8' }).stdout)![0];
}

/** As deploy/patroni/patroni.yaml says: from 3.0.3 on. */
export const isSafeOnEtcd3 = (version: string): boolean =>
  version.localeCompare('3.0.3', undefined, { numeric: true }) >= 0;

/** The account that PostgreSQL and Patroni run under: neither is ever root. */
export function account(): { prefix: string[]; uid: number | undefined } {
  if (!isRoot) return { prefix: [], uid: undefined };
  const [, , uid, gid] = spawnSync('getent', ['passwd', 'postgres'], { encoding: 'utf8' }).stdout.split(':');
  const prefix = ['setpriv', `--reuid=${uid}`, `--regid=${gid}`, '--clear-groups'];
  return { prefix, uid: Number(uid) };
}
