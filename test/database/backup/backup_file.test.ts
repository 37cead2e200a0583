import { randomBytes } from 'node:crypto';
import { existsSync, readdirSync, readFileSync, statSync, utimesSync, writeFileSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect } from 'chai';
import {
  BackupError,
  DamagedBackupError,
  WrongPassphraseError,
} from '../../../src/database/backup/backup_errors.ts';
import { passphraseOf, readBackupFile, writeBackupFile } from '../../../src/database/backup/backup_file.ts';
import type { Frame } from '../../../src/database/backup/backup_frames.ts';
import { PASSPHRASE, QUICK_KDF } from '../../support/backup_world.ts';
import { rejection } from '../../support/rejection.ts';

const FRAMES: readonly Frame[] = [
  { type: 'rows', bytes: Buffer.from('1\tone\n2\ttwo\n') },
  { type: 'rows', bytes: Buffer.alloc(900_000, 'a row of text\n') },
  { type: 'end' },
];

async function* framesOf(frames: readonly Frame[], failure?: Error): AsyncGenerator<Frame> {
  yield* frames;
  if (failure !== undefined) throw failure;
}

describe('the file of a backup', () => {
  let directory: string;
  let path: string;

  beforeEach(async () => {
    directory = await mkdtemp(join(tmpdir(), 'pm-backup-file-'));
    path = join(directory, 'a.pmbackup');
  });

  afterEach(() => rm(directory, { recursive: true }));

  const write = (frames = framesOf(FRAMES), more: { signal?: AbortSignal } = {}) =>
    writeBackupFile(path, frames, { passphrase: PASSPHRASE, kdf: QUICK_KDF, ...more });
  const read = async (passphrase = PASSPHRASE): Promise<Frame[]> => {
    const frames: Frame[] = [];
    for await (const frame of readBackupFile(path, passphrase)) frames.push(frame);
    return frames;
  };

  it('is not made when its contents fail, when nobody wants it any more, and where there is no place; one that was there stays', async () => {
    writeFileSync(path, 'the backup of yesterday');
    const failure = new Error('the database went away');
    expect(await rejection(write(framesOf(FRAMES, failure)))).to.equal(failure);
    const abort = new AbortController();
    abort.abort();
    expect((await rejection(write(framesOf(FRAMES), { signal: abort.signal }))).name).to.equal('AbortError');
    expect(readdirSync(directory)).to.deep.equal(['a.pmbackup']);
    expect(readFileSync(path, 'utf8')).to.equal('the backup of yesterday');
    path = join(directory, 'missing', 'a.pmbackup');
    expect((await rejection(write())).message).to.contain('ENOENT');
  });

  it('is not read when it is missing, of another passphrase, cut off or changed', async () => {
    expect((await rejection(read())).message).to.contain('ENOENT');
    await write();
    expect(await rejection(read('another horse battery'))).to.be.instanceOf(WrongPassphraseError);
    const whole = readFileSync(path);
    for (const length of [0, 7, 8, 60, 61, 76, 77, whole.length - 1]) {
      writeFileSync(path, whole.subarray(0, length));
      expect(await rejection(read()), `${length}`).to.be.instanceOf(BackupError);
    }
    for (const index of [8, 30, 55, 61, 100, whole.length - 1]) {
      const changed = Buffer.from(whole);
      changed[index]! ^= 4;
      writeFileSync(path, changed);
      expect(await rejection(read()), `${index}`).to.be.instanceOf(BackupError);
    }
    writeFileSync(path, whole);
    expect(await read()).to.have.length(3);
  });

  it('is not read when what is sealed in it is no Zstandard', async () => {
    const { newHeader, sealChunks } = await import('../../../src/database/backup/backup_seal.ts');
    const parts: Buffer[] = [];
    const plain = (async function* () {
      yield Buffer.from('not compressed');
    })();
    const seal = await newHeader(PASSPHRASE, (bytes) => new Uint8Array(bytes), QUICK_KDF);
    for await (const part of sealChunks(plain, seal)) parts.push(part);
    writeFileSync(path, Buffer.concat(parts));
    expect(await rejection(read())).to.be.instanceOf(DamagedBackupError);
  });

  it('holds its frames compressed and sealed, for its owner alone, and nothing else lies beside it', async () => {
    const bytes = await write();
    expect(readdirSync(directory)).to.deep.equal(['a.pmbackup']);
    expect(statSync(path)).to.include({ size: bytes });
    expect(statSync(path).mode & 0o777).to.equal(0o600);
    expect(bytes).to.be.lessThan(20_000);
    expect(readFileSync(path).includes('row of text')).to.equal(false);
    expect(await read()).to.deep.equal(FRAMES);
  });

  it('is whole, of one or the other, when two are made at once under one name', async () => {
    // Each of another length, and none at its end before the others have begun.
    let waiting = 3;
    let go = (): void => {};
    const all = new Promise<void>((resolve) => {
      go = resolve;
    });
    const slowly = async function* (bytes: number): AsyncGenerator<Frame> {
      yield { type: 'rows', bytes: randomBytes(bytes) };
      waiting -= 1;
      if (waiting === 0) go();
      await all;
      yield { type: 'end' };
    };
    const sizes = await Promise.all([1_000, 300_000, 600_000].map((bytes) => write(slowly(bytes))));
    expect(readdirSync(directory)).to.deep.equal(['a.pmbackup']);
    expect(sizes).to.include(statSync(path).size);
    expect((await read()).at(-1)).to.deep.equal({ type: 'end' });
  });

  it('takes the place of what one that was killed long ago left, and leaves what another writes', async () => {
    const [stale, fresh] = [`${path}.part`, `${path}.0123456789ab.part`];
    for (const name of [stale, fresh]) writeFileSync(name, 'left by a process that was ended');
    utimesSync(stale, 1, 1);
    await write();
    expect([existsSync(stale), existsSync(fresh)]).to.deep.equal([false, true]);
    expect(statSync(path).mode & 0o777).to.equal(0o600);
  });

  it('takes its passphrase from one line', () => {
    for (const text of ['a b c', 'a b c\n', 'a b c\r\n', '\n a b c  \n\n'])
      expect(passphraseOf(text)).to.equal('a b c');
    expect(() => passphraseOf('one\ntwo\n')).to.throw(BackupError);
  });
});
