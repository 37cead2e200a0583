import { type ChildProcess, spawn } from 'node:child_process';
import { randomBytes, randomUUID, X509Certificate } from 'node:crypto';
import { once } from 'node:events';
import { copyFileSync, existsSync, readdirSync, readFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { connect as connectTls } from 'node:tls';
import { createConnectTransport } from '@connectrpc/connect-node';
import { expect } from 'chai';
import * as data from '../../gen/passmanager/data/v1/data_service_pb.ts';
import { COMPILE_CACHE } from '../support/compile_cache.ts';
import { remove, temporaryDirectory, untilNothingRunsOn } from '../support/embedded.ts';
import { eventually } from '../support/eventually.ts';
import { freePort } from '../support/free_port.ts';
import { logIn, makeAccount, register } from '../support/raw_client.ts';

const MAIN = join(import.meta.dirname, '../../src/server/main.ts');
const FIXTURES = join(import.meta.dirname, '../fixtures/tls');

describe('several processes of a server', function () {
  this.timeout(60_000);
  let directory: string;
  let primary: ChildProcess;
  let output: string;
  let exited: Promise<number | NodeJS.Signals | null>;

  beforeEach(() => {
    directory = temporaryDirectory();
    output = '';
  });

  afterEach(async () => {
    if (primary.exitCode === null && primary.signalCode === null) primary.kill('SIGKILL');
    await exited;
    await untilNothingRunsOn(join(directory, 'data'));
    remove(directory);
  });

  const settings = async (more: Record<string, string> = {}) => ({
    PASSMANAGER_DATA_DIR: join(directory, 'data'),
    PASSMANAGER_GRPC_PORT: String(await freePort()),
    PASSMANAGER_HTTP_PORT: String(await freePort()),
    PASSMANAGER_WORKERS: '2',
    ...more,
  });

  const start = (environment: Record<string, string>): void => {
    primary = spawn(process.execPath, [MAIN], {
      env: { PATH: process.env.PATH, ...COMPILE_CACHE, ...environment },
      stdio: ['ignore', 'pipe', 'pipe'],
      detached: true,
    });
    for (const stream of [primary.stdout!, primary.stderr!])
      stream.on('data', (piece) => {
        output += piece;
      });
    exited = new Promise((resolve) => primary.on('exit', (code, signal) => resolve(code ?? signal)));
  };

  /** The workers that run, by their process ids. */
  const workers = (): number[] =>
    readdirSync('/proc')
      .filter((name) => /^\d+$/.test(name))
      .map(Number)
      .filter((pid) => {
        try {
          const [, parent] = /^PPid:\s+(\d+)/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8')) ?? [];
          return (
            Number(parent) === primary.pid && readFileSync(`/proc/${pid}/cmdline`, 'utf8').includes('worker-')
          );
        } catch {
          return false;
        }
      });

  const isRunning = (pid: number): boolean => existsSync(`/proc/${pid}`);

  const serving = async (port: string): Promise<void> => {
    await eventually(
      async () =>
        workers().length === 2 &&
        (await fetch(`http://127.0.0.1:${port}/readyz`).then(
          ({ status }) => status === 200,
          () => false,
        )),
      20_000,
    ).catch(() => {
      throw new Error(output);
    });
  };

  it('do not start when one of them cannot, say why, and leave nothing running', async () => {
    const taken = createServer();
    await new Promise<void>((resolve) => taken.listen(0, '127.0.0.1', resolve));
    const { port } = taken.address() as { port: number };
    start(await settings({ PASSMANAGER_GRPC_PORT: String(port) }));
    expect(await exited).to.equal(1);
    expect(output).to.contain('PASSMANAGER_GRPC_PORT').and.to.contain('a worker process did not start');
    expect(output).not.to.contain('    at ');
    taken.close();
  });

  it('are one service: a request is executed once, whichever of them it reaches, and however many it reaches', async () => {
    const environment = await settings();
    start(environment);
    await serving(environment.PASSMANAGER_HTTP_PORT);
    expect(output.match(/passmanager is ready/g)).to.have.length(1);
    const baseUrl = `http://127.0.0.1:${environment.PASSMANAGER_HTTP_PORT}`;
    // Each has a connection of its own, and so another process.
    const transports = Array.from({ length: 4 }, () =>
      createConnectTransport({ baseUrl, httpVersion: '1.1' }),
    );
    const account = makeAccount();
    await register(transports[0]!, account);
    const session = await logIn(transports[1]!, account, { maximumRequests: -1n });
    const create = (transport: number, number: bigint) =>
      session.over(transports[transport]!).call(
        data.DataService.method.createEntry,
        data.CreateEntryPayloadSchema,
        {
          entryId: randomUUID(),
          entryName: new Uint8Array(randomBytes(93)),
          entryData: new Uint8Array(randomBytes(285)),
        },
        number,
      );
    for (let number = 0n; number < 10n; number += 1n) {
      const results = await Promise.allSettled([0, 1, 2, 3].map((transport) => create(transport, number)));
      expect(results.filter(({ status }) => status === 'fulfilled')).to.have.length(1);
    }
  });

  it('all show another certificate when the first is told by SIGHUP', async () => {
    const [certificate, key] = [join(directory, 'certificate.pem'), join(directory, 'key.pem')];
    const put = (first: string, second: string) => {
      copyFileSync(join(FIXTURES, first), certificate);
      copyFileSync(join(FIXTURES, second), key);
    };
    put('certificate.pem', 'key.pem');
    const environment = await settings({
      PASSMANAGER_TLS_CERT_FILE: certificate,
      PASSMANAGER_TLS_KEY_FILE: key,
    });
    start(environment);
    await eventually(() => output.includes('passmanager is ready') && workers().length === 2, 30_000);
    put('chain.pem', 'chain_key.pem');
    const { subject } = new X509Certificate(readFileSync(certificate));
    /** Each connection is another process’s. */
    const shown = async (): Promise<string> => {
      const port = Number(environment.PASSMANAGER_HTTP_PORT);
      const socket = connectTls({ host: '127.0.0.1', port, rejectUnauthorized: false });
      await once(socket, 'secureConnect');
      const found = socket.getPeerX509Certificate()!.subject;
      socket.destroy();
      return found;
    };
    await eventually(async () => {
      primary.kill('SIGHUP');
      await new Promise((resolve) => setTimeout(resolve, 200));
      for (let connection = 0; connection < 6; connection += 1) if ((await shown()) !== subject) return false;
      return true;
    }, 20_000);
    expect(workers()).to.have.length(2);
    primary.kill('SIGTERM');
    expect(await exited).to.equal(0);
  });

  it('replace one that dies while the other serves, and end with the first process, however that ends', async () => {
    const environment = await settings();
    start(environment);
    await serving(environment.PASSMANAGER_HTTP_PORT);
    const [first, second] = workers();
    process.kill(first!, 'SIGKILL');
    await eventually(() => !isRunning(first!));
    const url = `http://127.0.0.1:${environment.PASSMANAGER_HTTP_PORT}/readyz`;
    // Connections to the dead one are gone; new ones are answered.
    await eventually(() =>
      fetch(url, { headers: { connection: 'close' } }).then(
        ({ ok }) => ok,
        () => false,
      ),
    );
    await serving(environment.PASSMANAGER_HTTP_PORT);
    expect(workers()).to.include(second).and.not.to.include(first);
    expect(output).to.contain('another one takes its place');
    const left = workers();
    primary.kill('SIGKILL');
    await eventually(() => !left.some(isRunning));
  });

  it('stop within seconds by one signal, to the first process or to all of them', async () => {
    for (const target of ['first', 'group']) {
      const environment = await settings();
      output = '';
      start(environment);
      await serving(environment.PASSMANAGER_HTTP_PORT);
      const left = workers();
      process.kill(target === 'first' ? primary.pid! : -primary.pid!, 'SIGTERM');
      expect(await exited).to.equal(0);
      expect(left.some(isRunning)).to.equal(false);
      await untilNothingRunsOn(join(directory, 'data'));
    }
  });
});
