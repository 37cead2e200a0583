/** The cluster, PostgreSQL's word for its data directory: made once, checked and configured at every start. */
import { randomBytes } from 'node:crypto';
import { chown, lstat, mkdir, readdir, readFile, rename, rm } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import type { Account } from './account.ts';
import { giveTree, syncDirectory, writeDurably } from './durable_file.ts';
import { DiskFullError, EmbeddedPostgresError, ForeignVersionError, saysDiskFull } from './errors.ts';
import type { Layout } from './layout.ts';
import { stopOrphan } from './orphan.ts';
import type { PostgresBinaries } from './postgres_binaries.ts';
import { ProgramFailedError, runProgram } from './run_program.ts';
import { FIRST_STATEMENTS, PG_HBA_CONF, postgresqlConf } from './settings.ts';

/** What it takes to make a cluster and to run it. */
export interface ClusterParts {
  readonly layout: Layout;
  readonly binaries: PostgresBinaries;
  readonly account: Account;
  readonly maxConnections: number;
}

/**
 * Leaves a cluster that PostgreSQL can be started on. `goOn` brings one of the major version before to this one. The caller
 * holds the lock of the data directory, and no PostgreSQL runs on it. Throws ForeignVersionError, DiskFullError and
 * EmbeddedPostgresError; a cluster that was there is unharmed.
 */
export async function prepareCluster(
  parts: ClusterParts,
  goOn?: (found: string) => Promise<void>,
): Promise<void> {
  const { layout, account, binaries, maxConnections } = parts;
  try {
    await settleClusters(layout);
    if (!(await exists(layout.cluster))) {
      await rename(await makeCluster(parts), layout.cluster);
      await syncDirectory(layout.home);
    }
    await takeOwnership(layout.cluster, account);
    const [found, ours] = [await versionOf(layout), binaries.majorVersion];
    if (found !== ours) {
      if (goOn === undefined || Number(found) !== Number(ours) - 1)
        throw new ForeignVersionError(layout.dataDir, found, ours);
      await goOn(found);
    }
    await writeDurably(
      join(layout.cluster, 'postgresql.conf'),
      postgresqlConf(maxConnections),
      account.ownerId,
      account.groupId,
    );
    await writeDurably(join(layout.cluster, 'pg_hba.conf'), PG_HBA_CONF, account.ownerId, account.groupId);
  } catch (error) {
    if (error instanceof EmbeddedPostgresError) throw error;
    const said = error instanceof ProgramFailedError ? error.output : String((error as Error).message);
    if (saysDiskFull(said)) throw new DiskFullError(layout.dataDir);
    throw new EmbeddedPostgresError(`the database in ${layout.dataDir} cannot be prepared: ${said}`, {
      cause: error,
    });
  }
}

/**
 * Makes a cluster under another name, which it answers, to be renamed when all of it is on disk: initdb refuses a directory
 * that it left half-made, and PostgreSQL starts on one. Nothing is left of one that failed.
 */
export async function makeCluster({
  layout,
  binaries,
  account,
  maxConnections,
}: ClusterParts): Promise<string> {
  const making = `${layout.making}${randomBytes(6).toString('hex')}`;
  try {
    await mkdir(making, { mode: 0o700 });
    if (account.ownerId !== undefined)
      await chown(making, account.ownerId, account.groupId ?? account.ownerId);
    const options = { cwd: dirname(making) };
    await runProgram(
      account,
      [
        ...[
          binaries.initdb,
          '-D',
          making,
          '-U',
          'postgres',
          '--auth=trust',
          '-E',
          'UTF8',
          '--data-checksums',
        ],
        ...['--locale=C', '--locale-provider=builtin', '--builtin-locale=C.UTF-8'],
      ],
      options,
    );
    await writeDurably(
      join(making, 'postgresql.conf'),
      postgresqlConf(maxConnections),
      account.ownerId,
      account.groupId,
    );
    await writeDurably(join(making, 'pg_hba.conf'), PG_HBA_CONF, account.ownerId, account.groupId);
    await runProgram(
      account,
      [binaries.postgres, '--single', '-D', making, '-c', 'exit_on_error=on', 'postgres'],
      { ...options, input: FIRST_STATEMENTS },
    );
    return making;
  } catch (error) {
    await rm(making, { recursive: true, force: true, maxRetries: 5 });
    throw error;
  }
}

/**
 * Settles what an interrupted start left. The cluster of the next major version takes its place where the one before was
 * set aside already; otherwise it is given up, as is one that was not whole: the one before may have been used since.
 */
async function settleClusters({ home, cluster, making, next }: Layout): Promise<void> {
  for (const path of (await readdir(home)).map((name) => join(home, name))) {
    if (path === next && !(await exists(cluster))) {
      await rename(next, cluster);
      await syncDirectory(home);
    } else if (path === next || path.startsWith(making)) {
      await stopOrphan(path);
      await rm(path, { recursive: true, force: true, maxRetries: 5 });
    }
  }
}

async function versionOf({ cluster, dataDir }: Layout): Promise<string> {
  const version = await readFile(join(cluster, 'PG_VERSION'), 'utf8').catch(
    (error: NodeJS.ErrnoException) => {
      if (error.code !== 'ENOENT') throw error;
      throw new EmbeddedPostgresError(
        `${cluster} is no PostgreSQL database: restore ${dataDir} from its backup`,
      );
    },
  );
  return version.trim();
}

/** A copy that root made belongs to root, and so does a cluster that was made in another way. */
async function takeOwnership(cluster: string, { ownerId, groupId }: Account): Promise<void> {
  const { uid } = await lstat(cluster);
  if (ownerId !== undefined) {
    if (uid !== ownerId) await giveTree(cluster, ownerId, groupId);
  } else if (uid !== process.geteuid?.()) {
    throw new EmbeddedPostgresError(
      `${cluster} belongs to another account (user id ${uid}): start the server as that account, or as root, or give ` +
        'the directory to this one with chown -R',
    );
  }
}

async function exists(path: string): Promise<boolean> {
  return lstat(path).then(
    () => true,
    (error: NodeJS.ErrnoException) => {
      if (error.code === 'ENOENT') return false;
      throw error;
    },
  );
}
