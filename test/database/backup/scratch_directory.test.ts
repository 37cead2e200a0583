import { existsSync, mkdirSync, symlinkSync, utimesSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { expect } from 'chai';
import { withScratchDirectory } from '../../../src/database/backup/scratch_directory.ts';
import { lockDataDirectory } from '../../../src/database/embedded/data_directory_lock.ts';
import { remove, temporaryDirectory } from '../../support/embedded.ts';
import { rejection } from '../../support/rejection.ts';

describe('a scratch directory', () => {
  const prefix = `pm-scratch-${process.pid}-`;
  const left: string[] = [];
  after(() => left.forEach(remove));

  /** A directory that a run some time ago left. */
  const abandoned = (name: string, withData = true): string => {
    const directory = join(tmpdir(), `${prefix}${name}`);
    left.push(directory);
    mkdirSync(withData ? join(directory, 'data') : directory, { recursive: true, mode: 0o700 });
    utimesSync(directory, 1, 1);
    return directory;
  };

  it('is removed when its work fails', async () => {
    let seen = '';
    const failure = new Error('of the work');
    const failing = withScratchDirectory(prefix, async (directory) => {
      seen = directory;
      mkdirSync(join(directory, 'data'));
      throw failure;
    });
    expect(await rejection(failing)).to.equal(failure);
    expect(basename(seen).startsWith(prefix)).to.equal(true);
    expect(existsSync(seen)).to.equal(false);
  });

  it('leaves those that somebody uses, those that were just made, and what is no directory', async () => {
    const used = abandoned('used');
    const release = lockDataDirectory(join(used, 'data'));
    const young = abandoned('young');
    utimesSync(young, new Date(), new Date());
    const target = temporaryDirectory();
    left.push(target, join(tmpdir(), `${prefix}link`));
    symlinkSync(target, join(tmpdir(), `${prefix}link`));
    await withScratchDirectory(prefix, async () => {});
    expect([used, young, target].map((path) => existsSync(path))).to.deep.equal([true, true, true]);
    release();
  });

  it('takes those with it that nobody uses', async () => {
    const gone = [abandoned('one'), abandoned('two', false)];
    expect(
      await withScratchDirectory(prefix, async () => gone.map((path) => existsSync(path))),
    ).to.deep.equal([false, false]);
  });
});
