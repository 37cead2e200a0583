import { type ChildProcess, spawn } from 'node:child_process';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { createConnectTransport, createGrpcTransport } from '@connectrpc/connect-node';
import { expect } from 'chai';
import { logIn, markConfidential, registerUser, type Vault } from '../../src/client/node.ts';
import { remove, temporaryDirectory } from '../support/embedded.ts';
import { eventually } from '../support/eventually.ts';
import { freePort } from '../support/free_port.ts';
import { createTestDatabase, type TestDatabase } from '../support/test_database.ts';
import { databaseUrl } from '../support/test_server.ts';

const HAPROXY = '/usr/sbin/haproxy';
const root = join(import.meta.dirname, '../..');
const fixtures = join(root, 'test/fixtures/tls');
const ca = readFileSync(join(fixtures, 'certificate.pem'), 'utf8');

interface Server {
  readonly grpcPort: number;
  readonly httpPort: number;
  child: ChildProcess | undefined;
}

describe('a rolling restart of two servers behind HAProxy, where that is installed', function () {
  this.timeout(90_000);
  const directory = temporaryDirectory();
  const servers: Server[] = [];
  let database: TestDatabase;
  let proxy: ChildProcess | undefined;
  let url: string;

  const ended = (child: ChildProcess): Promise<unknown> =>
    child.exitCode !== null ? Promise.resolve() : new Promise((resolve) => child.on('exit', resolve));

  async function start(server: Server): Promise<void> {
    const child = spawn(process.execPath, [join(root, 'src/server/main.ts')], {
      env: {
        PATH: process.env.PATH,
        PASSMANAGER_DATABASE_URL: databaseUrl(database),
        PASSMANAGER_KEY_FILE: join(directory, 'key'),
        PASSMANAGER_DATA_DIR: join(directory, `data-${server.grpcPort}`),
        PASSMANAGER_GRPC_PORT: String(server.grpcPort),
        PASSMANAGER_HTTP_PORT: String(server.httpPort),
        PASSMANAGER_TRUSTED_PROXIES: '127.0.0.1',
        PASSMANAGER_REGISTRATION: 'open',
      },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    server.child = child;
    await new Promise<void>((resolve, reject) => {
      let said = '';
      for (const stream of [child.stdout, child.stderr])
        stream.on('data', (piece) => {
          said += piece;
          if (said.includes('passmanager is ready')) resolve();
        });
      child.on('exit', () => reject(new Error(said)));
    });
  }

  const isReady = (server: Server): Promise<boolean> =>
    fetch(`http://127.0.0.1:${server.httpPort}/readyz`).then(
      ({ status }) => status === 200,
      () => false,
    );

  before(async () => {
    if (!existsSync(HAPROXY)) return;
    database = await createTestDatabase();
    for (let index = 0; index < 2; index += 1) {
      const server: Server = { grpcPort: await freePort(), httpPort: await freePort(), child: undefined };
      servers.push(server);
      await start(server);
    }
    const port = await freePort();
    url = `https://localhost:${port}`;
    writeFileSync(join(directory, 'both.pem'), `${ca}${readFileSync(join(fixtures, 'key.pem'), 'utf8')}`);
    const lines = (grpc: boolean) =>
      servers
        .map(({ grpcPort, httpPort }, index) =>
          grpc
            ? `  server s${index} 127.0.0.1:${grpcPort} proto h2 check port ${httpPort} check-proto h1`
            : `  server s${index} 127.0.0.1:${httpPort} check`,
        )
        .join('\n');
    writeFileSync(
      join(directory, 'haproxy.cfg'),
      readFileSync(join(root, 'deploy/proxies/haproxy.cfg'), 'utf8')
        .replace('bind :443', `bind 127.0.0.1:${port}`)
        .replace('/etc/haproxy/certs/vault.example.org.pem', join(directory, 'both.pem'))
        .replace(/^ {2}server one 127\.0\.0\.1:50051.*$/m, lines(true))
        .replace(/^ {2}server one 127\.0\.0\.1:8080.*$/m, lines(false)),
    );
    proxy = spawn(HAPROXY, ['-db', '-f', join(directory, 'haproxy.cfg')], { stdio: 'ignore' });
    await eventually(
      () =>
        import('node:net').then(
          ({ connect }) =>
            new Promise<boolean>((resolve) => {
              const socket = connect(port, '127.0.0.1', () => {
                socket.destroy();
                resolve(true);
              });
              socket.on('error', () => resolve(false));
            }),
        ),
      5_000,
    );
  });

  after(async () => {
    for (const { child } of servers) {
      child?.kill('SIGTERM');
      if (child !== undefined) await ended(child);
    }
    if (proxy !== undefined) {
      proxy.kill('SIGTERM');
      await ended(proxy);
      await database.drop();
    }
    remove(directory);
  });

  it('fails no call that the client’s retries do not settle, loses nothing and does nothing twice, and watches go on', async () => {
    if (proxy === undefined) return;
    const transports = [
      () => createGrpcTransport({ baseUrl: url, nodeOptions: { ca } }),
      () => createConnectTransport({ baseUrl: url, httpVersion: '1.1', nodeOptions: { ca } }),
    ];
    const account = { username: 'alice@example.com', password: 'correct horse battery staple' };
    const open = async (index: number): Promise<Vault> =>
      logIn(markConfidential(transports[index % 2]!(), url), { ...account, maximumRequests: -1 });
    await registerUser(markConfidential(transports[0]!(), url), account);

    let working = true;
    const written: string[] = [];
    const failures: unknown[] = [];
    const clients = [0, 1, 2, 3].map(async (index) => {
      const vault = await open(index);
      for (let round = 0; working; round += 1) {
        const name = `client ${index} round ${round}`;
        try {
          const { id } = await vault.create({ name });
          written.push(name);
          if ((await vault.get(id)).name !== name) throw new Error('another entry came back');
        } catch (error) {
          failures.push(error);
        }
      }
      vault.close();
    });
    const watcher = await open(0);
    const watching = new AbortController();
    let seen = 0;
    const watch = (async () => {
      for await (const _ of watcher.watch({ signal: watching.signal })) seen += 1;
    })().catch(() => {});

    await eventually(() => written.length > 20, 20_000);
    for (const server of servers) {
      const before = { written: written.length, seen };
      server.child!.kill('SIGTERM');
      await ended(server.child!);
      await eventually(() => written.length > before.written + 20, 20_000);
      await start(server);
      await eventually(() => isReady(server));
      // HAProxy looks each half second at one that was gone, and wants to see it well twice.
      await new Promise((resolve) => setTimeout(resolve, 2_000));
      await eventually(() => seen > before.seen);
    }
    working = false;
    await Promise.all(clients);
    watching.abort();
    await watch;
    const names = (await watcher.list()).entries.map(({ name }) => name);
    watcher.close();
    expect(failures.map(String)).to.deep.equal([]);
    expect(names.sort()).to.deep.equal(written.sort());
    expect(new Set(names).size).to.equal(names.length);
  });
});
