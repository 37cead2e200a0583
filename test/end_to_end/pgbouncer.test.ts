import { type ChildProcess, spawn } from 'node:child_process';
import { chmodSync, chownSync, existsSync, mkdirSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect } from 'chai';
import { runDemo, SAMPLE } from '../../src/cli/demo.ts';
import { DOOR_CHECKS } from '../../src/cli/doctor/door_checks.ts';
import { runCli } from '../support/cli.ts';
import { look, subjectOf } from '../support/doctor.ts';
import { isRoot, remove, temporaryDirectory } from '../support/embedded.ts';
import { freePort } from '../support/free_port.ts';
import { createTestDatabase, type TestDatabase, testPostgres } from '../support/test_database.ts';
import { startTestServer } from '../support/test_server.ts';

const PGBOUNCER = '/usr/sbin/pgbouncer';

describe('a server behind PgBouncer in transaction mode, where that is installed', function () {
  this.timeout(60_000);
  const directory = temporaryDirectory();
  let database: TestDatabase;
  let pooler: ChildProcess | undefined;
  let url: string;

  before(async () => {
    if (!existsSync(PGBOUNCER)) return;
    database = await createTestDatabase();
    const { host, user } = testPostgres();
    const port = await freePort();
    const { uid } = statSync(host);
    const home = join(directory, 'pgbouncer');
    mkdirSync(home, { mode: 0o755 });
    const file = join(home, 'pgbouncer.ini');
    // Two connections to PostgreSQL for all of the server's: every transaction meets another one.
    writeFileSync(
      file,
      `[databases]
${database.connection.database} = host=${host} user=${user}
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = ${port}
unix_socket_dir =
auth_type = any
pool_mode = transaction
default_pool_size = 2
max_client_conn = 200
`,
    );
    if (isRoot) {
      // PgBouncer refuses to be root; PostgreSQL's socket is its account's alone.
      for (const path of [home, file]) chownSync(path, uid, uid);
      chmodSync(directory, 0o755);
    }
    const command = isRoot
      ? [
          '/usr/bin/setpriv',
          `--reuid=${uid}`,
          `--regid=${uid}`,
          '--clear-groups',
          '--inh-caps=+dac_read_search',
          '--ambient-caps=+dac_read_search',
          PGBOUNCER,
          file,
        ]
      : [PGBOUNCER, file];
    const child = spawn(command[0]!, command.slice(1), { stdio: ['ignore', 'pipe', 'pipe'] });
    pooler = child;
    await new Promise<void>((resolve, reject) => {
      let said = '';
      child.stderr.on('data', (piece) => {
        said += piece;
        if (said.includes('process up')) resolve();
      });
      child.on('exit', () => reject(new Error(said)));
    });
    url = `postgres://${user}@127.0.0.1:${port}/${database.connection.database}`;
  });

  after(async () => {
    const running = pooler;
    if (running !== undefined) {
      const ended = new Promise((resolve) => running.on('exit', resolve));
      running.kill('SIGKILL');
      await ended;
      await database.drop();
    }
    remove(directory);
  });

  it('serves the whole main job through two connections, with other devices and administration beside it', async () => {
    if (pooler === undefined) return;
    const settings = { PASSMANAGER_DATABASE_URL: url, PASSMANAGER_PGBOUNCER: 'on' };
    const keyFile = join(directory, 'key');
    const server = await startTestServer({ shared: { database, keyFile }, settings });
    try {
      const ports = {
        PASSMANAGER_GRPC_PORT: String(server.running.grpcAddress.port),
        PASSMANAGER_HTTP_PORT: String(server.running.httpAddress.port),
      };
      const config = { ...server.config, grpcPort: server.running.grpcAddress.port };
      const stage = { say: () => {}, progress: () => {} };
      const report = await runDemo(SAMPLE, config, stage);
      expect(report).to.include({ entries: 200, foundTexts: 0 });
      // Many at once, more than there are connections.
      const checks = ['grpc_round_trip', 'connect_round_trip'];
      const found = await Promise.all(
        Array.from({ length: 12 }, (_, index) => look(DOOR_CHECKS, checks[index % 2]!, subjectOf(ports))),
      );
      for (const { state, detail } of found) expect(state, detail).to.equal('good');
      const cli = { ...server.settings, ...ports };
      expect((await runCli(['stats', '--json'], cli)).code).to.equal(0);
      const file = join(directory, 'a.pmbackup');
      writeFileSync(join(directory, 'pass'), 'correct horse battery staple');
      const backup = await runCli(['backup', file, '-p', join(directory, 'pass')], cli);
      expect(backup.code, backup.notes).to.equal(0);
    } finally {
      await server.stop();
    }
    expect(server.logged.filter((line) => /"level":[56]0/.test(line))).to.deep.equal([]);
  });
});
