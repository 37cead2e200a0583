import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { writeFile } from 'node:fs/promises';
import { request } from 'node:https';
import { connect } from 'node:net';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import {
  createConnectTransport,
  createGrpcTransport,
  createGrpcWebTransport,
} from '@connectrpc/connect-node';
import { expect } from 'chai';
import { parse } from 'yaml';
import * as clientLibrary from '../../src/client/node.ts';
import { loadConfig } from '../../src/server/config.ts';
import { remove, temporaryDirectory } from '../support/embedded.ts';
import { eventually } from '../support/eventually.ts';
import { freePort } from '../support/free_port.ts';
import { v1Header, v2Header } from '../support/proxy_headers.ts';
import { makeAccount, startLogin } from '../support/raw_client.ts';
import { HTTP2_PREFACE, RawPeer } from '../support/raw_peer.ts';
import { startTestServer, type TestServer } from '../support/test_server.ts';

const root = join(import.meta.dirname, '../..');
const proxies = join(root, 'deploy/proxies');
const fixtures = join(root, 'test/fixtures/tls');
const certificate = join(fixtures, 'certificate.pem');
const ca = readFileSync(certificate, 'utf8');

const HAPROXY = '/usr/sbin/haproxy';

const configuration = (name: string): string => readFileSync(join(proxies, name), 'utf8');

interface Proxy {
  readonly name: string;
  readonly program: string;
  /** Writes the configuration for the addresses of a test, and answers the command. */
  prepare(directory: string, port: number, server: TestServer): Promise<string[]>;
}

const hostAndPort = (url: string): string => new URL(url).host;

const PROXIES: readonly Proxy[] = [
  {
    name: 'nginx',
    program: '/usr/sbin/nginx',
    prepare: async (directory, port, server) => {
      const site = configuration('nginx.conf')
        .replace('listen 443 ssl http2;', `listen 127.0.0.1:${port} ssl http2;`)
        .replace('  listen [::]:443 ssl http2;\n', '')
        .replace('/etc/ssl/vault.example.org/fullchain.pem', certificate)
        .replace('/etc/ssl/vault.example.org/privkey.pem', join(fixtures, 'key.pem'))
        .replace('vault.example.org', 'localhost')
        .replace('127.0.0.1:50051', server.grpcAddress)
        .replace('127.0.0.1:8080', hostAndPort(server.httpUrl));
      const temporary = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi']
        .map((name) => `${name}_temp_path ${directory}/${name};`)
        .join('\n');
      await writeFile(
        join(directory, 'nginx.conf'),
        `${process.getuid?.() === 0 ? 'user root;' : ''} daemon off; pid ${directory}/pid; error_log ${directory}/error.log; events {}\nhttp {\naccess_log off;\n${temporary}\n${site}\n}`,
      );
      return ['/usr/sbin/nginx', '-c', join(directory, 'nginx.conf'), '-p', directory];
    },
  },
  {
    name: 'HAProxy',
    program: HAPROXY,
    prepare: async (directory, port, server) => {
      await writeFile(join(directory, 'both.pem'), `${ca}${readFileSync(join(fixtures, 'key.pem'), 'utf8')}`);
      await writeFile(
        join(directory, 'haproxy.cfg'),
        configuration('haproxy.cfg')
          .replace('bind :443', `bind 127.0.0.1:${port}`)
          .replace('/etc/haproxy/certs/vault.example.org.pem', join(directory, 'both.pem'))
          .replace('127.0.0.1:50051', server.grpcAddress)
          .replace('check port 8080', `check port ${new URL(server.httpUrl).port}`)
          .replace('127.0.0.1:8080', hostAndPort(server.httpUrl)),
      );
      return [HAPROXY, '-db', '-f', join(directory, 'haproxy.cfg')];
    },
  },
  {
    name: 'Caddy',
    program: '/usr/bin/caddy',
    prepare: async (directory, port, server) => {
      const site = configuration('Caddyfile')
        .replace(
          'vault.example.org {',
          `https://localhost:${port} {\n\tbind 127.0.0.1\n\ttls ${certificate} ${join(fixtures, 'key.pem')}`,
        )
        .replace('127.0.0.1:50051', server.grpcAddress)
        .replace('127.0.0.1:8080', hostAndPort(server.httpUrl));
      await writeFile(
        join(directory, 'Caddyfile'),
        `{\n\tadmin off\n\tauto_https off\n\tstorage file_system ${directory}\n}\n${site}`,
      );
      return ['/usr/bin/caddy', 'run', '--config', join(directory, 'Caddyfile'), '--adapter', 'caddyfile'];
    },
  },
];

/** HAProxy passes connections on and tells whose they are. By the version that it tells it in. */
const prepareTcp = async (
  version: 1 | 2,
  isTls: boolean,
  directory: string,
  ports: { http: number; grpc: number },
  server: TestServer,
): Promise<string[]> => {
  let written = configuration('haproxy_tcp.cfg')
    .replace('bind :443', `bind 127.0.0.1:${ports.http}`)
    .replace('bind :8443', `bind 127.0.0.1:${ports.grpc}`)
    .replace('127.0.0.1:50051', server.grpcAddress)
    .replace('check port 8080', `check port ${new URL(server.httpUrl).port}`)
    .replace('127.0.0.1:8080', hostAndPort(server.httpUrl));
  if (version === 1) written = written.replace(' send-proxy-v2 check', ' send-proxy check');
  if (!isTls) written = written.replace(' check-ssl verify none', '');
  written = written.replace('maxconn 4096', `maxconn 4096\n  stats socket ${join(directory, 'stats')}`);
  await writeFile(join(directory, 'haproxy.cfg'), written);
  return ['-db', '-f', join(directory, 'haproxy.cfg')];
};

const answers = (port: number): Promise<boolean> =>
  new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1', () => resolve(true));
    socket.on('error', () => resolve(false));
    socket.on('connect', () => socket.destroy());
  });

/** What HAProxy says of its parts on its socket, a row each by the names of the columns. */
const statistics = async (socketPath: string): Promise<Record<string, string>[]> => {
  const socket = connect(socketPath);
  socket.write('show stat\n');
  const [head, ...rows] = (await text(socket)).replace(/^# /, '').trim().split('\n');
  const names = head!.split(',');
  return rows.map((row) => Object.fromEntries(row.split(',').map((value, index) => [names[index], value])));
};

/** Ends a proxy that was started. */
const end = async (running: ChildProcess | undefined): Promise<void> => {
  if (running === undefined || running.exitCode !== null) return;
  const ended = new Promise((resolve) => running.on('exit', resolve));
  running.kill('SIGTERM');
  setTimeout(() => running.kill('SIGKILL'), 3_000).unref();
  await ended;
};

describe('the configurations of proxies', function () {
  this.timeout(60_000);

  it('send what is gRPC, and not gRPC-Web, to the gRPC door, overwrite the address, and time nothing out before a heartbeat', () => {
    const pattern = '^application/grpc(\\+proto|;|$)';
    for (const name of ['nginx.conf', 'haproxy.cfg', 'Caddyfile', 'traefik.yaml']) {
      const text = configuration(name);
      expect(text, name).to.include(pattern).and.to.include('50051').and.to.include('8080');
      expect(text, name).to.include('PASSMANAGER_TRUSTED_PROXIES=127.0.0.1');
    }
    for (const [type, isGrpc] of [
      ['application/grpc', true],
      ['application/grpc+proto', true],
      ['application/grpc;x=y', true],
      ['application/grpc-web+proto', false],
      ['application/grpc-web', false],
      ['application/proto', false],
    ] as const)
      expect(new RegExp(pattern).test(type), type).to.equal(isGrpc);
    expect(configuration('nginx.conf')).to.match(/grpc_set_header X-Forwarded-For \$remote_addr;/);
    expect(configuration('haproxy.cfg')).to.match(/set-header X-Forwarded-For %\[src\]/);
    const traefik = parse(configuration('traefik.yaml')) as {
      http: {
        routers: Record<string, { service: string; entryPoints: string[]; tls: { certResolver: string } }>;
        services: object;
      };
    };
    const services = Object.keys(traefik.http.services);
    const fixed = parse(configuration('traefik_static.yaml')) as {
      entryPoints: Record<string, { address: string; forwardedHeaders?: object }>;
      certificatesResolvers: object;
      providers: { file: { filename: string } };
    };
    for (const router of Object.values(traefik.http.routers)) {
      expect(services).to.include(router.service);
      expect(Object.keys(fixed.entryPoints)).to.include.members(router.entryPoints);
      expect(Object.keys(fixed.certificatesResolvers)).to.include(router.tls.certResolver);
    }
    // It overwrites what a caller says of itself, unless it is told whom to believe.
    for (const point of Object.values(fixed.entryPoints)) expect(point.forwardedHeaders).to.equal(undefined);
  });

  for (const { name, program, prepare } of PROXIES) {
    describe(`of ${name}, where it is installed`, () => {
      const directory = temporaryDirectory();
      let server: TestServer;
      let child: ChildProcess | undefined;
      let url: string;
      let said = '';

      before(async () => {
        server = await startTestServer({
          settings: {
            PASSMANAGER_RATE_LIMIT: 'on',
            PASSMANAGER_TRUSTED_PROXIES: '127.0.0.1',
            PASSMANAGER_CORS_ORIGINS: 'https://pages.example.org',
          },
        });
        const port = await freePort();
        url = `https://localhost:${port}`;
        if (!existsSync(program)) return;
        const [command, ...parameters] = await prepare(directory, port, server);
        if (name === 'nginx') expect(spawnSync(command!, ['-t', ...parameters]).status, name).to.equal(0);
        if (name === 'HAProxy')
          expect(spawnSync(command!, ['-c', ...parameters.slice(1)]).status).to.equal(0);
        child = spawn(command!, parameters, {
          stdio: ['ignore', 'pipe', 'pipe'],
          env: { HOME: directory, PATH: process.env.PATH },
        });
        for (const stream of [child.stdout!, child.stderr!]) stream.on('data', (piece) => (said += piece));
        await eventually(() => answers(port)).catch(() => {
          throw new Error(said);
        });
      });

      after(async () => {
        await end(child);
        await server.stop();
        remove(directory);
      });

      const transports = () => {
        const nodeOptions = { ca };
        return {
          'native gRPC': createGrpcTransport({ baseUrl: url, nodeOptions }),
          'Connect over HTTP/1.1': createConnectTransport({ baseUrl: url, httpVersion: '1.1', nodeOptions }),
          'Connect over HTTP/2': createConnectTransport({ baseUrl: url, httpVersion: '2', nodeOptions }),
          'gRPC-Web': createGrpcWebTransport({ baseUrl: url, httpVersion: '1.1', nodeOptions }),
        };
      };

      it('carries a whole vault over every protocol, large entries and a watch that stays open', async () => {
        if (child === undefined) return;
        for (const [protocol, transport] of Object.entries(transports())) {
          const confidential = clientLibrary.markConfidential(transport, url);
          const account = { username: `${protocol}@example.com`, password: 'correct horse battery staple' };
          await clientLibrary.registerUser(confidential, account);
          const vault = await clientLibrary.logIn(confidential, { ...account, maximumRequests: -1 });
          const watching = new AbortController();
          const seen: unknown[] = [];
          const watch = (async () => {
            for await (const event of vault.watch({ signal: watching.signal })) seen.push(event);
          })().catch(() => {});
          await eventually(() => seen.length > 0);
          const notes = 'n'.repeat(60_000);
          // Batches fill messages of several megabytes.
          await vault.createMany(
            Array.from({ length: 80 }, (_, index) => ({ name: `entry ${index}`, notes })),
          );
          await eventually(() => seen.length > 1);
          expect((await vault.list()).entries, protocol).to.have.length(80);
          watching.abort();
          await watch;
          vault.close();
        }
      });

      it('tells the server the client’s address, and never one that the client made up', async () => {
        if (child === undefined) return;
        await server.database.query('delete from rate_counters');
        for (const [index, transport] of Object.values(transports()).entries()) {
          const forged = { ...transport, unary: transport.unary.bind(transport) } as typeof transport;
          forged.unary = (method, signal, timeout, header, input) =>
            transport.unary(
              method,
              signal,
              timeout,
              {
                ...header,
                'x-forwarded-for': `198.51.100.${index}`,
                forwarded: 'for=198.51.100.78',
              } as never,
              input,
            );
          await startLogin(forged, makeAccount().usernameHash);
        }
        // All of them came from one network, the test's own.
        expect(await server.database.query('select from rate_counters')).to.have.length(1);
      });

      it('lets the pages call that may, and answers health', async () => {
        if (child === undefined) return;
        const asked = (path: string, options: { method: string; headers?: Record<string, string> }) =>
          new Promise<{ status: number; headers: NodeJS.Dict<string | string[]> }>((resolve, reject) => {
            request(`${url}${path}`, { ca, agent: false, ...options }, (response) => {
              response.resume();
              response.on('end', () => resolve({ status: response.statusCode!, headers: response.headers }));
            })
              .on('error', reject)
              .end();
          });
        expect((await asked('/readyz', { method: 'GET' })).status).to.equal(200);
        const path = '/passmanager.session.v1.SessionService/StartSession';
        const preflight = (origin: string) =>
          asked(path, {
            method: 'OPTIONS',
            headers: {
              origin,
              'access-control-request-method': 'POST',
              'access-control-request-headers': 'content-type',
            },
          });
        const allowed = await preflight('https://pages.example.org');
        expect(allowed.headers['access-control-allow-origin']).to.equal('https://pages.example.org');
        expect((await preflight('https://evil.example.org')).headers['access-control-allow-origin']).to.equal(
          undefined,
        );
      });
    });
  }

  it('of a load balancer of TCP tell whose each connection is, by a setting of the server that its head names', () => {
    const text = configuration('haproxy_tcp.cfg');
    expect(text)
      .to.match(/^ {2}mode tcp$/m)
      .and.not.to.match(/mode http|set-header|forwardfor/);
    expect(text).to.match(/^ {2}default-server .*send-proxy-v2 check-send-proxy/m);
    const settings = Object.fromEntries(
      [...text.matchAll(/(PASSMANAGER_[A-Z_]+)=([\w.-]+)/g)].map(([, name, value]) => [name!, value!]),
    );
    expect(loadConfig(settings)).to.deep.include({
      trustedProxies: ['127.0.0.1'],
      proxyHeader: 'proxy-protocol',
    });
  });

  for (const [version, isTls] of [
    [2, true],
    [1, true],
    [2, false],
  ] as const) {
    describe(`of HAProxy as a load balancer of TCP, version ${version} ${isTls ? 'before TLS' : 'in clear'}, where it is installed`, () => {
      const directory = temporaryDirectory();
      let server: TestServer;
      let child: ChildProcess | undefined;
      let ports: { http: number; grpc: number };

      before(async () => {
        server = await startTestServer({
          settings: {
            PASSMANAGER_RATE_LIMIT: 'on',
            PASSMANAGER_TRUSTED_PROXIES: '127.0.0.1',
            PASSMANAGER_PROXY_HEADER: 'proxy-protocol',
            ...(isTls
              ? {
                  PASSMANAGER_TLS_CERT_FILE: certificate,
                  PASSMANAGER_TLS_KEY_FILE: join(fixtures, 'key.pem'),
                }
              : {}),
          },
        });
        ports = { http: await freePort(), grpc: await freePort() };
        const parameters = await prepareTcp(version, isTls, directory, ports, server);
        if (!existsSync(HAPROXY)) return;
        child = spawn(HAPROXY, parameters, { stdio: 'ignore' });
        await eventually(() => answers(ports.http));
        await eventually(() => answers(ports.grpc));
      });

      after(async () => {
        await end(child);
        await server.stop();
        remove(directory);
      });

      /** The ways of a client who has an address. */
      const transports = (localAddress: string) => {
        const scheme = isTls ? 'https' : 'http';
        const nodeOptions = { ...(isTls ? { ca } : {}), localAddress, agent: false };
        const [http, grpc] = [
          `${scheme}://localhost:${ports.http}`,
          `${scheme}://localhost:${ports.grpc}`,
        ] as const;
        return [
          { url: grpc, transport: createGrpcTransport({ baseUrl: grpc, nodeOptions }) },
          {
            url: http,
            transport: createConnectTransport({ baseUrl: http, httpVersion: '1.1', nodeOptions }),
          },
        ];
      };

      it('lets nobody tell an address of his own', async () => {
        if (child === undefined) return;
        await server.database.query('delete from rate_counters');
        for (const port of Object.values(ports)) {
          for (const header of [v1Header('198.51.100.1'), v2Header('198.51.100.1')]) {
            const peer = await RawPeer.connect(port);
            peer.write(Buffer.concat([header, HTTP2_PREFACE]));
            await peer.closed;
          }
        }
        expect(await server.database.query('select from rate_counters')).to.have.length(0);
      });

      it('finds both doors well by connections of its own', async () => {
        if (child === undefined) return;
        await eventually(async () => {
          const rows = await statistics(join(directory, 'stats'));
          const checked = rows.filter(({ svname }) => svname === 'one');
          return checked.length === 2 && checked.every(({ check_status }) => check_status === 'L7OK');
        }, 10_000);
      });

      it('tells whose each connection is', async () => {
        if (child === undefined) return;
        await server.database.query('delete from rate_counters');
        for (const address of ['127.0.0.2', '127.0.0.3'])
          for (const { transport } of transports(address))
            await startLogin(transport, makeAccount().usernameHash);
        expect(await server.database.query('select from rate_counters')).to.have.length(2);
      });

      it('carries a vault on both doors', async () => {
        // What differs between them is told above, and a vault takes seconds.
        if (child === undefined || version !== 2 || !isTls) return;
        for (const [index, { url, transport }] of transports('127.0.0.2').entries()) {
          const confidential = clientLibrary.markConfidential(transport, url);
          const account = { username: `tcp${index}@example.com`, password: 'correct horse battery staple' };
          await clientLibrary.registerUser(confidential, account);
          const vault = await clientLibrary.logIn(confidential, { ...account, maximumRequests: -1 });
          const notes = 'n'.repeat(60_000);
          await vault.createMany(
            Array.from({ length: 80 }, (_, entry) => ({ name: `entry ${entry}`, notes })),
          );
          expect((await vault.list()).entries).to.have.length(80);
          vault.close();
        }
      });
    });
  }
});
