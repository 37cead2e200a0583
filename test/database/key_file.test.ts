import { randomBytes } from 'node:crypto';
import { chmod, mkdir, mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect } from 'chai';
import { KeyFileError, readKeyFile, writeKeyFile } from '../../src/database/key_file.ts';
import { rejection } from '../support/rejection.ts';

describe('the key file', () => {
  let directory: string;
  let path: string;
  const key = randomBytes(32);

  beforeEach(async () => {
    directory = await mkdtemp(join(tmpdir(), 'pm-key-'));
    path = join(directory, 'key');
  });

  afterEach(() => rm(directory, { recursive: true }));

  it('is refused when others may read or write it', async () => {
    await writeKeyFile(path, key);
    for (const mode of [0o640, 0o604, 0o620, 0o666]) {
      await chmod(path, mode);
      expect(await rejection(readKeyFile(path))).to.be.instanceOf(KeyFileError);
    }
  });

  it('is refused when it is empty, cut, too long or not hexadecimal', async () => {
    const hex = key.toString('hex');
    for (const text of ['', hex.slice(1), `${hex}00`, hex.replace(/^./, 'g'), `${hex}\n${hex}\n`]) {
      await writeFile(path, text, { mode: 0o600 });
      expect(await rejection(readKeyFile(path)), JSON.stringify(text)).to.be.instanceOf(KeyFileError);
    }
  });

  it('is refused when it is a directory', async () => {
    await mkdir(path);
    expect(await rejection(readKeyFile(path))).to.be.instanceOf(KeyFileError);
  });

  it('is never overwritten', async () => {
    await writeKeyFile(path, key);
    expect(await rejection(writeKeyFile(path, randomBytes(32)))).to.be.instanceOf(KeyFileError);
    expect(await readKeyFile(path)).to.deep.equal(new Uint8Array(key));
  });

  it('never holds its key in the message of an error', async () => {
    await writeFile(path, `${key.toString('hex')}!`, { mode: 0o600 });
    expect((await rejection(readKeyFile(path))).message).not.to.contain(key.toString('hex'));
  });

  it('is undefined where there is none', async () => {
    expect(await readKeyFile(path)).to.equal(undefined);
  });

  it('reads what was written, for its owner alone, and leaves nothing else behind', async () => {
    await writeKeyFile(path, key);
    expect(await readKeyFile(path)).to.deep.equal(new Uint8Array(key));
    expect((await stat(path)).mode & 0o777).to.equal(0o600);
    expect(await readdir(directory)).to.deep.equal(['key']);
  });

  it('is made after a write that was cut short', async () => {
    await writeFile(`${path}.new`, 'half', { mode: 0o644 });
    await writeKeyFile(path, key);
    expect(await readFile(path, 'utf8')).to.equal(`${key.toString('hex')}\n`);
    expect((await stat(path)).mode & 0o777).to.equal(0o600);
  });
});
