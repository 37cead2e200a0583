/**
 * The seal of a backup: AES-256-GCM in chunks under a key that Argon2id makes of the passphrase. The nonce of a chunk is its
 * number and whether it is the last, and the header is part of every seal, so chunks cannot be changed, reordered, left out
 * or taken from another backup, and a file that was cut off is noticed (the STREAM construction of Hoang, Reyhanitabar, Rogaway
 * and Vizár, “Online Authenticated-Encryption and its Nonce-Reuse Misuse-Resistance”, 2015).
 */
import { createCipheriv, createDecipheriv, createHash, timingSafeEqual } from 'node:crypto';
import { frame, hkdf, type RandomBytes } from '../../protocol/bytes.ts';
import { KEY_BYTES, NONCE_BYTES, TAG_BYTES } from '../../protocol/sizes.ts';
import { BackupError, DamagedBackupError, NewerBackupError, WrongPassphraseError } from './backup_errors.ts';

/** The work of Argon2id for a guess. Memory in KiB. */
export interface BackupKdf {
  readonly memoryKib: number;
  readonly iterations: number;
  readonly parallelism: number;
}

/** 64 MiB three times over, as for a vault. */
const BACKUP_KDF: BackupKdf = { memoryKib: 65_536, iterations: 3, parallelism: 1 };

/** What a header may ask of the machine that opens it. */
const MOST_WORK: BackupKdf = { memoryKib: 2 ** 20, iterations: 16, parallelism: 16 };

/** The shortest passphrase, in characters: it stands before everything that the server has. */
export const PASSPHRASE_CHARACTERS = 12;

const MAGIC = Buffer.from('PMBACKUP', 'ascii');
const VERSION = 1;
const SALT_BYTES = 16;
const CHECK_BYTES = 16;
const DIGEST_BYTES = 8;

/** `magic 8 | version 1 | memory 4 | iterations 4 | parallelism 4 | salt 16 | check 16 | digest 8`. */
export const HEADER_BYTES = 61;

/** Plaintext of every chunk but the last, in bytes. */
export const CHUNK_BYTES = 256 * 1024;

/** Makes a header for a passphrase and the key of its chunks (32 bytes). Throws BackupError for a passphrase that is too short. */
export async function newHeader(
  passphrase: string,
  random: RandomBytes,
  kdf: BackupKdf = BACKUP_KDF,
): Promise<{ header: Buffer; key: Uint8Array }> {
  if ([...passphrase].length < PASSPHRASE_CHARACTERS)
    throw new BackupError(`the passphrase is shorter than ${PASSPHRASE_CHARACTERS} characters`);
  const salt = random(SALT_BYTES);
  const { key, check } = await keysOf(passphrase, salt, kdf);
  const work = Buffer.alloc(12);
  work.writeUInt32BE(kdf.memoryKib, 0);
  work.writeUInt32BE(kdf.iterations, 4);
  work.writeUInt32BE(kdf.parallelism, 8);
  const body = Buffer.concat([MAGIC, Buffer.of(VERSION), work, salt, check]);
  return { header: Buffer.concat([body, digestOf(body)]), key };
}

/** The key of the chunks after a header. Throws BackupError and its kinds. */
export async function openHeader(header: Buffer, passphrase: string): Promise<Uint8Array> {
  if (header.length < MAGIC.length || !header.subarray(0, MAGIC.length).equals(MAGIC))
    throw new BackupError('this file is no backup of this program');
  if (header.length < HEADER_BYTES) throw new DamagedBackupError('it ends within its header');
  if (header.readUInt8(8) !== VERSION) throw new NewerBackupError(`a file of version ${header.readUInt8(8)}`);
  const body = header.subarray(0, HEADER_BYTES - DIGEST_BYTES);
  if (!digestOf(body).equals(header.subarray(HEADER_BYTES - DIGEST_BYTES)))
    throw new DamagedBackupError('its header was changed');
  const kdf = {
    memoryKib: header.readUInt32BE(9),
    iterations: header.readUInt32BE(13),
    parallelism: header.readUInt32BE(17),
  };
  if (
    kdf.memoryKib > MOST_WORK.memoryKib ||
    kdf.iterations > MOST_WORK.iterations ||
    kdf.parallelism > MOST_WORK.parallelism
  )
    throw new DamagedBackupError('its header asks for more work than any backup needs');
  // RFC 9106 §3.1.
  if (kdf.iterations < 1 || kdf.parallelism < 1 || kdf.memoryKib < 8 * kdf.parallelism)
    throw new DamagedBackupError('its header asks for less work than there is');
  const { key, check } = await keysOf(passphrase, header.subarray(21, 21 + SALT_BYTES), kdf);
  if (!timingSafeEqual(check, header.subarray(37, 37 + CHECK_BYTES))) throw new WrongPassphraseError();
  return key;
}

/** The header and the sealed chunks of a stream of bytes. */
export async function* sealChunks(
  source: AsyncIterable<Buffer>,
  { header, key }: { header: Buffer; key: Uint8Array },
): AsyncGenerator<Buffer> {
  yield header;
  let index = 0;
  let parts: Buffer[] = [];
  let size = 0;
  for await (const piece of source) {
    parts.push(piece);
    size += piece.length;
    // A full chunk waits until there is more: only then it is not the last.
    if (size <= CHUNK_BYTES) continue;
    let held = Buffer.concat(parts, size);
    while (held.length > CHUNK_BYTES) {
      yield sealChunk(key, header, index, false, held.subarray(0, CHUNK_BYTES));
      index += 1;
      held = held.subarray(CHUNK_BYTES);
    }
    parts = [held];
    size = held.length;
  }
  yield sealChunk(key, header, index, true, Buffer.concat(parts, size));
}

/** The bytes of sealed chunks, which come in any pieces and without the header. Throws DamagedBackupError. */
export async function* openChunks(
  source: AsyncIterable<Buffer>,
  { header, key }: { header: Buffer; key: Uint8Array },
): AsyncGenerator<Buffer> {
  let held: Buffer = Buffer.alloc(0);
  let index = 0;
  const sealedBytes = CHUNK_BYTES + TAG_BYTES;
  for await (const piece of source) {
    held = held.length === 0 ? piece : Buffer.concat([held, piece]);
    while (held.length > sealedBytes) {
      yield openChunk(key, header, index, false, held.subarray(0, sealedBytes));
      index += 1;
      held = held.subarray(sealedBytes);
    }
  }
  if (held.length < TAG_BYTES) throw new DamagedBackupError('it was cut off');
  yield openChunk(key, header, index, true, held);
}

async function keysOf(
  passphrase: string,
  salt: Uint8Array,
  { memoryKib, iterations, parallelism }: BackupKdf,
): Promise<{ key: Uint8Array; check: Uint8Array }> {
  const { argon2id, hash } = await import('argon2');
  const secret = await hash(Buffer.from(passphrase.normalize('NFC'), 'utf8'), {
    raw: true,
    type: argon2id,
    version: 0x13,
    salt: Buffer.from(salt),
    memoryCost: memoryKib,
    timeCost: iterations,
    parallelism,
    hashLength: KEY_BYTES,
  });
  return {
    key: hkdf(secret, 'passmanager/v1 backup chunks'),
    check: hkdf(secret, 'passmanager/v1 backup check').subarray(0, CHECK_BYTES),
  };
}

const digestOf = (body: Buffer): Buffer =>
  createHash('sha256').update(body).digest().subarray(0, DIGEST_BYTES);

/** `last (1 byte) | 0 0 0 | index (8 bytes)`: never twice under one key, which is the file's own. */
function nonceOf(index: number, isLast: boolean): Buffer {
  const nonce = Buffer.alloc(NONCE_BYTES);
  nonce.writeUInt8(isLast ? 1 : 0, 0);
  nonce.writeBigUInt64BE(BigInt(index), 4);
  return nonce;
}

const aadOf = (header: Buffer): Uint8Array => frame('passmanager/v1 backup', header);

function sealChunk(
  key: Uint8Array,
  header: Buffer,
  index: number,
  isLast: boolean,
  plaintext: Buffer,
): Buffer {
  const cipher = createCipheriv('aes-256-gcm', key, nonceOf(index, isLast));
  cipher.setAAD(aadOf(header));
  const ciphertext = cipher.update(plaintext);
  cipher.final();
  return Buffer.concat([ciphertext, cipher.getAuthTag()]);
}

function openChunk(key: Uint8Array, header: Buffer, index: number, isLast: boolean, sealed: Buffer): Buffer {
  const opened = tryOpen(key, header, index, isLast, sealed);
  if (opened !== undefined) return opened;
  if (isLast && tryOpen(key, header, index, false, sealed) !== undefined)
    throw new DamagedBackupError('it was cut off');
  throw new DamagedBackupError(`bytes of its chunk ${index} were changed or cut off`);
}

function tryOpen(
  key: Uint8Array,
  header: Buffer,
  index: number,
  isLast: boolean,
  sealed: Buffer,
): Buffer | undefined {
  const border = sealed.length - TAG_BYTES;
  const decipher = createDecipheriv('aes-256-gcm', key, nonceOf(index, isLast), { authTagLength: TAG_BYTES });
  decipher.setAAD(aadOf(header));
  decipher.setAuthTag(sealed.subarray(border));
  const plaintext = decipher.update(sealed.subarray(0, border));
  try {
    decipher.final();
  } catch {
    return undefined;
  }
  return plaintext;
}
