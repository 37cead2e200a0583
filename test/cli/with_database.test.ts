import { mkdirSync, readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect } from 'chai';
import { withDatabase } from '../../src/cli/with_database.ts';
import { startEmbeddedPostgres } from '../../src/database/embedded/embedded_postgres.ts';
import { ClosedDataDirectoryError } from '../../src/database/embedded/errors.ts';
import { previousBinaries } from '../../src/database/embedded/postgres_binaries.ts';
import { KeyFileError } from '../../src/database/key_file.ts';
import { DatabaseFault } from '../../src/database/sqlstate.ts';
import { closedTo, recordingLog, remove, temporaryDirectory } from '../support/embedded.ts';
import { rejection } from '../support/rejection.ts';
import { createTestDatabase } from '../support/test_database.ts';
import { databaseUrl } from '../support/test_server.ts';

describe('the database for a command', function () {
  this.timeout(60_000);
  const config = { dataDir: '', databaseUrl: undefined as string | undefined, pgbouncer: false };

  /** The name of the database that the command got. */
  async function reach(settings: typeof config): Promise<unknown> {
    let name: unknown;
    await withDatabase(settings, async (database) => {
      const { rows } = await database.reads.execute('select current_database() as name', []);
      name = rows[0]!.name;
    });
    return name;
  }

  it('is refused where no server was ever started, and when its tables are missing', async () => {
    const dataDir = temporaryDirectory();
    expect(await rejection(reach({ ...config, dataDir }))).to.be.instanceOf(KeyFileError);
    remove(dataDir);
    const empty = await createTestDatabase({ migrated: false });
    const missing = withDatabase({ ...config, databaseUrl: databaseUrl(empty) }, (database) =>
      database.reads.execute('select * from invites', []).then(() => {}),
    );
    expect(await rejection(missing)).to.be.instanceOf(KeyFileError);
    await empty.drop();
  });

  it('is refused to a user that the data directory is closed to, who is not told that there is none', async () => {
    const directory = temporaryDirectory();
    const dataDir = join(directory, 'data');
    mkdirSync(dataDir);
    const refusal = await closedTo(directory, () => rejection(reach({ ...config, dataDir })));
    expect(refusal).to.be.instanceOf(ClosedDataDirectoryError);
    remove(directory);
  });

  it('is refused to a command that changes nothing while it is of the major version before', async () => {
    const dataDir = temporaryDirectory();
    const cluster = join(dataDir, 'postgres', 'data');
    mkdirSync(cluster, { recursive: true });
    writeFileSync(join(cluster, 'PG_VERSION'), `${previousBinaries().majorVersion}\n`);
    const work = () => Promise.reject(new Error('must not be called'));
    expect((await rejection(withDatabase({ ...config, dataDir, goOn: false }, work))).name).to.equal(
      'NextMajorPendingError',
    );
    expect(readdirSync(cluster)).to.deep.equal(['PG_VERSION']);
    remove(dataDir);
  });

  it('is a fault when it cannot be reached by its URL', async () => {
    const away = { ...config, databaseUrl: 'postgres://me@localhost/x?host=%2Fnonexistent' };
    expect(await rejection(reach(away))).to.be.instanceOf(DatabaseFault);
  });

  it('is the embedded one, whether it runs or not', async () => {
    const dataDir = temporaryDirectory();
    const postgres = await startEmbeddedPostgres({ dataDir, log: recordingLog() });
    expect(await reach({ ...config, dataDir })).to.equal('passmanager');
    await postgres.stop();
    expect(await reach({ ...config, dataDir })).to.equal('passmanager');
    remove(dataDir);
  });
});
