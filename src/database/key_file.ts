/** The key file: 32 random bytes in hexadecimal, readable by its owner alone, kept outside the database. */
import { constants } from 'node:fs';
import { open, readFile, rename, rm, stat } from 'node:fs/promises';
import { dirname } from 'node:path';
import { bytesToHex, hexToBytes } from '../protocol/bytes.ts';
import { giveToOwner, syncDirectory } from './embedded/durable_file.ts';

/** A key file that cannot be used; the message says what to do. */
export class KeyFileError extends Error {
  constructor(message: string) {
    super(message);
    this.name = 'KeyFileError';
  }
}

/** The key, 32 bytes, or undefined where there is no file. Throws KeyFileError for one that is malformed or open to others. */
export async function readKeyFile(path: string): Promise<Uint8Array | undefined> {
  let text: string;
  try {
    text = await readFile(path, 'utf8');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw new KeyFileError(`the key file ${path} cannot be read (${(error as NodeJS.ErrnoException).code})`);
  }
  const { mode } = await stat(path);
  if (process.platform !== 'win32' && (mode & 0o077) !== 0) {
    throw new KeyFileError(`the key file ${path} is open to other users: run chmod 600 on it`);
  }
  if (!/^[0-9a-f]{64}\s*$/.test(text)) {
    throw new KeyFileError(
      `the key file ${path} is damaged: it holds 64 hexadecimal digits. Restore it from its backup`,
    );
  }
  return hexToBytes(text.trim());
}

/** Writes a new key file whole or not at all, on disk before it returns. Throws KeyFileError where one exists. */
export async function writeKeyFile(path: string, key: Uint8Array): Promise<void> {
  const publish = await stageKeyFile(path, key);
  await publish();
}

/**
 * Puts a new key file on disk beside its place, under `<path>.new`. Returns what moves it there. Throws KeyFileError where
 * one exists.
 */
export async function stageKeyFile(path: string, key: Uint8Array): Promise<() => Promise<void>> {
  if ((await stat(path).catch(() => undefined)) !== undefined) {
    throw new KeyFileError(`the key file ${path} exists and is never overwritten: move it away first`);
  }
  const temporary = `${path}.new`;
  await rm(temporary, { force: true });
  const file = await open(temporary, constants.O_CREAT | constants.O_EXCL | constants.O_WRONLY, 0o600);
  try {
    await file.writeFile(`${bytesToHex(key)}\n`);
    giveToOwner(file.fd, dirname(path));
    await file.sync();
  } finally {
    await file.close();
  }
  return async () => {
    await rename(temporary, path);
    await syncDirectory(dirname(path), () => {});
  };
}
