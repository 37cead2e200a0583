import { spawn, spawnSync } from 'node:child_process';
import {
  chmodSync,
  chownSync,
  cpSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { dirname, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { expect } from 'chai';
import pg from 'pg';
import { WAYS, wayWorks } from '../../../src/database/embedded/account.ts';
import {
  type EmbeddedPostgres,
  embeddedConnection,
  hasEmbeddedDatabase,
  startEmbeddedPostgres,
} from '../../../src/database/embedded/embedded_postgres.ts';
import { type PostgresBinaries, postgresBinaries } from '../../../src/database/embedded/postgres_binaries.ts';
import type { EmbeddedConnection } from '../../../src/database/embedded/postmaster.ts';
import { writeKeyFile } from '../../../src/database/key_file.ts';
import {
  canRead,
  isRoot,
  NAMELESS_ID,
  ORDINARY_ID,
  processesOn,
  query,
  recordingLog,
  remove,
  startChildServer,
  temporaryDirectory,
  untilNothingRunsOn,
  usedDataDirectory,
} from '../../support/embedded.ts';
import { eventually } from '../../support/eventually.ts';
import { rejection } from '../../support/rejection.ts';

describe('the embedded PostgreSQL', function () {
  this.timeout(60_000);
  const ending: (() => unknown)[] = [];

  afterEach(async () => {
    for (const step of ending.splice(0).reverse()) await step();
  });

  const start = async (dataDir: string, more: object = {}): Promise<EmbeddedPostgres> => {
    const postgres = await startEmbeddedPostgres({ dataDir, log: recordingLog(), ...more });
    ending.push(() => postgres.stop());
    return postgres;
  };
  const fresh = (): string => {
    const directory = temporaryDirectory();
    ending.push(() => remove(directory));
    return join(directory, 'data');
  };
  // One for all tests: to copy a cluster takes longer than to start one.
  let shared: string;
  before(async () => {
    shared = await usedDataDirectory();
  });
  after(() => remove(dirname(shared)));
  const used = async (): Promise<string> => shared;
  const child = (dataDir: string, options: Parameters<typeof startChildServer>[1] = {}) => {
    const server = startChildServer(dataDir, options);
    ending.push(async () => {
      server.process.kill('SIGKILL');
      await server.ended;
    });
    return server;
  };
  const cluster = (dataDir: string): string => join(dataDir, 'postgres', 'data');
  const postmasterOf = (dataDir: string): number =>
    Number.parseInt(readFileSync(join(cluster(dataDir), 'postmaster.pid'), 'utf8'), 10);
  const count = async ({ connection }: Pick<EmbeddedPostgres, 'connection'>): Promise<unknown> =>
    (await query(connection, 'select count(*)::int as n from kept'))[0]!.n;
  const keep = ({ connection }: Pick<EmbeddedPostgres, 'connection'>) =>
    query(connection, 'drop table if exists kept; create table kept as select generate_series(1, 3)');

  describe('refuses', () => {
    it('a data directory that another server has, in this process or another, and leaves that one alone', async () => {
      const dataDir = await used();
      const first = await start(dataDir);
      expect((await rejection(start(dataDir))).name).to.equal('DataDirectoryInUseError');
      expect((await child(dataDir).next())?.name).to.equal('DataDirectoryInUseError');
      await keep(first);
      await first.stop();
      expect(await count(await start(dataDir))).to.equal(3);
    });

    it('a database of a major version that it does not go on from, with what to do, and changes nothing', async () => {
      const dataDir = await used();
      const major = Number(postgresBinaries().majorVersion);
      writeFileSync(join(cluster(dataDir), 'PG_VERSION'), `${major - 2}\n`);
      const before = listing(dataDir);
      const error = await rejection(start(dataDir));
      expect(error.name).to.equal('ForeignVersionError');
      expect(error.message).to.match(new RegExp(`PostgreSQL ${major - 2}.*PostgreSQL ${major}`));
      expect(listing(dataDir)).to.deep.equal(before);
      writeFileSync(join(cluster(dataDir), 'PG_VERSION'), `${major}\n`);
      await start(dataDir);
    });

    it('a directory that is no database', async () => {
      const dataDir = fresh();
      mkdirSync(cluster(dataDir), { recursive: true });
      expect((await rejection(start(dataDir))).name).to.equal('EmbeddedPostgresError');
    });

    it('a file in the place of the data directory', async () => {
      const dataDir = fresh();
      writeFileSync(dataDir, '');
      expect((await rejection(start(dataDir))).name).to.equal('EmbeddedPostgresError');
    });

    it('a database that does not start, with the end of PostgreSQL’s log', async () => {
      const dataDir = await used();
      const control = join(cluster(dataDir), 'global', 'pg_control');
      const content = readFileSync(control);
      writeFileSync(control, 'not this');
      ending.push(() => writeFileSync(control, content));
      const error = await rejection(start(dataDir));
      expect(error.name).to.equal('EmbeddedPostgresError');
      expect(error.message).to.contain('pg_control');
      await untilNothingRunsOn(cluster(dataDir));
    });

    it('a first start that may not write enough, and needs no cleaning before the next', async () => {
      const dataDir = fresh();
      // No file larger than a megabyte: PostgreSQL's first log segment has 16.
      const refused = child(dataDir, { prefix: ['/bin/sh', '-c', 'ulimit -f 2048; exec "$@"', 'sh'] });
      expect((await refused.next())?.name).to.equal('DiskFullError');
      expect(await refused.ended).to.equal(1);
      expect(readdirSync(join(dataDir, 'postgres')).filter((name) => name.startsWith('data'))).to.deep.equal(
        [],
      );
      await start(dataDir);
    });

    it('a full disk, at the first start and at a later one, and starts once there is room', async function () {
      const mount = temporaryDirectory();
      ending.push(() => remove(mount));
      if (spawnSync('mount', ['-t', 'tmpfs', '-o', 'size=20m', 'tmpfs', mount]).status !== 0)
        return this.skip();
      ending.push(() => spawnSync('umount', ['-l', mount]));
      const dataDir = join(mount, 'data');
      expect((await rejection(start(dataDir))).name).to.equal('DiskFullError');
      spawnSync('mount', ['-o', 'remount,size=200m', mount]);
      const first = await start(dataDir);
      await keep(first);
      await first.stop();
      spawnSync('dd', ['if=/dev/zero', `of=${join(mount, 'ballast')}`, 'bs=64k']);
      const full = await startEmbeddedPostgres({ dataDir, log: recordingLog() }).then(
        (postgres) => postgres.stop(),
        (error: Error) => error.name,
      );
      expect(full).to.be.oneOf([undefined, 'DiskFullError']);
      remove(join(mount, 'ballast'));
      expect(await count(await start(dataDir))).to.equal(3);
    });
  });

  describe('keeps to itself', () => {
    let dataDir: string;
    let connection: EmbeddedConnection;
    let stop: () => Promise<void>;

    before(async () => {
      process.env.A_SECRET_OF_THE_SERVER = 'do not tell';
      dataDir = shared;
      ({ connection, stop } = await startEmbeddedPostgres({ dataDir, log: recordingLog() }));
    });

    after(async () => {
      delete process.env.A_SECRET_OF_THE_SERVER;
      await stop();
    });

    it('listens on a Unix socket alone, in directories that no other account may enter', async () => {
      expect((await query(connection, 'show listen_addresses'))[0]).to.deep.equal({ listen_addresses: '' });
      const home = join(dataDir, 'postgres');
      for (const path of [home, join(home, 'socket'), join(home, 'data')]) {
        expect(statSync(path).mode & 0o777, path).to.equal(0o700);
      }
      if (!isRoot) return;
      const socket = join(home, 'socket', '.s.PGSQL.5432');
      expect(existsSync(socket)).to.equal(true);
      for (const uid of [65_534, ORDINARY_ID]) expect(canRead(uid, socket), `${uid}`).to.equal(false);
    });

    it('answers one role alone, which is no superuser', async () => {
      expect(
        (await rejection(query({ ...connection, user: 'postgres' }, 'select 1'))) as pg.DatabaseError,
      ).to.have.property('code', '28000');
      expect(
        (await rejection(query({ ...connection, database: 'postgres' }, 'select 1'))) as pg.DatabaseError,
      ).to.have.property('code', '28000');
      expect(
        (await rejection(query(connection, `select pg_read_file('PG_VERSION')`))) as pg.DatabaseError,
      ).to.have.property('code', '42501');
      const [role] = await query(
        connection,
        'select rolsuper, rolcreaterole, rolreplication from pg_roles where rolname = current_user',
      );
      expect(role).to.deep.equal({ rolsuper: false, rolcreaterole: false, rolreplication: false });
    });

    it('hands nothing of its own environment on', async () => {
      const [pid] = processesOn(cluster(dataDir)).sort((one, other) => one - other);
      const names = readFileSync(`/proc/${pid}/environ`, 'utf8')
        .split('\0')
        .map((line) => line.split('=')[0]!)
        .filter((name) => name !== '' && !name.startsWith('PG'));
      expect(names).to.have.members(['PATH', 'PWD', 'LC_ALL', 'TZ'].filter((name) => names.includes(name)));
      expect(names).to.include('PATH');
    });

    it('writes no value to its log, whatever fails', async () => {
      await query(connection, 'create table secrets (name text unique, id uuid)');
      const insert = 'insert into secrets (name, id) values ($1, $2)';
      const id = '00000000-0000-4000-8000-000000000000';
      await query(connection, insert, ['TELL-NOBODY', id]);
      await rejection(query(connection, insert, ['TELL-NOBODY', id]));
      await rejection(query(connection, insert, ['other', 'TELL-NOBODY']));
      await rejection(query(connection, `select 'TELL-NOBODY'::int`));
      await rejection(
        query(connection, `do $$ begin raise warning 'TELL-NOBODY'; raise exception 'TELL-NOBODY'; end $$`),
      );
      const log = readFileSync(join(dataDir, 'postgres', 'postgres.log'), 'utf8');
      expect(log).to.contain('ready to accept connections').and.not.to.contain('FATAL:  the database system');
      expect(log).not.to.contain('TELL-NOBODY');
    });

    it('takes less than 60 MB with ten connections', async function () {
      if (process.platform !== 'linux') return this.skip();
      const pool = new pg.Pool({ ...connection, max: 10 });
      pool.on('error', () => {});
      ending.push(() => pool.end());
      const statement = `select count(*) from pg_class a, pg_attribute b where a.oid = b.attrelid`;
      await Promise.all(Array.from({ length: 10 }, () => pool.query(statement)));
      const kilobytes = processesOn(cluster(dataDir)).map((pid) =>
        Number(/^Pss:\s+(\d+) kB/m.exec(readFileSync(`/proc/${pid}/smaps_rollup`, 'utf8'))![1]),
      );
      expect(kilobytes.length).to.be.greaterThan(10);
      expect(kilobytes.reduce((sum, each) => sum + each)).to.be.lessThan(60 * 1024);
    });
  });

  it('makes a durable database in UTF-8 that sorts by code point and checks its pages', async () => {
    const dataDir = fresh();
    expect(hasEmbeddedDatabase(dataDir)).to.equal(false);
    const { connection } = await start(dataDir);
    expect(hasEmbeddedDatabase(dataDir)).to.equal(true);
    const [settings] = await query(
      connection,
      `select current_setting('fsync') fsync, current_setting('synchronous_commit') synchronous_commit,
        current_setting('full_page_writes') full_page_writes, current_setting('data_checksums') data_checksums,
        current_setting('server_encoding') encoding, datlocprovider as provider, datlocale as locale
        from pg_database where datname = current_database()`,
    );
    expect(settings).to.deep.equal({
      fsync: 'on',
      synchronous_commit: 'on',
      full_page_writes: 'on',
      data_checksums: 'on',
      encoding: 'UTF8',
      provider: 'b',
      locale: 'C.UTF-8',
    });
  });

  it('leaves no process, socket or lock behind when it is stopped, though clients are connected', async () => {
    const dataDir = await used();
    const postgres = await start(dataDir);
    const client = new pg.Client(postgres.connection);
    client.on('error', () => {});
    await client.connect();
    await client.query('begin');
    await postgres.stop();
    await untilNothingRunsOn(cluster(dataDir));
    expect(readdirSync(join(dataDir, 'postgres', 'socket'))).to.deep.equal([]);
    expect(existsSync(join(cluster(dataDir), 'postmaster.pid'))).to.equal(false);
    await start(dataDir);
  });

  it('may be renamed and copied while it is stopped', async () => {
    const dataDir = await used();
    const first = await start(dataDir);
    await keep(first);
    await first.stop();
    const naming = spawnSync('grep', ['-rl', dirname(dataDir), dataDir], { encoding: 'utf8' }).stdout.trim();
    // Written by PostgreSQL at every start and read by nobody.
    expect(naming).to.equal(join(cluster(dataDir), 'postmaster.opts'));
    const moved = join(dirname(dataDir), 'elsewhere');
    const copied = join(dirname(dataDir), 'copy');
    renameSync(dataDir, moved);
    ending.push(() => renameSync(moved, dataDir));
    spawnSync('cp', ['-r', moved, copied]);
    const [one, two] = [await start(moved), await start(copied)];
    await query(one.connection, 'insert into kept values (4)');
    expect(await count(one)).to.equal(4);
    expect(await count(two)).to.equal(3);
  });

  it('works in a directory whose path is too long for a socket', async function () {
    if (process.platform !== 'linux') return this.skip();
    const dataDir = await used();
    const deep = join(dirname(dataDir), 'a'.repeat(100), 'b'.repeat(100), 'ü'.repeat(50));
    mkdirSync(dirname(deep), { recursive: true });
    renameSync(dataDir, deep);
    ending.push(() => renameSync(deep, dataDir));
    const postgres = await start(deep);
    await keep(postgres);
    const other = embeddedConnection(deep);
    ending.push(() => other.close());
    expect(await count(other)).to.equal(3);
  });

  describe('after kill -9', () => {
    const POINTS: readonly [string, (home: string, making: string | undefined) => boolean][] = [
      ['before anything is written', (home) => existsSync(home)],
      ['when initdb has begun', (_, making) => making !== undefined],
      ['when initdb has named the version', (_, making) => existsSync(`${making}/PG_VERSION`)],
      ['when initdb has written its control file', (_, making) => existsSync(`${making}/global/pg_control`)],
      [
        'when our settings are in place',
        (_, making) => holds(`${making}/pg_hba.conf`, 'Written by the server'),
      ],
      ['when it has its name', (home) => existsSync(join(home, 'data', 'PG_VERSION'))],
      ['when PostgreSQL has begun', (home) => existsSync(join(home, 'data', 'postmaster.pid'))],
    ];

    it('of a first start anywhere, the next start works', async () => {
      const dataDir = fresh();
      const home = join(dataDir, 'postgres');
      for (const [point, reached] of POINTS) {
        const server = child(dataDir);
        while (!reached(home, newest(home)) && server.process.exitCode === null) await sleep(1);
        expect(server.process.exitCode, point).to.equal(null);
        server.process.kill('SIGKILL');
        await server.ended;
      }
      const postgres = await start(dataDir);
      await keep(postgres);
      expect(await count(postgres)).to.equal(3);
      expect(readdirSync(home).filter((name) => name.startsWith('data.new'))).to.deep.equal([]);
    });

    it('of the server, PostgreSQL ends by itself and everything acknowledged is there', async () => {
      const dataDir = await used();
      const server = child(dataDir);
      const { connection } = (await server.next())!;
      await keep({ connection: connection! });
      server.process.kill('SIGKILL');
      await server.ended;
      await untilNothingRunsOn(cluster(dataDir));
      expect(await count(await start(dataDir))).to.equal(3);
    });

    it('of the server, another takes its place at once', async () => {
      const dataDir = await used();
      const server = child(dataDir);
      const { connection } = (await server.next())!;
      await keep({ connection: connection! });
      server.process.kill('SIGKILL');
      await server.ended;
      expect(await count(await start(dataDir))).to.equal(3);
    });

    it('of PostgreSQL, it comes back under the same address with everything acknowledged', async () => {
      const dataDir = await used();
      const log = recordingLog();
      const postgres = await start(dataDir, { log });
      await keep(postgres);
      for (const round of [1, 2]) {
        process.kill(postmasterOf(dataDir), 'SIGKILL');
        await eventually(
          () => log.messages.filter((line) => line === 'PostgreSQL runs again').length === round,
        );
        expect(await count(postgres)).to.equal(3);
      }
    });

    it('of all, nothing that names their process ids is in the way once other processes have them', async () => {
      const dataDir = await used();
      // A process of PostgreSQL's own account: it may not tell this one from a PostgreSQL.
      const owner = statSync(cluster(dataDir)).uid;
      const stranger = spawn('sleep', ['60'], {
        stdio: 'ignore',
        cwd: '/',
        ...(isRoot ? { uid: owner } : {}),
      });
      ending.push(() => stranger.kill('SIGKILL'));
      const files = [
        join(cluster(dataDir), 'postmaster.pid'),
        join(dataDir, 'postgres', 'socket', '.s.PGSQL.5432.lock'),
      ];
      for (const path of files) {
        writeFileSync(path, `${stranger.pid}\n/elsewhere\n1\n5432\n../socket\n\n`, { mode: 0o600 });
        if (isRoot) chownSync(path, owner, owner);
      }
      await start(dataDir);
      expect(stranger.exitCode).to.equal(null);
    });

    it('of one of PostgreSQL’s own processes, it recovers', async () => {
      const dataDir = await used();
      const postgres = await start(dataDir);
      await keep(postgres);
      const [backend] = await query(postgres.connection, 'select pg_backend_pid() as pid');
      expect(backend).to.have.property('pid');
      const client = new pg.Client(postgres.connection);
      client.on('error', () => {});
      await client.connect();
      const { rows } = await client.query('select pg_backend_pid() as pid');
      process.kill(rows[0].pid, 'SIGKILL');
      await eventually(async () => (await count(postgres).catch(() => undefined)) === 3);
    });
  });

  it('is not reached by a signal to the process group of its server', async () => {
    const dataDir = await used();
    const server = child(dataDir);
    const { connection } = (await server.next())!;
    const postmaster = postmasterOf(dataDir);
    process.kill(-server.process.pid!, 'SIGTERM');
    expect(await server.next()).to.deep.equal({ signal: 'SIGTERM' });
    await sleep(200);
    await keep({ connection: connection! });
    expect(postmasterOf(dataDir)).to.equal(postmaster);
    server.process.stdin!.end();
    await server.ended;
    await untilNothingRunsOn(cluster(dataDir));
  });

  describe('when its server is root', () => {
    /** PostgreSQL's programs below a directory that only root may enter, or that everybody may. */
    function programsBelow(mode: 0o700 | 0o755): PostgresBinaries {
      const { postgres, majorVersion } = postgresBinaries();
      const directory = temporaryDirectory();
      ending.push(() => remove(directory));
      chmodSync(directory, mode);
      const native = join(directory, 'native');
      cpSync(dirname(dirname(postgres)), native, { recursive: true, verbatimSymlinks: true });
      const program = (name: string): string => join(native, 'bin', name);
      return { initdb: program('initdb'), postgres: program('postgres'), majorVersion };
    }

    for (const account of WAYS) {
      it(`runs without privileges by ${account.name}`, async function () {
        const dataDir = fresh();
        if (!isRoot) return this.skip();
        // Only root may enter the directory around data and programs; the last way needs both in the open.
        const isHidden = account.parentMode === 0o700;
        const binaries = programsBelow(isHidden ? 0o700 : 0o755);
        if (!isHidden) chmodSync(dirname(dataDir), 0o755);
        expect(wayWorks(account, binaries.postgres, dataDir)).to.equal(true);
        const postgres = await start(dataDir, { account, binaries });
        await keep(postgres);
        const [pid] = processesOn(cluster(dataDir));
        const status = readFileSync(`/proc/${pid}/status`, 'utf8');
        const [, kernelUid] = /^Uid:\t(\d+)/m.exec(status)!;
        expect(Number(kernelUid)).to.equal(account.ownerId);
        expect(/^CapEff:\t(\w+)$/m.exec(status)![1]).to.equal(CAPABILITIES[account.name]);
        await postgres.stop();
        expect(await count(await start(dataDir, { account, binaries }))).to.equal(3);
      });
    }

    it('goes from one way to another and back with one data directory', async function () {
      const works = WAYS.filter(
        (way) => way.parentMode === 0o700 && isRoot && wayWorks(way, postgresBinaries().postgres, '/tmp/x'),
      );
      if (works.length < 2) return this.skip();
      const dataDir = await used();
      const first = await start(dataDir, { account: works[0] });
      await keep(first);
      await first.stop();
      for (const account of [works[1], works[0]]) {
        const postgres = await start(dataDir, { account });
        expect(await count(postgres)).to.equal(3);
        await postgres.stop();
      }
    });
  });

  it('stays its owner’s when root runs it in between, with all that is made meanwhile', async function () {
    if (!isRoot) return this.skip();
    const dataDir = fresh();
    mkdirSync(dataDir, { mode: 0o700 });
    chownSync(dirname(dataDir), ORDINARY_ID, ORDINARY_ID);
    chownSync(dataDir, ORDINARY_ID, ORDINARY_ID);
    const owners = () =>
      readdirSync(dataDir, { recursive: true, encoding: 'utf8' }).filter((name) => {
        const { uid, gid } = statSync(join(dataDir, name));
        return uid !== ORDINARY_ID || gid !== ORDINARY_ID;
      });
    const asOwner = async (): Promise<void> => {
      const server = child(dataDir, asOrdinary(ORDINARY_ID));
      const line = await server.next();
      expect(line?.message).to.equal(undefined);
      await keep({ connection: line!.connection! });
      server.process.stdin!.end();
      expect(await server.ended).to.equal(0);
    };
    const asRoot = async (): Promise<void> => {
      const postgres = await start(dataDir);
      await writeKeyFile(join(dataDir, 'key'), Buffer.alloc(32));
      const [pid] = processesOn(cluster(dataDir));
      expect(readFileSync(`/proc/${pid}/status`, 'utf8')).to.contain(`Uid:\t${ORDINARY_ID}\t`);
      expect(owners()).to.deep.equal([]);
      await postgres.stop();
      rmSync(join(dataDir, 'key'));
    };
    // The first start is root's, as that of a restore; later ones find what an ordinary user made.
    await asRoot();
    await asOwner();
    await asRoot();
    await asOwner();
    // What was taken away by root is given back by root.
    spawnSync('chown', ['-R', '65534:65534', join(dataDir, 'postgres')]);
    await asRoot();
    await asOwner();
  });

  for (const [who, uid] of [
    ['an ordinary user', ORDINARY_ID],
    ['a user id that has no name, as containers are given', NAMELESS_ID],
  ] as const) {
    it(`runs as ${who}`, async function () {
      if (!isRoot && uid === NAMELESS_ID) return this.skip();
      const dataDir = fresh();
      const options = isRoot ? asOrdinary(uid) : {};
      if (isRoot) chownSync(dirname(dataDir), uid, uid);
      for (const rows of [0, 3]) {
        const server = child(dataDir, options);
        const line = await server.next();
        if (uid === NAMELESS_ID && line?.message !== undefined) {
          // Where user namespaces are not to be had, or the programs out of its reach, it is told what to do.
          expect(line.message).to.contain('needs a user with a name').and.to.contain('/etc/passwd');
          return;
        }
        expect(line?.message).to.equal(undefined);
        const connection = line!.connection!;
        if (rows === 0) await keep({ connection });
        else expect(await count({ connection })).to.equal(rows);
        expect(statSync(cluster(dataDir)).uid).to.equal(isRoot ? uid : process.getuid?.());
        server.process.stdin!.end();
        expect(await server.ended).to.equal(0);
      }
      if (!isRoot) return;
      // What root made is refused to it, with what to do.
      spawnSync('chown', ['-R', '0:0', cluster(dataDir)]);
      chmodSync(cluster(dataDir), 0o755);
      expect((await child(dataDir, options).next())?.message).to.contain('chown');
    });
  }
});

/** CAP_DAC_READ_SEARCH is bit 2. */
const CAPABILITIES: Record<string, string> = {
  setpriv: '0000000000000004',
  unshare: '0000000000000000',
  setuid: '0000000000000000',
};

/** How root starts a child as an ordinary user; one that may read the checkout, where only root may enter it. */
function asOrdinary(uid: number): { uid: number } | { prefix: string[] } {
  if (canRead(uid, import.meta.filename)) return { uid };
  const ids = [`--reuid=${uid}`, `--regid=${uid}`, '--clear-groups', '--securebits=+no_setuid_fixup'];
  return { prefix: ['setpriv', ...ids, '--inh-caps=+dac_read_search', '--ambient-caps=+dac_read_search'] };
}

/** Everything below a directory: names, sizes and times of change. */
function listing(directory: string): string[] {
  return readdirSync(directory, { recursive: true, encoding: 'utf8' })
    .filter((name) => !name.includes('socket') && !name.endsWith('postgres'))
    .map((name) => {
      const { size, mtimeMs } = statSync(join(directory, name));
      return `${name} ${size} ${mtimeMs}`;
    })
    .sort();
}

/** The directory that initdb works in, if there is one. */
function newest(home: string): string | undefined {
  if (!existsSync(home)) return undefined;
  const name = readdirSync(home).find((each) => each.startsWith('data.new-'));
  return name === undefined ? undefined : join(home, name);
}

function holds(path: string, text: string): boolean {
  try {
    return readFileSync(path, 'utf8').includes(text);
  } catch {
    return false;
  }
}
