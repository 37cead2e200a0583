import { cpSync, existsSync, mkdirSync, readdirSync, readFileSync, renameSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { expect } from 'chai';
import {
  clustersSetAside,
  hasEmbeddedDatabase,
  startEmbeddedPostgres,
} from '../../../src/database/embedded/embedded_postgres.ts';
import { layoutOf } from '../../../src/database/embedded/layout.ts';
import { goToNextMajor } from '../../../src/database/embedded/next_major.ts';
import { postgresBinaries, previousBinaries } from '../../../src/database/embedded/postgres_binaries.ts';
import { createLogger } from '../../../src/server/log.ts';
import {
  query,
  recordingLog,
  remove,
  startChildServer,
  temporaryDirectory,
  untilNothingRunsOn,
} from '../../support/embedded.ts';
import { fillPreviousRelease, withPreviousRelease } from '../../support/previous_release.ts';
import { rejection } from '../../support/rejection.ts';
import { everythingIn } from '../../support/sample_rows.ts';

describe('going to the next major version of PostgreSQL', function () {
  this.timeout(180_000);
  const [previous, now] = [previousBinaries().majorVersion, postgresBinaries().majorVersion];
  const ending: (() => unknown)[] = [];
  let original: string;
  let everything: Record<string, unknown>;

  before(async () => {
    original = temporaryDirectory();
    await fillPreviousRelease(original);
    everything = await withPreviousRelease(original, everythingIn);
  });

  after(() => remove(original));

  afterEach(async () => {
    for (const step of ending.splice(0).reverse()) await step();
  });

  /** A directory with a copy of another's data directory in it. */
  const copyOf = (other: string): string => {
    const directory = temporaryDirectory();
    cpSync(join(other, 'data'), join(directory, 'data'), { recursive: true });
    return directory;
  };
  /** One as the release before left it. */
  const used = (): string => {
    const directory = copyOf(original);
    ending.push(() => remove(directory));
    return directory;
  };
  const layout = (directory: string) => layoutOf(join(directory, 'data'));
  const aside = (directory: string): string => `${layout(directory).aside}${previous}`;
  const versionOf = (cluster: string): string => readFileSync(join(cluster, 'PG_VERSION'), 'utf8').trim();
  const clustersIn = (directory: string): string[] =>
    readdirSync(layout(directory).home)
      .filter((name) => name.startsWith('data'))
      .sort();
  /** The database is of the version of now, and holds what it held. */
  const expectArrived = async (
    directory: string,
    expected = everything,
    log = recordingLog(),
  ): Promise<void> => {
    const dataDir = join(directory, 'data');
    const { connection, stop } = await startEmbeddedPostgres({ dataDir, log });
    try {
      const found = await everythingIn({ query: (text, parameters) => query(connection, text, parameters) });
      expect(found).to.deep.equal(expected);
    } finally {
      await stop();
    }
    expect(versionOf(layout(directory).cluster)).to.equal(now);
    expect(versionOf(aside(directory))).to.equal(previous);
    expect(clustersIn(directory)).to.deep.equal(['data', `data.postgresql-${previous}`]);
  };
  /** The database is the one of before, and nothing else lies there. */
  const expectUntouched = (directory: string): void => {
    expect(clustersIn(directory)).to.deep.equal(['data']);
    expect(versionOf(layout(directory).cluster)).to.equal(previous);
  };

  describe('is refused', () => {
    const start = (directory: string, more: object = {}) =>
      startEmbeddedPostgres({ dataDir: join(directory, 'data'), log: recordingLog(), ...more });

    it('without room for a copy, before anything is made', async () => {
      const directory = used();
      const parts = {
        layout: layout(directory),
        binaries: postgresBinaries(),
        previous: previousBinaries(),
        log: recordingLog(),
        freeBytes: async () => 100 * 2 ** 20,
      };
      expect((await rejection(goToNextMajor(parts as never))).name).to.equal('NoRoomForNextMajorError');
      expect(parts.log.messages).to.deep.equal([]);
      expectUntouched(directory);
    });

    it('where the programs of before are not installed, or a command may not, and changes nothing', async () => {
      const directory = used();
      const files = listing(layout(directory).cluster);
      const missing = () => previousBinaries('plan9', 'mips');
      expect((await rejection(start(directory, { previous: missing }))).name).to.equal('ForeignVersionError');
      expect((await rejection(start(directory, { previous: postgresBinaries }))).name).to.equal(
        'ForeignVersionError',
      );
      expect((await rejection(start(directory, { goOn: false }))).name).to.equal('NextMajorPendingError');
      expect(listing(layout(directory).cluster)).to.deep.equal(files);
      expectUntouched(directory);
    });

    it('where one that was set aside earlier is in the way', async () => {
      const directory = used();
      mkdirSync(aside(directory));
      expect((await rejection(start(directory))).name).to.equal('EmbeddedPostgresError');
      expect(readdirSync(aside(directory))).to.deep.equal([]);
      expect(versionOf(layout(directory).cluster)).to.equal(previous);
    });
  });

  describe('keeps every row as it was', () => {
    let directory: string;
    const lines: string[] = [];

    before(async () => {
      directory = copyOf(original);
      const log = createLogger('info', { write: (line) => void lines.push(line) });
      await (await startEmbeddedPostgres({ dataDir: join(directory, 'data'), log })).stop();
    });

    after(() => remove(directory));

    it('sets the one before aside, and tells how far it is, in fields that may be written', () => {
      expect(clustersSetAside(join(directory, 'data'))).to.deep.equal([aside(directory)]);
      expect(readdirSync(layout(directory).socket)).to.deep.equal([]);
      const records = lines.map((line) => JSON.parse(line));
      expect(records.filter(({ dropped }) => dropped !== undefined)).to.deep.equal([]);
      expect(records[0]).to.include({ from: previous, to: now });
      expect(records.at(-1)).to.include({ from: previous, to: now });
      expect(records.filter(({ table }) => table === 'users')).to.have.length(1);
    });

    it('is done once', async () => {
      const log = recordingLog();
      await expectArrived(directory, everything, log);
      expect(log.messages).to.deep.equal([]);
    });

    it('takes its last step where it ended before that', async () => {
      const { cluster, next } = layout(directory);
      renameSync(cluster, next);
      expect(hasEmbeddedDatabase(join(directory, 'data'))).to.equal(true);
      await expectArrived(directory);
    });

    it('begins again where the one before has its place still, and may have been used since', async () => {
      const { cluster, next } = layout(directory);
      renameSync(cluster, next);
      renameSync(aside(directory), cluster);
      const later = await withPreviousRelease(directory, async (database) => {
        expect(await everythingIn(database)).to.deep.equal(everything);
        await database.query(`insert into audit_events (event) values ('later')`);
        return everythingIn(database);
      });
      expectUntouched(directory);
      await expectArrived(directory, later);
    });
  });

  it('begins again after kill -9 of the server or of either PostgreSQL, and a full disk, at whatever stage', async () => {
    const directory = used();
    const dataDir = join(directory, 'data');
    const { home, cluster } = layout(directory);
    // As it begins, as the first table was copied, as all was proved.
    for (const line of [1, 2, 12]) {
      const child = startChildServer(dataDir, { line });
      expect(await child.next(), `${line}`).to.equal(undefined);
      await child.ended;
      expect(child.process.signalCode, `${line}`).to.equal('SIGKILL');
      expect(versionOf(cluster), `${line}`).to.equal(previous);
      expect(existsSync(aside(directory)), `${line}`).to.equal(false);
    }

    // No file larger than a megabyte: the new cluster's first log segment has 16.
    const full = startChildServer(dataDir, {
      prefix: ['/bin/sh', '-c', 'ulimit -f 2048; exec "$@"', 'sh'],
    });
    expect((await full.next())?.name).to.equal('DiskFullError');
    expect(await full.ended).to.equal(1);
    expectUntouched(directory);

    for (const which of ['new', 'old']) {
      let killed: string | undefined;
      const kill = (): void => {
        const making = readdirSync(home).find((name) => name.startsWith('data.new-'));
        if (killed !== undefined || making === undefined) return;
        killed = which === 'old' ? cluster : join(home, making);
        process.kill(Number.parseInt(readFileSync(join(killed, 'postmaster.pid'), 'utf8'), 10), 'SIGKILL');
      };
      const log = { ...recordingLog(), info: kill };
      expect((await rejection(startEmbeddedPostgres({ dataDir, log }))).name).to.equal(
        'EmbeddedPostgresError',
      );
      expect(killed, which).not.to.equal(undefined);
      expectUntouched(directory);
      await untilNothingRunsOn(cluster);
    }

    // As the new one has its place.
    const last = startChildServer(dataDir, { line: 13 });
    expect(await last.next()).to.equal(undefined);
    await last.ended;
    expect(versionOf(cluster)).to.equal(now);
    // PostgreSQL empties unlogged tables after a crash of its own.
    await expectArrived(directory, { ...everything, rate_counters: [] });
  });
});

/** Everything below a directory: names, sizes and times of change. */
function listing(directory: string): string[] {
  return readdirSync(directory, { recursive: true, encoding: 'utf8' })
    .map((name) => {
      const { size, mtimeMs } = statSync(join(directory, name));
      return `${name} ${size} ${mtimeMs}`;
    })
    .sort();
}
