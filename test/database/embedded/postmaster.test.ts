import { existsSync, mkdirSync, readdirSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { expect } from 'chai';
import { chooseAccount } from '../../../src/database/embedded/account.ts';
import { endChild, type GuardedChild } from '../../../src/database/embedded/guarded_child.ts';
import { layoutOf } from '../../../src/database/embedded/layout.ts';
import { type LogFile, openLogFile } from '../../../src/database/embedded/log_file.ts';
import { postgresBinaries } from '../../../src/database/embedded/postgres_binaries.ts';
import {
  connectionThrough,
  type PostmasterParts,
  STOP_STEPS,
  startPostmaster,
} from '../../../src/database/embedded/postmaster.ts';
import { openSocketDirectory } from '../../../src/database/embedded/socket_directory.ts';
import { query, remove, untilNothingRunsOn, usedDataDirectory } from '../../support/embedded.ts';
import { rejection } from '../../support/rejection.ts';

describe('a postmaster', function () {
  this.timeout(60_000);
  const binaries = postgresBinaries();
  const running: GuardedChild[] = [];
  let layout: ReturnType<typeof layoutOf>;
  let logFile: LogFile;
  let parts: PostmasterParts;

  before(async () => {
    layout = layoutOf(await usedDataDirectory());
    logFile = openLogFile(layout.log);
    const account = chooseAccount(binaries.postgres, layout.dataDir);
    const connection = connectionThrough(openSocketDirectory(layout.socket));
    parts = { layout, binaries, account, connection, logFile };
  });

  afterEach(async () => {
    for (const child of running.splice(0)) await endChild(child, STOP_STEPS);
  });

  after(() => {
    logFile.close();
    remove(dirname(layout.dataDir));
  });

  const start = async (more: Partial<PostmasterParts> = {}): Promise<GuardedChild> => {
    const child = await startPostmaster({ ...parts, ...more });
    running.push(child);
    return child;
  };

  it('is refused with the end of its log where it does not start, and leaves no process', async () => {
    const error = await rejection(start({ settings: { no_such_setting: 'on' } }));
    expect(error.name).to.equal('EmbeddedPostgresError');
    expect(error.message).to.contain('no_such_setting');
    await untilNothingRunsOn(layout.cluster);
  });

  it('is given up when it is not wanted any more', async () => {
    const error = await rejection(start({ signal: AbortSignal.abort() }));
    expect(error.name).to.equal('EmbeddedPostgresError');
    await untilNothingRunsOn(layout.cluster);
  });

  it('answers by the usual name, whatever a killed one left there', async () => {
    writeFileSync(join(layout.socket, '.s.PGSQL.5432'), '');
    writeFileSync(join(layout.socket, '.s.PGSQL.5432.lock'), `${process.pid}\n`);
    await start();
    expect(await query(parts.connection, 'select 1 as one')).to.deep.equal([{ one: 1 }]);
  });

  it('answers by another name alone where it is told one, with settings of its own, and leaves other names be', async () => {
    writeFileSync(join(layout.socket, '.s.PGSQL.5432'), 'of another');
    const connection = connectionThrough(openSocketDirectory(layout.socket), 5433);
    await start({ connection, settings: { default_transaction_read_only: 'on' } });
    expect(
      (await rejection(query(connection, 'create table notes (id int)'))) as Error & { code?: string },
    ).to.have.property('code', '25006');
    expect(readdirSync(layout.socket)).to.include.members(['.s.PGSQL.5432', '.s.PGSQL.5433']);
    await rejection(query(parts.connection, 'select 1'));
  });

  it('takes the place of one that still runs on the cluster', async () => {
    const first = await start();
    await start();
    await first.exited;
    expect(await query(parts.connection, 'select 1 as one')).to.deep.equal([{ one: 1 }]);
    const elsewhere = join(layout.home, 'nowhere');
    mkdirSync(elsewhere);
    expect((await rejection(start({ cluster: elsewhere }))).name).to.equal('EmbeddedPostgresError');
    expect(existsSync(join(layout.cluster, 'postmaster.pid'))).to.equal(true);
  });
});
