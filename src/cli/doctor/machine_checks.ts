/** The machine: program, memory, disk, files. */
import { existsSync, readFileSync, statSync } from 'node:fs';
import { stat, statfs } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { freemem, totalmem } from 'node:os';
import { dirname, resolve } from 'node:path';
import { clustersSetAside } from '../../database/embedded/embedded_postgres.ts';
import { isBelow, oldestNode } from '../../server/package.ts';
import { formatBytes } from '../table.ts';
import { type Check, closedOrMissing, failure, good, OTHER_USER, skipped, warning } from './check.ts';
import { serverProcess } from './server_process.ts';

/** Below these versions, as below the oldest Node, a stranger can end the process from outside. */
const FLOORS: Readonly<Record<string, string>> = { '@grpc/grpc-js': '1.14.4' };

/** Free space below which PostgreSQL soon takes no writes, and below which it is time to do something. In bytes. */
const DISK_FAILURE_BYTES = 256 * 2 ** 20;
const DISK_WARNING_BYTES = 2 * 2 ** 30;

/** Memory that the server and the embedded PostgreSQL take when calm, with room for one burst. In bytes. */
const MEMORY_WARNING_BYTES = 128 * 2 ** 20;

/** They need no database. */
export const MACHINE_CHECKS: readonly Check[] = [
  {
    name: 'node_version',
    look: () =>
      isBelow(process.versions.node, oldestNode())
        ? failure(
            `Node ${process.versions.node} is older than ${oldestNode()}, which mends crashes from outside`,
            'Start by npm or npx, which bring their own Node, or install a newer one.',
          )
        : good(`Node ${process.versions.node}`),
  },
  {
    name: 'dependency_floors',
    look: () => {
      const old = Object.entries(FLOORS).filter(([name, floor]) => isBelow(installedVersion(name), floor));
      return old.length === 0
        ? good(
            Object.keys(FLOORS)
              .map((name) => `${name} ${installedVersion(name)}`)
              .join(', '),
          )
        : failure(
            `older than they may be: ${old.map(([name]) => `${name} ${installedVersion(name)}`).join(', ')}`,
            'Run npm ci, which installs the versions that this program was tested with.',
          );
    },
  },
  {
    name: 'process_user',
    look: ({ config }) => {
      if (process.getuid?.() !== 0) return good('not root');
      return config.databaseUrl === undefined
        ? good('root; the embedded PostgreSQL runs as another user')
        : warning('root', 'Run the server as a user of its own (the systemd unit of the documents does).');
    },
  },
  {
    name: 'data_directory',
    look: async ({ config }) => {
      // Only who may look into it finds the dot.
      const found = await stat(`${config.dataDir}/.`).catch(closedOrMissing);
      if (found === 'closed') return failure(`${resolve(config.dataDir)} is closed to this user`, OTHER_USER);
      if (found === undefined)
        return failure(
          `${resolve(config.dataDir)} does not exist`,
          'Start the server once, or see whether PASSMANAGER_DATA_DIR names the right place.',
        );
      const mode = found.mode & 0o777;
      return (mode & 0o077) === 0
        ? good(`${resolve(config.dataDir)}, mode ${mode.toString(8)}`)
        : warning(
            `${resolve(config.dataDir)} is open to other users (mode ${mode.toString(8)})`,
            `Run chmod 700 ${config.dataDir}`,
          );
    },
  },
  {
    name: 'disk_space',
    look: async ({ config }) => {
      const { bavail, blocks, bsize } = await statfs(existingParent(config.dataDir));
      const free = bavail * bsize;
      const text = `${formatBytes(free)} of ${formatBytes(blocks * bsize)} free`;
      const advice = 'Make room: with a full disk nothing is saved any more, and reading goes on.';
      if (free < DISK_FAILURE_BYTES) return failure(text, advice);
      return free < DISK_WARNING_BYTES ? warning(text, advice) : good(text);
    },
  },
  {
    name: 'disk_files',
    look: async ({ config }) => {
      const { files, ffree } = await statfs(existingParent(config.dataDir));
      if (files === 0) return skipped('this file system does not count files');
      const text = `${ffree} more files fit`;
      return ffree < 10_000
        ? warning(text, 'Delete files that nobody needs: PostgreSQL makes new ones as it grows.')
        : good(text);
    },
  },
  {
    name: 'earlier_database',
    look: ({ config }) => {
      const paths = clustersSetAside(config.dataDir);
      return paths.length === 0
        ? good('none is kept')
        : warning(
            `${paths.join(', ')} ${paths.length === 1 ? 'is' : 'are'} kept, as before the next major version of PostgreSQL`,
            `What was deleted since is still in there. Once a backup of now is verified, delete it: rm -r ${paths.join(' ')}`,
          );
    },
  },
  {
    name: 'memory',
    look: () => {
      const free = availableMemory();
      const text = `${formatBytes(free)} of ${formatBytes(totalmem())} available`;
      return free < MEMORY_WARNING_BYTES
        ? warning(text, 'End what is not needed: a process that runs out of memory is ended by the system.')
        : good(text);
    },
  },
  {
    name: 'file_descriptors',
    look: ({ config }) => {
      const server = serverProcess(config.dataDir);
      const ofServer = server === undefined ? undefined : fileDescriptorLimit(server);
      const limit = ofServer ?? fileDescriptorLimit('self');
      if (limit === undefined) return skipped('this system does not say');
      const needed = 2 * config.maxConnections + 2 * config.databasePoolSize + 100;
      const whose =
        ofServer === undefined
          ? 'a process that is started as this one was (the server’s own was not found)'
          : `the server (process ${server})`;
      const text = `${limit} for ${whose}, ${needed} needed at most`;
      return limit >= needed
        ? good(text)
        : warning(
            text,
            'Raise the limit (ulimit -n, LimitNOFILE in a systemd unit) or lower PASSMANAGER_MAX_CONNECTIONS.',
          );
    },
  },
];

/** The version of a package that this program uses. */
function installedVersion(name: string): string {
  let directory = dirname(createRequire(import.meta.url).resolve(name));
  for (;;) {
    const file = `${directory}/package.json`;
    if (existsSync(file)) {
      const found = JSON.parse(readFileSync(file, 'utf8')) as { name?: string; version?: string };
      if (found.name === name) return found.version ?? '0.0.0';
    }
    directory = dirname(directory);
  }
}

/** The path, or the nearest directory above it that exists. */
function existingParent(path: string): string {
  let place = resolve(path);
  while (statSync(place, { throwIfNoEntry: false }) === undefined) place = dirname(place);
  return place;
}

function availableMemory(): number {
  try {
    const [, kib] = /^MemAvailable:\s+(\d+) kB$/m.exec(readFileSync('/proc/meminfo', 'utf8')) ?? [];
    return kib === undefined ? freemem() : Number(kib) * 1024;
  } catch {
    return freemem();
  }
}

/** How many files a process may have open, or undefined where the system does not say. Node raises its own limit to it. */
function fileDescriptorLimit(process: number | 'self'): number | undefined {
  try {
    const [, hard] =
      /^Max open files\s+\S+\s+(\d+)/m.exec(readFileSync(`/proc/${process}/limits`, 'utf8')) ?? [];
    return hard === undefined ? undefined : Number(hard);
  } catch {
    return undefined;
  }
}
