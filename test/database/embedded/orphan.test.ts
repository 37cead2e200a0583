import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdirSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { expect } from 'chai';
import { chooseAccount } from '../../../src/database/embedded/account.ts';
import { startEmbeddedPostgres } from '../../../src/database/embedded/embedded_postgres.ts';
import { stopOrphan } from '../../../src/database/embedded/orphan.ts';
import { postgresBinaries } from '../../../src/database/embedded/postgres_binaries.ts';
import {
  processesOn,
  query,
  recordingLog,
  remove,
  temporaryDirectory,
  usedDataDirectory,
} from '../../support/embedded.ts';
import { eventually } from '../../support/eventually.ts';

describe('an orphaned PostgreSQL', function () {
  this.timeout(60_000);

  describe('is none, when postmaster.pid', () => {
    let cluster: string;
    let stranger: ChildProcess;

    beforeEach(() => {
      cluster = temporaryDirectory();
      stranger = spawn('sleep', ['60'], { stdio: 'ignore', cwd: '/' });
    });

    afterEach(async () => {
      const ended = once(stranger, 'exit');
      stranger.kill('SIGKILL');
      await ended;
      remove(cluster);
    });

    const write = (content: string): string => {
      const path = join(cluster, 'postmaster.pid');
      writeFileSync(path, content);
      return path;
    };

    it('names a process that is something else by now: that one is left alone and the file is removed', async () => {
      const path = write(`${stranger.pid}\n${cluster}\n`);
      expect(await stopOrphan(cluster)).to.equal(undefined);
      expect(existsSync(path)).to.equal(false);
      expect(stranger.exitCode).to.equal(null);
      process.kill(stranger.pid!, 0);
    });

    it('names a process that is gone: PostgreSQL itself knows what to do with the file', async () => {
      const ended = once(stranger, 'exit');
      stranger.kill('SIGKILL');
      await ended;
      const path = write(`${stranger.pid}\n`);
      expect(await stopOrphan(cluster)).to.equal(undefined);
      expect(existsSync(path)).to.equal(true);
      stranger = spawn('sleep', ['60'], { stdio: 'ignore' });
    });

    it('is missing, empty, damaged, or names what is no process of a user', async () => {
      expect(await stopOrphan(cluster)).to.equal(undefined);
      for (const content of ['', 'nonsense', '-1\n', '0\n', '1\n', '99999999999999\n']) {
        write(content);
        expect(await stopOrphan(cluster), content).to.equal(undefined);
      }
      mkdirSync(join(cluster, 'none'));
      expect(await stopOrphan(join(cluster, 'none'))).to.equal(undefined);
    });
  });

  it('is stopped by the next start, which then has the directory to itself and all that was acknowledged', async () => {
    const dataDir = await usedDataDirectory();
    const cluster = join(dataDir, 'postgres', 'data');
    try {
      const { postgres } = postgresBinaries();
      const account = chooseAccount(postgres, dataDir);
      const [file, ...parameters] = [...account.prefix, postgres, '-D', cluster];
      const id = account.spawnId === undefined ? {} : { uid: account.spawnId, gid: account.spawnId };
      // Without a guard, as if that had been killed too.
      const orphan = spawn(file!, parameters, { stdio: 'ignore', cwd: cluster, detached: true, ...id });
      const ended = once(orphan, 'exit');
      const connection = {
        host: join(dataDir, 'postgres', 'socket'),
        user: 'passmanager',
        database: 'passmanager',
      };
      await eventually(
        () =>
          query(connection, 'create table kept as select 1 as n').then(
            () => true,
            () => false,
          ),
        10_000,
      );

      const log = recordingLog();
      const next = await startEmbeddedPostgres({ dataDir, log });
      expect(await ended).to.deep.equal([0, null]);
      expect(log.messages).to.have.length(1);
      expect(await query(next.connection, 'select n from kept')).to.deep.equal([{ n: 1 }]);
      expect(processesOn(cluster)).not.to.include(orphan.pid);
      await next.stop();
    } finally {
      remove(dirname(dataDir));
    }
  });
});
