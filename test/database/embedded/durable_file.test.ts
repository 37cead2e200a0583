import {
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { expect } from 'chai';
import { giveTree, syncDirectory, writeDurably } from '../../../src/database/embedded/durable_file.ts';
import { isRoot, ORDINARY_ID, remove, temporaryDirectory } from '../../support/embedded.ts';
import { rejection } from '../../support/rejection.ts';

describe('a durable file', () => {
  let directory: string;
  let path: string;

  beforeEach(() => {
    directory = temporaryDirectory();
    path = join(directory, 'file');
  });

  afterEach(() => remove(directory));

  it('is never written through a link, neither in its place nor in that of its draft', async () => {
    const victim = join(directory, 'victim');
    writeFileSync(victim, 'untouched');
    symlinkSync(victim, path);
    symlinkSync(victim, `${path}.new`);
    await writeDurably(path, 'content', undefined);
    expect(readFileSync(victim, 'utf8')).to.equal('untouched');
    expect(lstatSync(path).isFile()).to.equal(true);
    expect(readFileSync(path, 'utf8')).to.equal('content');
  });

  it('is not written where there is no directory', async () => {
    expect(
      await rejection(writeDurably(join(directory, 'none', 'file'), 'content', undefined)),
    ).to.have.property('code', 'ENOENT');
    for (const refused of [undefined, () => {}])
      expect(await rejection(syncDirectory(join(directory, 'none'), refused))).to.have.property(
        'code',
        'ENOENT',
      );
  });

  it('has its content, its owner and permissions for that owner alone, and no draft beside it', async () => {
    writeFileSync(path, 'old', { mode: 0o644 });
    await writeDurably(path, 'new', isRoot ? ORDINARY_ID : undefined);
    expect(readFileSync(path, 'utf8')).to.equal('new');
    expect(statSync(path).mode & 0o777).to.equal(0o600);
    if (isRoot) expect(statSync(path).uid).to.equal(ORDINARY_ID);
    expect(readdirSync(directory)).to.deep.equal(['file']);
  });

  it('is left alone when it has its content', async () => {
    await writeDurably(path, 'same', undefined);
    const { ino } = statSync(path);
    await writeDurably(path, 'same', undefined);
    expect(statSync(path).ino).to.equal(ino);
  });

  it('is given away with its tree, without following links out of it', async function () {
    if (!isRoot) return this.skip();
    const outside = join(directory, 'outside');
    writeFileSync(outside, '');
    const tree = join(directory, 'tree');
    mkdirSync(join(tree, 'inner'), { recursive: true });
    writeFileSync(join(tree, 'inner', 'file'), '');
    symlinkSync(outside, join(tree, 'link'));
    symlinkSync(directory, join(tree, 'up'));
    await giveTree(tree, ORDINARY_ID);
    for (const name of ['', 'inner', 'inner/file', 'link', 'up']) {
      expect(lstatSync(join(tree, name)).uid, name).to.equal(ORDINARY_ID);
    }
    expect([statSync(outside).uid, statSync(directory).uid]).to.deep.equal([0, 0]);
  });
});
