/** Files that are whole and on disk, or as they were. */
import { constants, fchownSync, lstatSync, type Stats } from 'node:fs';
import { lchown, lstat, open, readdir, readFile, rename, rm } from 'node:fs/promises';
import { dirname, join } from 'node:path';

/**
 * Waits until a directory's entries are on disk. `refused` is told where the file system cannot do that, as some of the
 * network cannot; it throws by default. Throws errors of opening the directory.
 */
export async function syncDirectory(
  path: string,
  refused: (error: unknown) => void = (error) => {
    throw error;
  },
): Promise<void> {
  const directory = await open(path, constants.O_RDONLY);
  try {
    await directory.sync().catch(refused);
  } finally {
    await directory.close();
  }
}

/**
 * Gives a file this content (mode 0600), unless it has it. A link in its place is replaced, never followed: the directory
 * may belong to an account with fewer rights than this process.
 */
export async function writeDurably(
  path: string,
  content: string,
  ownerId: number | undefined,
  groupId = ownerId,
): Promise<void> {
  const isFile = (stats: Stats): boolean => stats.isFile();
  if (await lstat(path).then(isFile, () => false)) {
    if ((await readFile(path, 'utf8')) === content) return;
  }
  const temporary = `${path}.new`;
  await rm(temporary, { recursive: true, force: true });
  const file = await open(temporary, constants.O_CREAT | constants.O_EXCL | constants.O_WRONLY, 0o600);
  try {
    await file.writeFile(content);
    if (ownerId !== undefined) await file.chown(ownerId, groupId!);
    await file.sync();
  } finally {
    await file.close();
  }
  await rename(temporary, path);
  await syncDirectory(dirname(path));
}

/** Gives a tree to an account, links themselves and not what they point to. The top comes last: it says that all was done. */
export async function giveTree(path: string, ownerId: number, groupId = ownerId): Promise<void> {
  if ((await lstat(path)).isDirectory()) {
    for (const name of await readdir(path)) await giveTree(join(path, name), ownerId, groupId);
  }
  await lchown(path, ownerId, groupId);
}

/**
 * Gives a file that this process just made, by its descriptor, to whom its directory belongs: what root makes among the
 * files of another user is that one's. Nothing for any other user.
 */
export function giveToOwner(descriptor: number, directory: string): void {
  if (process.geteuid?.() !== 0) return;
  const { uid, gid } = lstatSync(directory);
  if (uid !== 0) fchownSync(descriptor, uid, gid);
}
