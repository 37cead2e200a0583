import { spawnSync } from 'node:child_process';
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { expect } from 'chai';
import { type Account, chooseAccount, WAYS, wayWorks } from '../../../src/database/embedded/account.ts';
import { EmbeddedPostgresError } from '../../../src/database/embedded/errors.ts';
import { isRoot, remove, temporaryDirectory } from '../../support/embedded.ts';

describe('the account of PostgreSQL', () => {
  const choose = (possible: readonly string[], more = {}): Account =>
    chooseAccount('/program', '/data', {
      isRoot: true,
      works: ({ name }) => possible.includes(name),
      ...more,
    });

  it('is refused to root where no way works, with what to do', () => {
    expect(() => choose([])).to.throw(EmbeddedPostgresError, 'PASSMANAGER_DATABASE_URL');
  });

  it('is refused to a user without a name where none can be given, with what to do', () => {
    expect(() => choose([], { isRoot: false, hasName: false })).to.throw(
      EmbeddedPostgresError,
      '/etc/passwd',
    );
  });

  it('is refused to root where it cannot be that of the directory’s owner, with whom to become', () => {
    expect(() => choose([], { owner: { uid: 1000, gid: 100 } })).to.throw(EmbeddedPostgresError, '#1000');
  });

  it('is, for root, that of the directory’s owner, whose files stay that one’s', () => {
    for (const name of ['setpriv', 'unshare', 'setuid'])
      expect(choose([name], { owner: { uid: 1000, gid: 100 } })).to.deep.include({
        name,
        ownerId: 1000,
        groupId: 100,
        parentMode: 0o700,
      });
    expect(choose(['setpriv'], { owner: { uid: 1000, gid: 100 } }).prefix).to.include.members([
      '--reuid=1000',
      '--regid=100',
    ]);
    expect(choose(['setpriv'], { owner: { uid: 0, gid: 0 } })).to.deep.equal(WAYS[0]);
  });

  it('is the server’s own when that is not root', () => {
    expect(choose(['setpriv', 'unshare', 'setuid'], { isRoot: false, hasName: true })).to.deep.include({
      name: 'own',
      prefix: [],
      spawnId: undefined,
      ownerId: undefined,
    });
  });

  it('has a name by a user namespace when the server’s user has none', () => {
    const account = choose(['unshare'], { isRoot: false, hasName: false });
    expect(account).to.deep.include({ name: 'unshare', ownerId: undefined });
  });

  it('is, for root, the first way that works', () => {
    expect(choose(['setpriv', 'unshare', 'setuid']).name).to.equal('setpriv');
    expect(choose(['unshare', 'setuid']).name).to.equal('unshare');
    expect(choose(['setuid']).name).to.equal('setuid');
  });

  it('does not work by a program that is not there, nor for one', () => {
    const missing: Account = { ...WAYS[0]!, prefix: ['no-such-program-here'] };
    expect(wayWorks(missing, '/bin/true', '/tmp/data')).to.equal(false);
    for (const way of WAYS) expect(wayWorks(way, '/no/such/program', '/tmp/data'), way.name).to.equal(false);
  });

  it('does not work by a plain change of user below a directory that only root may enter', function () {
    if (!isRoot) return this.skip();
    const directory = temporaryDirectory();
    try {
      mkdirSync(join(directory, 'inner'));
      const works = WAYS.filter((way) => wayWorks(way, '/bin/true', join(directory, 'inner', 'data')));
      expect(works.map(({ name }) => name)).not.to.include('setuid');
      expect(works).not.to.have.length(0);
      spawnSync('chmod', ['755', directory]);
      expect(wayWorks(WAYS.at(-1)!, '/bin/true', join(directory, 'inner', 'data'))).to.equal(true);
    } finally {
      remove(directory);
    }
  });
});
