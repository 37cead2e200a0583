import { createHash, randomBytes } from 'node:crypto';
import { expect } from 'chai';
import {
  BackupError,
  DamagedBackupError,
  NewerBackupError,
  WrongPassphraseError,
} from '../../../src/database/backup/backup_errors.ts';
import {
  CHUNK_BYTES,
  HEADER_BYTES,
  newHeader,
  openChunks,
  openHeader,
  sealChunks,
} from '../../../src/database/backup/backup_seal.ts';
import { PASSPHRASE, QUICK_KDF } from '../../support/backup_world.ts';
import { rejection } from '../../support/rejection.ts';

async function* pieces(bytes: Buffer, size: number): AsyncGenerator<Buffer> {
  for (let at = 0; at < bytes.length; at += size) yield bytes.subarray(at, at + size);
}

const gather = async (source: AsyncIterable<Buffer>): Promise<Buffer> => {
  const parts: Buffer[] = [];
  for await (const part of source) parts.push(part);
  return Buffer.concat(parts);
};

const seal = async (plaintext: Buffer, piece = 70_000): Promise<Buffer> =>
  gather(sealChunks(pieces(plaintext, piece), await newHeader(PASSPHRASE, randomBytes, QUICK_KDF)));

const open = async (sealed: Buffer, passphrase = PASSPHRASE, piece = 100_000): Promise<Buffer> => {
  const header = sealed.subarray(0, HEADER_BYTES);
  const key = await openHeader(header, passphrase);
  return gather(openChunks(pieces(sealed.subarray(HEADER_BYTES), piece), { header, key }));
};

describe('the seal of a backup', function () {
  this.timeout(60_000);

  it('refuses a passphrase that is short, by its characters', async () => {
    expect((await rejection(newHeader('🔑'.repeat(11), randomBytes, QUICK_KDF))).message).to.contain(
      '12 characters',
    );
    await newHeader('🔑'.repeat(12), randomBytes, QUICK_KDF);
  });

  it('refuses a file of something else, of a newer version, and one that asks for endless work', async () => {
    const sealed = await seal(Buffer.from('x'));
    expect(await rejection(open(Buffer.from('%PDF-1.7 and so on')))).to.be.instanceOf(BackupError);
    expect(await rejection(open(Buffer.alloc(0)))).to.be.instanceOf(BackupError);
    const newer = Buffer.from(sealed);
    newer.writeUInt8(2, 8);
    expect(await rejection(open(newer))).to.be.instanceOf(NewerBackupError);
    const endless = await newHeader(PASSPHRASE, randomBytes, { ...QUICK_KDF, iterations: 17 });
    expect(await rejection(openHeader(endless.header, PASSPHRASE))).to.be.instanceOf(DamagedBackupError);
    for (const none of [9, 13, 17]) {
      const header = Buffer.from(endless.header);
      header.writeUInt32BE(1, 13);
      header.writeUInt32BE(0, none);
      createHash('sha256')
        .update(header.subarray(0, -8))
        .digest()
        .copy(header, HEADER_BYTES - 8, 0, 8);
      expect(await rejection(openHeader(header, PASSPHRASE)), `${none}`).to.be.instanceOf(DamagedBackupError);
    }
  });

  it('tells another passphrase from a damaged file', async () => {
    const sealed = await seal(Buffer.from('x'));
    expect(await rejection(open(sealed, 'another horse battery'))).to.be.instanceOf(WrongPassphraseError);
  });

  it('refuses every file that has one byte changed, wherever it is', async () => {
    const sealed = await seal(Buffer.from('a few bytes of a backup'));
    for (let index = 0; index < sealed.length; index += 1) {
      for (const flip of [0x01, 0x80]) {
        const changed = Buffer.from(sealed);
        changed[index]! ^= flip;
        const refused = await rejection(open(changed));
        expect(refused, `byte ${index}`).to.be.instanceOf(BackupError);
        expect(refused).not.to.be.instanceOf(WrongPassphraseError);
      }
    }
  });

  it('refuses a file that was cut off anywhere near a border of its chunks, and one that has more', async () => {
    const sealed = await seal(randomBytes(2 * CHUNK_BYTES + 1_000));
    const borders = [0, 1, 2].map((chunks) => HEADER_BYTES + chunks * (CHUNK_BYTES + 16));
    for (const border of [...borders, sealed.length]) {
      for (const length of [
        border - 17,
        border - 16,
        border - 1,
        border,
        border + 1,
        border + 16,
        border + 17,
      ]) {
        if (length < HEADER_BYTES || length >= sealed.length) continue;
        expect(await rejection(open(sealed.subarray(0, length))), `${length}`).to.be.instanceOf(
          DamagedBackupError,
        );
      }
    }
    expect((await rejection(open(sealed.subarray(0, borders[1])))).message).to.contain('cut off');
    expect(await rejection(open(Buffer.concat([sealed, Buffer.of(0)])))).to.be.instanceOf(DamagedBackupError);
  });

  it('refuses chunks that changed places, were left out, or came from another backup', async () => {
    const plaintext = randomBytes(3 * CHUNK_BYTES);
    const [one, other] = [await seal(plaintext), await seal(plaintext)];
    const chunk = (sealed: Buffer, index: number) =>
      sealed.subarray(
        HEADER_BYTES + index * (CHUNK_BYTES + 16),
        HEADER_BYTES + (index + 1) * (CHUNK_BYTES + 16),
      );
    const header = one.subarray(0, HEADER_BYTES);
    for (const order of [
      [chunk(one, 1), chunk(one, 0), chunk(one, 2)],
      [chunk(one, 0), chunk(one, 2)],
      [chunk(one, 0), chunk(one, 0), chunk(one, 1), chunk(one, 2)],
      [chunk(one, 0), chunk(other, 1), chunk(one, 2)],
    ]) {
      expect(await rejection(open(Buffer.concat([header, ...order])))).to.be.instanceOf(DamagedBackupError);
    }
  });

  it('opens what it sealed, in whatever pieces it comes, at every length near a border', async () => {
    for (const length of [0, 1, CHUNK_BYTES - 1, CHUNK_BYTES, CHUNK_BYTES + 1, 3 * CHUNK_BYTES]) {
      const plaintext = randomBytes(length);
      for (const piece of [65_536, 3 * CHUNK_BYTES]) {
        const sealed = await seal(plaintext, piece);
        expect((await open(sealed, PASSPHRASE, piece)).equals(plaintext), `${length}`).to.equal(true);
        if (length > 16) expect(sealed.includes(plaintext.subarray(0, 64))).to.equal(false);
      }
    }
  });
});
