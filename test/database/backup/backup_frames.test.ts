import { expect } from 'chai';
import { DamagedBackupError, NewerBackupError } from '../../../src/database/backup/backup_errors.ts';
import { decodeFrames, encodeFrame, type Frame } from '../../../src/database/backup/backup_frames.ts';
import { rejection } from '../../support/rejection.ts';

const FRAMES: readonly Frame[] = [
  {
    type: 'manifest',
    manifest: {
      version: 1,
      madeAt: '2026-11-24T00:00:00.000Z',
      migrations: ['Migration1'],
      keyFile: '00',
      tables: [{ name: 'users', columns: ['id'], rows: 1 }],
    },
  },
  { type: 'rows', bytes: Buffer.from('1\n') },
  { type: 'summary', summary: { table: 'users', rows: 1, bytes: 2, sha256: 'ab' } },
  { type: 'end' },
];

async function* pieces(bytes: Buffer, size: number): AsyncGenerator<Buffer> {
  for (let at = 0; at < bytes.length; at += size) yield bytes.subarray(at, at + size);
}

const decoded = async (bytes: Buffer, size = 7): Promise<Frame[]> => {
  const frames: Frame[] = [];
  for await (const frame of decodeFrames(pieces(bytes, size))) frames.push(frame);
  return frames;
};

describe('the frames of a backup', () => {
  const whole = Buffer.concat(FRAMES.map(encodeFrame));

  it('are refused when they end early, and when there is more after the end', async () => {
    for (let length = 0; length < whole.length; length += 1)
      expect(await rejection(decoded(whole.subarray(0, length))), `${length}`).to.be.instanceOf(
        DamagedBackupError,
      );
    for (const size of [7, 10_000])
      expect(await rejection(decoded(Buffer.concat([whole, whole]), size))).to.be.instanceOf(
        DamagedBackupError,
      );
  });

  it('are refused when a length or a description cannot be', async () => {
    expect(await rejection(decoded(Buffer.from('02ffffffff', 'hex')))).to.be.instanceOf(DamagedBackupError);
    expect(await rejection(decoded(Buffer.from('01000000027b7b', 'hex')))).to.be.instanceOf(
      DamagedBackupError,
    );
  });

  it('are refused when a newer program wrote them', async () => {
    expect(await rejection(decoded(Buffer.from('0900000000', 'hex')))).to.be.instanceOf(NewerBackupError);
    const later = encodeFrame({ type: 'manifest', manifest: { version: 2 } as never });
    expect(await rejection(decoded(later))).to.be.instanceOf(NewerBackupError);
  });

  it('come back from their bytes, in whatever pieces these come', async () => {
    for (const size of [1, 5, 6, 10_000]) expect(await decoded(whole, size)).to.deep.equal(FRAMES);
    expect(whole.subarray(0, 5).toString('hex')).to.match(/^01000000/);
  });

  it('come back where one is long and its pieces are many: its bytes are not copied at each of them', async () => {
    const bytes = Buffer.alloc(48 * 2 ** 20, 7);
    const frames = await decoded(
      Buffer.concat([encodeFrame({ type: 'rows', bytes }), encodeFrame({ type: 'end' })]),
      512,
    );
    expect(frames.map(({ type }) => type)).to.deep.equal(['rows', 'end']);
    expect((frames[0] as { bytes: Buffer }).bytes.equals(bytes)).to.equal(true);
  });
});
