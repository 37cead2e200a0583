import { existsSync, mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect } from 'chai';
import { chooseAccount } from '../../../src/database/embedded/account.ts';
import { prepareCluster } from '../../../src/database/embedded/cluster.ts';
import { layoutOf } from '../../../src/database/embedded/layout.ts';
import { postgresBinaries } from '../../../src/database/embedded/postgres_binaries.ts';
import { remove, temporaryDirectory } from '../../support/embedded.ts';
import { rejection } from '../../support/rejection.ts';

describe('the cluster', function () {
  this.timeout(60_000);
  const binaries = postgresBinaries();
  const major = Number(binaries.majorVersion);
  let directory: string;
  let layout: ReturnType<typeof layoutOf>;

  beforeEach(() => {
    directory = temporaryDirectory();
    layout = layoutOf(join(directory, 'data'));
    mkdirSync(layout.home, { recursive: true, mode: 0o700 });
  });

  afterEach(() => remove(directory));

  const prepare = (more: object = {}, goOn?: Parameters<typeof prepareCluster>[1]): Promise<void> =>
    prepareCluster(
      {
        layout,
        binaries,
        account: chooseAccount(binaries.postgres, layout.dataDir),
        maxConnections: 20,
        ...more,
      },
      goOn,
    );
  const program = (text: string): string => {
    const path = join(directory, 'program');
    writeFileSync(path, `#!/bin/sh\n${text}\n`, { mode: 0o755 });
    return path;
  };

  it('is not there when initdb fails, and what initdb said is told', async () => {
    const error = await rejection(
      prepare({ binaries: { ...binaries, initdb: program('echo something broke; exit 1') } }),
    );
    expect(error.name).to.equal('EmbeddedPostgresError');
    expect(error.message).to.contain('something broke');
    expect(readdirSync(layout.home)).to.deep.equal([]);
  });

  it('is not there when its role and database could not be made', async () => {
    const postgres = program('echo "ERROR: could not extend file: No space left on device"; exit 1');
    expect((await rejection(prepare({ binaries: { ...binaries, postgres } }))).name).to.equal(
      'DiskFullError',
    );
    expect(readdirSync(layout.home)).to.deep.equal([]);
  });

  it('is not there when PostgreSQL refused a statement, though it went on', async () => {
    const postgres = program(`sed 's/create database/create nonsense/' | '${binaries.postgres}' "$@"`);
    expect((await rejection(prepare({ binaries: { ...binaries, postgres } }))).message).to.contain(
      'nonsense',
    );
    expect(readdirSync(layout.home)).to.deep.equal([]);
  });

  it('is refused when it is of another version, older or newer', async () => {
    mkdirSync(layout.cluster);
    const goOn = () => Promise.reject(new Error('must not be called'));
    for (const version of ['9.6', major - 2, major + 1, '']) {
      writeFileSync(join(layout.cluster, 'PG_VERSION'), `${version}\n`);
      expect((await rejection(prepare({}, goOn))).name).to.equal('ForeignVersionError');
      expect(readdirSync(layout.cluster)).to.deep.equal(['PG_VERSION']);
    }
  });

  it('is given to be brought on when it is of the version before, and not configured when that fails', async () => {
    mkdirSync(layout.cluster);
    writeFileSync(join(layout.cluster, 'PG_VERSION'), `${major - 1}\n`);
    let given = '';
    const error = await rejection(
      prepare({}, async (found) => {
        given = found;
        throw new Error('it does not work');
      }),
    );
    expect(error.name).to.equal('EmbeddedPostgresError');
    expect(given).to.equal(`${major - 1}`);
    expect(readdirSync(layout.cluster)).to.deep.equal(['PG_VERSION']);
    expect((await rejection(prepare())).name).to.equal('ForeignVersionError');
  });

  it('is the next one where the one before was set aside, and the one before where it was not', async () => {
    const version = (path: string): string => join(path, 'PG_VERSION');
    for (const path of [layout.next, `${layout.aside}17`]) {
      mkdirSync(path);
      writeFileSync(version(path), `${binaries.majorVersion}\n`);
    }
    await prepare();
    expect(readdirSync(layout.home).sort()).to.deep.equal(['data', 'data.postgresql-17']);
    const { ino } = statSync(version(layout.cluster));
    mkdirSync(layout.next);
    await prepare();
    expect(readdirSync(layout.home).sort()).to.deep.equal(['data', 'data.postgresql-17']);
    expect(statSync(version(layout.cluster)).ino).to.equal(ino);
  });

  it('is made whole under another name, without what an interrupted start left, and configured anew at every start', async () => {
    const left = `${layout.making}123456`;
    mkdirSync(join(left, 'base'), { recursive: true });
    await prepare();
    expect(readdirSync(layout.home)).to.deep.equal(['data']);
    expect(readFileSync(join(layout.cluster, 'PG_VERSION'), 'utf8').trim()).to.equal(binaries.majorVersion);
    expect(statSync(layout.cluster).mode & 0o777).to.equal(0o700);
    expect(existsSync(join(layout.cluster, 'postmaster.pid'))).to.equal(false);

    const { ino } = statSync(join(layout.cluster, 'PG_VERSION'));
    for (const name of ['postgresql.conf', 'pg_hba.conf'])
      writeFileSync(join(layout.cluster, name), 'local all all trust');
    await prepare();
    expect(statSync(join(layout.cluster, 'PG_VERSION')).ino).to.equal(ino);
    expect(readFileSync(join(layout.cluster, 'postgresql.conf'), 'utf8')).to.contain('max_connections = 20');
    expect(readFileSync(join(layout.cluster, 'pg_hba.conf'), 'utf8')).not.to.contain('all');
  });
});
