/** The file of a backup: frames, compressed by Zstandard (RFC 8878), sealed, and whole or not there. */
import { randomBytes } from 'node:crypto';
import { createReadStream, createWriteStream } from 'node:fs';
import { open, rename, rm, stat } from 'node:fs/promises';
import { basename, dirname } from 'node:path';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { createZstdCompress, createZstdDecompress } from 'node:zlib';
import { syncDirectory } from '../embedded/durable_file.ts';
import { BackupError, DamagedBackupError } from './backup_errors.ts';
import { decodeFrames, encodeFrame, type Frame } from './backup_frames.ts';
import {
  type BackupKdf,
  HEADER_BYTES,
  newHeader,
  openChunks,
  openHeader,
  sealChunks,
} from './backup_seal.ts';
import { removeUnfinished, unfinishedPath } from './unfinished.ts';

/** Bytes that are read from a file at once. */
const READ_BYTES = 1024 * 1024;

/** The line of a passphrase file, without white space around it. Throws BackupError. */
export function passphraseOf(text: string): string {
  const line = text.trim();
  if (/[\r\n]/.test(line))
    throw new BackupError('the passphrase file has more than one line: the passphrase is one line');
  return line;
}

/**
 * Writes a backup under a name of its own beside `path`, has it on disk, and renames it: who finds `path` finds all of it,
 * of the last of several that were made at once. What earlier ones left unfinished is removed. Mode 0600. Answers its size
 * in bytes. Throws BackupError, what `frames` throws, and errors of the file system; nothing is left under `path` then that
 * was not there before.
 */
export async function writeBackupFile(
  path: string,
  frames: AsyncIterable<Frame>,
  options: { passphrase: string; kdf?: BackupKdf; signal?: AbortSignal },
): Promise<number> {
  await removeUnfinished(dirname(path), (name) => name === basename(path)).catch(() => {});
  const unfinished = unfinishedPath(path);
  const seal = await newHeader(options.passphrase, randomBytes, options.kdf);
  try {
    await pipeline(
      Readable.from(encoded(frames), { objectMode: false }),
      createZstdCompress(),
      (source: AsyncIterable<Buffer>) => sealChunks(source, seal),
      createWriteStream(unfinished, { mode: 0o600, flags: 'wx', flush: true }),
      ...(options.signal === undefined ? [] : [{ signal: options.signal }]),
    );
    const { size } = await stat(unfinished);
    await rename(unfinished, path);
    await syncDirectory(dirname(path), () => {});
    return size;
  } catch (error) {
    await rm(unfinished, { force: true });
    throw error;
  } finally {
    seal.key.fill(0);
  }
}

/** The frames of a backup. Throws BackupError and its kinds at the first frame or at any later one. */
export async function* readBackupFile(path: string, passphrase: string): AsyncGenerator<Frame> {
  const header = await headerOf(path);
  const key = await openHeader(header, passphrase);
  const source = createReadStream(path, { start: HEADER_BYTES, highWaterMark: READ_BYTES });
  const sealed = source as AsyncIterable<Buffer>;
  const plain = Readable.from(openChunks(sealed, { header, key }), { objectMode: false });
  const unpacked = createZstdDecompress();
  const flowing = pipeline(plain, unpacked);
  flowing.catch(() => {});
  try {
    yield* decodeFrames(unpacked as AsyncIterable<Buffer>);
    await flowing;
  } catch (error) {
    // What the seal or the file says comes before what its end looks like from further down.
    throw asBackupError(
      await flowing.then(
        () => error,
        (reason: unknown) => (reason instanceof BackupError ? reason : error),
      ),
    );
  } finally {
    source.destroy();
    plain.destroy();
    unpacked.destroy();
    key.fill(0);
  }
}

async function* encoded(frames: AsyncIterable<Frame>): AsyncGenerator<Buffer> {
  for await (const frame of frames) yield encodeFrame(frame);
}

async function headerOf(path: string): Promise<Buffer> {
  const file = await open(path, 'r').catch((error: NodeJS.ErrnoException) => {
    throw new BackupError(`the backup ${path} cannot be read (${error.code})`, { cause: error });
  });
  try {
    const header = Buffer.alloc(HEADER_BYTES);
    const { bytesRead } = await file.read(header, 0, HEADER_BYTES, 0);
    return header.subarray(0, bytesRead);
  } finally {
    await file.close();
  }
}

/** Behind an intact seal nothing is damaged by chance; what the decompressor refuses was made so. */
function asBackupError(error: unknown): unknown {
  const code = (error as NodeJS.ErrnoException).code;
  return typeof code === 'string' && code.startsWith('ZSTD_')
    ? new DamagedBackupError(`its contents cannot be unpacked (${code})`)
    : error;
}
