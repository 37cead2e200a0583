/**
 * The account that PostgreSQL runs under. PostgreSQL refuses to run as root, so a server that is root runs it as one
 * without privileges, in the first of several ways that this machine allows (docs/adr/0003).
 */
import { spawnSync } from 'node:child_process';
import { userInfo } from 'node:os';
import { dirname } from 'node:path';
import { EmbeddedPostgresError } from './errors.ts';

/** nobody and nogroup. */
const UNPRIVILEGED_ID = 65534;

/** Where the helper programs of the system are; the caller's own PATH is not handed on. */
export const SYSTEM_PATH =
  '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin:/run/current-system/sw/bin';

/** How a program is started under the account. */
export interface Account {
  readonly name: 'own' | 'setpriv' | 'unshare' | 'setuid';
  /** Goes before the program and its parameters. */
  readonly prefix: readonly string[];
  /** The ids that the child is spawned with; undefined: those of this process. */
  readonly spawnId: number | undefined;
  /** Who owns its files, as this process sees it; undefined: whoever made them. */
  readonly ownerId: number | undefined;
  /** Permissions of the directory around its files: enterable by others only where there is no other way in. */
  readonly parentMode: number;
}

/** This process's own account. */
const OWN: Account = { name: 'own', prefix: [], spawnId: undefined, ownerId: undefined, parentMode: 0o700 };

/** What a server that is root may try, best first. */
export const WAYS: readonly Account[] = [
  {
    name: 'setpriv',
    prefix: [
      'setpriv',
      // Without it access(2), by which PostgreSQL finds its own programs, looks with the rights of nobody alone.
      '--securebits=+no_setuid_fixup',
      `--reuid=${UNPRIVILEGED_ID}`,
      `--regid=${UNPRIVILEGED_ID}`,
      '--clear-groups',
      '--no-new-privs',
      '--inh-caps=+dac_read_search',
      '--ambient-caps=+dac_read_search',
    ],
    spawnId: undefined,
    ownerId: UNPRIVILEGED_ID,
    parentMode: 0o700,
  },
  {
    name: 'unshare',
    prefix: ['unshare', '--user', `--map-user=${UNPRIVILEGED_ID}`, `--map-group=${UNPRIVILEGED_ID}`],
    spawnId: undefined,
    ownerId: 0,
    parentMode: 0o700,
  },
  {
    name: 'setuid',
    prefix: [],
    spawnId: UNPRIVILEGED_ID,
    ownerId: UNPRIVILEGED_ID,
    parentMode: 0o711,
  },
];

/**
 * What a user id without a name may try: PostgreSQL looks its user up and refuses to run as nobody known. Containers are
 * often given such ids.
 */
const NAMED: Account = {
  ...OWN,
  name: 'unshare',
  prefix: ['unshare', '--user', `--map-user=${UNPRIVILEGED_ID}`, `--map-group=${UNPRIVILEGED_ID}`],
};

/**
 * The account for this process: its own where that will do, or the first of `ways` that can run `program` and reach
 * `dataDir`. Throws EmbeddedPostgresError where none can.
 */
export function chooseAccount(
  program: string,
  dataDir: string,
  { isRoot = process.getuid?.() === 0, hasName = hasUserName(), ways = WAYS, works = wayWorks } = {},
): Account {
  if (!isRoot) {
    if (hasName) return OWN;
    if (works(NAMED, program, dataDir)) return NAMED;
    throw new EmbeddedPostgresError(
      `PostgreSQL needs a user with a name, and user id ${process.getuid?.()} has none here: add it to /etc/passwd, start ` +
        'the server as another user, or set PASSMANAGER_DATABASE_URL',
    );
  }
  const account = ways.find((way) => works(way, program, dataDir));
  if (account === undefined) {
    throw new EmbeddedPostgresError(
      'PostgreSQL does not run as root, and no way to run it under another account works here (setpriv with ' +
        `dac_read_search, unshare --user, or nobody, who would need to enter ${dirname(dataDir)} and to read ${program}): ` +
        'start the server as an ordinary user, or set PASSMANAGER_DATABASE_URL',
    );
  }
  return account;
}

function hasUserName(): boolean {
  try {
    return userInfo().username !== '';
  } catch {
    return false;
  }
}

/** Tries a way on the program itself and on the directory above the data. */
export function wayWorks(way: Account, program: string, dataDir: string): boolean {
  const succeeds = (...command: readonly string[]): boolean => {
    const [file, ...parameters] = [...way.prefix, ...command];
    const id = way.spawnId === undefined ? {} : { uid: way.spawnId, gid: way.spawnId };
    return spawnSync(file!, parameters, { stdio: 'ignore', env: { PATH: SYSTEM_PATH }, ...id }).status === 0;
  };
  return (
    succeeds(program, '--version') &&
    [program, dirname(dataDir)].every((path) => succeeds('test', '-x', path))
  );
}
