/**
 * The account that PostgreSQL runs under. PostgreSQL refuses to run as root, so root runs it as the owner of the data
 * directory, or as nobody where that is root itself, in the first of several ways that this machine allows
 * (docs/adr/0003).
 */
import { spawnSync } from 'node:child_process';
import { statSync } from 'node:fs';
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
  /** Their group, and that of the spawned child, where its number is another than that of the user. */
  readonly groupId?: number;
  /** Permissions of the directory around its files: enterable by others only where there is no other way in. */
  readonly parentMode: number;
}

/** This process's own account. */
const OWN: Account = { name: 'own', prefix: [], spawnId: undefined, ownerId: undefined, parentMode: 0o700 };

/** Without it access(2), by which PostgreSQL finds its own programs, looks with the rights of the user alone. */
const setpriv = (userId: number, groupId: number): readonly string[] => [
  'setpriv',
  '--securebits=+no_setuid_fixup',
  `--reuid=${userId}`,
  `--regid=${groupId}`,
  '--clear-groups',
  '--no-new-privs',
  '--inh-caps=+dac_read_search',
  '--ambient-caps=+dac_read_search',
];

/** Runs a program under a name, for a user id that has none. */
const UNSHARE = [
  'unshare',
  '--user',
  `--map-user=${UNPRIVILEGED_ID}`,
  `--map-group=${UNPRIVILEGED_ID}`,
] as const;

/** What root may try where the data directory is its own, best first. */
export const WAYS: readonly Account[] = [
  {
    name: 'setpriv',
    prefix: setpriv(UNPRIVILEGED_ID, UNPRIVILEGED_ID),
    spawnId: undefined,
    ownerId: UNPRIVILEGED_ID,
    parentMode: 0o700,
  },
  {
    name: 'unshare',
    prefix: UNSHARE,
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

/** Whom a data directory belongs to. */
interface Owner {
  readonly uid: number;
  readonly gid: number;
}

/** What root may try where the data directory is another's, best first: what that one owns stays that one's. */
function waysAs({ uid, gid }: Owner): readonly Account[] {
  const own = { ownerId: uid, groupId: gid, parentMode: 0o700 };
  return [
    { ...own, name: 'setpriv', prefix: setpriv(uid, gid), spawnId: undefined },
    { ...own, name: 'unshare', prefix: UNSHARE, spawnId: uid },
    { ...own, name: 'setuid', prefix: [], spawnId: uid },
  ];
}

/**
 * What a user id without a name may try: PostgreSQL looks its user up and refuses to run as nobody known. Containers are
 * often given such ids.
 */
const NAMED: Account = {
  ...OWN,
  name: 'unshare',
  prefix: UNSHARE,
};

/**
 * The account for this process: its own where that will do, or for root the first way that can run `program` and reach
 * `dataDir`, which stays its `owner`'s. Throws EmbeddedPostgresError where none can.
 */
export function chooseAccount(
  program: string,
  dataDir: string,
  {
    isRoot = process.getuid?.() === 0,
    hasName = hasUserName(),
    owner = ownerOf(dataDir),
    works = wayWorks,
  } = {},
): Account {
  if (!isRoot) {
    if (hasName) return OWN;
    if (works(NAMED, program, dataDir)) return NAMED;
    throw new EmbeddedPostgresError(
      `PostgreSQL needs a user with a name, and user id ${process.getuid?.()} has none here: add it to /etc/passwd, start ` +
        'the server as another user, or set PASSMANAGER_DATABASE_URL',
    );
  }
  const isOthers = owner !== undefined && owner.uid !== 0;
  const account = (isOthers ? waysAs(owner) : WAYS).find((way) => works(way, program, dataDir));
  if (account === undefined && isOthers) {
    throw new EmbeddedPostgresError(
      `${dataDir} belongs to user id ${owner.uid}, and no way to run PostgreSQL as that user works here: run this as ` +
        `that user, such as by sudo -u '#${owner.uid}'`,
    );
  }
  if (account === undefined) {
    throw new EmbeddedPostgresError(
      'PostgreSQL does not run as root, and no way to run it under another account works here (setpriv with ' +
        `dac_read_search, unshare --user, or nobody, who would need to enter ${dirname(dataDir)} and to read ${program}): ` +
        'start the server as an ordinary user, or set PASSMANAGER_DATABASE_URL',
    );
  }
  return account;
}

function ownerOf(dataDir: string): Owner | undefined {
  return statSync(dataDir, { throwIfNoEntry: false });
}

function hasUserName(): boolean {
  try {
    return userInfo().username !== '';
  } catch {
    return false;
  }
}

/** What a child of an account is spawned with. */
export const spawnIds = ({ spawnId, groupId = spawnId }: Account): { uid?: number; gid?: number } =>
  spawnId === undefined ? {} : { uid: spawnId, gid: groupId! };

/** Tries a way on the program itself, on the name of its user, and on the directory above the data. */
export function wayWorks(way: Account, program: string, dataDir: string): boolean {
  const succeeds = (...command: readonly string[]): boolean => {
    const [file, ...parameters] = [...way.prefix, ...command];
    const options = { stdio: 'ignore', env: { PATH: SYSTEM_PATH }, ...spawnIds(way) } as const;
    return spawnSync(file!, parameters, options).status === 0;
  };
  return (
    succeeds(program, '--version') &&
    succeeds('id', '-un') &&
    [program, dirname(dataDir)].every((path) => succeeds('test', '-x', path))
  );
}
