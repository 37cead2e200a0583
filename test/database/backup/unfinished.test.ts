import { mkdirSync, readdirSync, utimesSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect } from 'chai';
import { publishedPath, removeUnfinished, unfinishedPath } from '../../../src/database/backup/unfinished.ts';
import { remove, temporaryDirectory } from '../../support/embedded.ts';

describe('unfinished backups', () => {
  const directory = temporaryDirectory();
  const hour = 3_600_000;
  after(() => remove(directory));

  const touch = (name: string, at: number): void => {
    writeFileSync(join(directory, name), 'half');
    utimesSync(join(directory, name), at / 1_000, at / 1_000);
  };

  it('are left alone while somebody writes them, under other names, and where they are no files', async () => {
    const now = Date.now();
    const kept = ['a.0123456789ab.part', 'a', 'b.part', 'a.b.part', 'part', '.part'];
    touch(kept[0]!, now);
    for (const name of kept.slice(1)) touch(name, now - hour);
    mkdirSync(join(directory, 'a.part'));
    utimesSync(join(directory, 'a.part'), 1, 1);
    await removeUnfinished(directory, (name) => name === 'a', now);
    expect(readdirSync(directory).sort()).to.deep.equal([...kept, 'a.part'].sort());
    remove(join(directory, 'a.part'));
  });

  it('are removed when nobody touched them for long, or a wrong clock did', async () => {
    const now = Date.now();
    const before = readdirSync(directory).sort();
    touch('a.part', now - hour);
    touch('a.ffffffffffff.part', now - hour);
    touch('a.eeeeeeeeeeee.part', now + 1_000 * hour);
    await removeUnfinished(directory, (name) => name === 'a', now);
    expect(readdirSync(directory).sort()).to.deep.equal(before);
  });

  it('have names of their own', () => {
    expect(unfinishedPath('/x/a')).to.match(/^\/x\/a\.[0-9a-f]{12}\.part$/);
    expect(publishedPath(unfinishedPath('/x/a'))).to.equal('/x/a');
    expect(publishedPath('/x/a.part')).to.equal('/x/a.part');
    expect(unfinishedPath('/x/a')).not.to.equal(unfinishedPath('/x/a'));
  });
});
