import { once } from 'node:events';
import { readFile } from 'node:fs/promises';
import { type ClientRequest, request as http1Request } from 'node:http';
import { type ClientHttp2Stream, connect as connectHttp2, type IncomingHttpHeaders } from 'node:http2';
import { connect } from 'node:net';
import { join } from 'node:path';
import { connect as connectTls } from 'node:tls';
import { create, toBinary } from '@bufbuild/protobuf';
import { Code, ConnectError, createClient, type Transport } from '@connectrpc/connect';
import {
  createConnectTransport,
  createGrpcTransport,
  createGrpcWebTransport,
} from '@connectrpc/connect-node';
import { expect } from 'chai';
import { ErrorCode, FailureSchema } from '../../gen/passmanager/common/v1/error_pb.ts';
import { DataService } from '../../gen/passmanager/data/v1/data_service_pb.ts';
import { SessionService } from '../../gen/passmanager/session/v1/session_service_pb.ts';
import { RegisterUserRequestSchema, UserService } from '../../gen/passmanager/user/v1/user_service_pb.ts';
import { NO_PROXIES } from '../../src/server/client_address.ts';
import { DEFAULT_DOOR_LIMITS, type Door, type DoorLimits } from '../../src/server/door.ts';
import { HealthService } from '../../src/server/health_contract.ts';
import { createHttpDoor } from '../../src/server/http_door.ts';
import { readTlsFiles } from '../../src/server/tls.ts';
import { collectingLog } from '../support/collecting_log.ts';
import { eventually } from '../support/eventually.ts';
import { FakeReadiness, type FakeRpcs, fakeRpcs } from '../support/fake_rpcs.ts';
import { RawPeer } from '../support/raw_peer.ts';

const REGISTER = '/passmanager.user.v1.UserService/RegisterUser';
const START = '/passmanager.session.v1.SessionService/StartSession';
const ORIGIN = 'https://vault.example.org';
const fixtures = join(import.meta.dirname, '../fixtures/tls');
/** A deadline that a test does not live to see. */
const NEVER_MS = 2 ** 31 - 1;

interface Setting {
  readonly limits?: Partial<DoorLimits>;
  readonly tls?: boolean;
  readonly corsOrigins?: readonly string[];
}

describe('the HTTP door', () => {
  let door: Door;
  let base: string;
  let fakes: FakeRpcs;
  let readiness: FakeReadiness;
  let lines: string[];
  let ca: Buffer;
  const peers: RawPeer[] = [];
  const halves: (ClientRequest | ClientHttp2Stream)[] = [];

  async function open({ limits = {}, tls = false, corsOrigins = [] }: Setting = {}): Promise<void> {
    fakes = fakeRpcs();
    readiness = new FakeReadiness();
    const collecting = collectingLog();
    lines = collecting.lines;
    ca = await readFile(join(fixtures, 'certificate.pem'));
    door = await createHttpDoor({
      rpcs: fakes.rpcs,
      readiness,
      clients: NO_PROXIES,
      host: '127.0.0.1',
      port: 0,
      limits: { ...DEFAULT_DOOR_LIMITS, ...limits },
      log: collecting.log,
      corsOrigins,
      ...(tls
        ? { tls: await readTlsFiles(join(fixtures, 'certificate.pem'), join(fixtures, 'key.pem')) }
        : {}),
    });
    base = `http${tls ? 's' : ''}://127.0.0.1:${door.address.port}`;
  }

  afterEach(async () => {
    for (const peer of peers.splice(0)) peer.destroy();
    for (const half of halves.splice(0)) half.destroy();
    await door.stop(0);
  });

  async function rawPeer(): Promise<RawPeer> {
    const peer = await RawPeer.connect(door.address.port);
    peers.push(peer);
    return peer;
  }

  /** What a raw request over a connection of its own is answered with, up to its end. */
  async function raw(head: string): Promise<string> {
    const peer = await rawPeer();
    peer.write(head);
    return peer.receive(/\r\n\r\n/);
  }

  function post(path: string, headers: Record<string, string> = {}, body = '{}'): Promise<Response> {
    return fetch(base + path, {
      method: 'POST',
      headers: { 'content-type': 'application/json', ...headers },
      body,
    });
  }

  function connectTransport(httpVersion: '1.1' | '2' = '1.1'): Transport {
    return createConnectTransport({ baseUrl: base, httpVersion, nodeOptions: { ca } });
  }

  async function register(transport: Transport): Promise<number> {
    const { usernameHash } = await createClient(UserService, transport).registerUser({
      usernameHash: new Uint8Array(32),
    });
    return usernameHash.length;
  }

  describe('refuses', () => {
    it('requests without a valid host with 400, and lives on', async () => {
      await open();
      for (const host of [
        '[',
        '',
        'a b',
        'x:99999',
        'x:y',
        '[::1',
        'a@b',
        'a/b',
        'a?b',
        'a#b',
        '\\',
        '%',
        '\x80',
      ]) {
        const answer = await raw(
          `POST ${REGISTER} HTTP/1.1\r\nHost: ${host}\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}`,
        );
        expect(answer, JSON.stringify(host)).to.match(/^HTTP\/1\.1 400 /);
      }
      for (const version of ['1.0', '1.1']) {
        const answer = await raw(
          `POST ${REGISTER} HTTP/${version}\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}`,
        );
        expect(answer, version).to.match(/^HTTP\/1\.1 400 /);
      }
      expect(fakes.contexts).to.have.length(0);
      expect((await post(REGISTER)).status).to.equal(200);
    });

    it('HTTP/2 requests without a valid authority with 400, and lives on', async () => {
      await open({ tls: true });
      const session = connectHttp2(base, { ca });
      for (const authority of ['[', 'a b', 'x:99999', 'a@b']) {
        const stream = session.request({
          ':method': 'POST',
          ':path': REGISTER,
          ':authority': authority,
          'content-type': 'application/json',
        });
        stream.on('error', () => {});
        stream.end('{}');
        // nghttp2 may find some of these too bad to let them pass.
        const status = await new Promise((resolve) => {
          stream.on('response', (headers) => resolve(headers[':status']));
          stream.on('close', () => resolve(400));
        });
        expect(status, authority).to.equal(400);
      }
      session.destroy();
      expect(fakes.contexts).to.have.length(0);
      expect(await register(connectTransport('2'))).to.equal(32);
    });

    it('targets that are no path with 404', async () => {
      await open();
      for (const target of ['*', 'http://[/', 'http://x/', '//', '/%', '/\x80', '/?', '/..']) {
        const answer = await raw(`OPTIONS ${target} HTTP/1.1\r\nHost: h\r\n\r\n`);
        expect(answer, JSON.stringify(target)).to.match(/^HTTP\/1\.1 40[04] /);
      }
    });

    it('unknown paths with 404 and without a body', async () => {
      await open();
      for (const path of [
        '/',
        '/passmanager.user.v1.UserService/Evil',
        `${REGISTER}/`,
        '/healthz/',
        '/index.html',
      ]) {
        const response = await post(path);
        expect([response.status, await response.text()], path).to.deep.equal([404, '']);
      }
    });

    it('every method but POST on an RPC', async () => {
      await open();
      for (const method of ['GET', 'HEAD', 'PUT', 'DELETE', 'PATCH']) {
        const response = await fetch(`${base}${REGISTER}?connect=v1&encoding=json&message=%7B%7D`, {
          method,
        });
        expect([response.status, response.headers.get('allow')], method).to.deep.equal([405, 'POST']);
      }
      expect(fakes.contexts).to.have.length(0);
    });

    it('to open on a port that is taken', async () => {
      await open();
      const again = createHttpDoor({
        rpcs: [],
        readiness,
        clients: NO_PROXIES,
        host: '127.0.0.1',
        port: door.address.port,
        limits: DEFAULT_DOOR_LIMITS,
        log: collectingLog().log,
        corsOrigins: [],
      });
      expect(await again.catch((error: NodeJS.ErrnoException) => error.code)).to.equal('EADDRINUSE');
    });

    it('noise that is not HTTP, and lives on', async () => {
      await open();
      for (const noise of [
        '\x16\x03\x01\x02\x00\x01',
        'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n',
        'GET\r\n\r\n',
        '\x00'.repeat(100),
      ]) {
        const peer = await rawPeer();
        peer.write(Buffer.from(noise, 'latin1'));
        await peer.closed;
      }
      expect((await post(REGISTER)).status).to.equal(200);
    });
  });

  describe('bounds', () => {
    it('how long a request may take to arrive', async () => {
      await open({ limits: { bodyTimeoutMs: 500, greetingTimeoutMs: 500 } });
      const half = await rawPeer();
      half.write(
        `POST ${REGISTER} HTTP/1.1\r\nHost: h\r\nContent-Type: application/json\r\nContent-Length: 9\r\n\r\n{`,
      );
      const head = await rawPeer();
      head.write('POST / HTTP/1.1\r\nHost: h\r\nX-Slow: ');
      const silent = await rawPeer();
      await Promise.all([half.closed, head.closed, silent.closed]);
      expect(half.received).to.match(/^HTTP\/1\.1 408 /);
      expect(fakes.contexts).to.have.length(0);
    });

    it('connections: half-sent requests keep neither newcomers nor probes out', async () => {
      await open({ limits: { maxConnections: 50 } });
      for (let index = 0; index < 110; index += 1) {
        const half = await rawPeer();
        half.write(
          `POST ${REGISTER} HTTP/1.1\r\nHost: h\r\nContent-Type: application/json\r\nContent-Length: 9\r\n\r\n{`,
        );
      }
      expect((await fetch(`${base}/healthz`)).status).to.equal(200);
      expect((await post(REGISTER)).status).to.equal(200);
    });

    for (const httpVersion of ['1.1', '2']) {
      it(`the memory of all request bodies over HTTP/${httpVersion}: who holds back the last bytes is cut`, async () => {
        await open({ tls: httpVersion === '2', limits: { maxBodyBytes: 1024 * 1024 } });
        const bytes = 200 * 1024;
        let cut = 0;
        const sessions = httpVersion === '2' ? [connectHttp2(base, { ca })] : [];
        for (let index = 0; index < 20; index += 1) {
          const headers = { 'content-type': 'application/json', 'content-length': String(bytes) };
          const request =
            sessions[0]?.request({ ':method': 'POST', ':path': REGISTER, ...headers }) ??
            http1Request(base + REGISTER, { method: 'POST', headers, agent: false });
          request.on('error', () => {});
          request.on('close', () => {
            cut += 1;
          });
          halves.push(request);
          request.write(Buffer.alloc(bytes - 1, ' '));
        }
        // Five of 200 KiB fit into one MiB.
        await eventually(() => cut === 15);
        expect(await register(connectTransport(httpVersion as '1.1' | '2'))).to.equal(32);
        for (const session of sessions) session.destroy();
      });
    }

    it('the memory of all answers over HTTP/1.1: who takes none is cut', async () => {
      await open({ limits: { maxUntakenBytes: 1024 * 1024 } });
      const greedy = await rawPeer();
      greedy.socket.pause();
      // The system takes some megabytes in before any have to wait.
      const body = JSON.stringify({ usernameHash: Buffer.alloc(1024 * 1024).toString('base64') });
      for (let index = 0; index < 32; index += 1)
        greedy.write(
          `POST ${REGISTER} HTTP/1.1\r\nHost: h\r\nContent-Type: application/json\r\nContent-Length: ${body.length}\r\n\r\n${body}`,
        );
      await eventually(() => fakes.contexts.length > 0);
      await eventually(() => door.load().connections === 0);
      expect(await register(connectTransport())).to.equal(32);
    });

    it('connections over HTTP/2: those that take no answer keep nobody out', async () => {
      await open({ tls: true, limits: { maxConnections: 3 } });
      const sessions = [];
      for (let index = 0; index < 3; index += 1) {
        const session = connectHttp2(base, { ca, settings: { initialWindowSize: 0 } });
        session.on('error', () => {});
        sessions.push(session);
        const stream = session.request({
          ':method': 'POST',
          ':path': REGISTER,
          'content-type': 'application/json',
        });
        stream.on('error', () => {});
        stream.end('{}');
        await new Promise((resolve) => stream.once('response', resolve));
      }
      await eventually(() =>
        register(connectTransport('2')).then(
          () => true,
          () => false,
        ),
      );
      for (const session of sessions) session.destroy();
    });

    it('how long an HTTP/2 request may take to arrive', async () => {
      await open({ tls: true, limits: { bodyTimeoutMs: 200 } });
      const session = connectHttp2(base, { ca });
      const stream = session.request({
        ':method': 'POST',
        ':path': REGISTER,
        'content-type': 'application/json',
      });
      stream.on('error', () => {});
      stream.write('{');
      await new Promise<void>((resolve) => stream.on('close', resolve));
      session.destroy();
    });

    it('the streams of an HTTP/2 connection to 100', async () => {
      await open({ tls: true });
      const session = connectHttp2(base, { ca });
      await once(session, 'remoteSettings');
      expect(session.remoteSettings.maxConcurrentStreams).to.equal(100);
      session.destroy();
    });

    it('how long an HTTP/2 connection may be idle', async () => {
      await open({ tls: true, limits: { maxIdleMs: 200 } });
      const session = connectHttp2(base, { ca });
      await once(session, 'close');
    });

    for (const tls of [false, true]) {
      it(`connections${tls ? ' under TLS' : ''}: silent ones keep nobody out`, async function () {
        this.timeout(60_000);
        await open({ tls, limits: { maxConnections: 50 } });
        const slow = createClient(SessionService, connectTransport()).startSession({});
        await eventually(() => fakes.contexts.length === 1);
        for (let batch = 0; batch < 3; batch += 1) {
          await Promise.all(Array.from({ length: 100 }, rawPeer));
        }
        expect(await register(connectTransport())).to.equal(32);
        fakes.release();
        // Who was at work was not sent away.
        expect((await slow).ephemeralId).to.equal('released');
      });
    }

    it('connections that stay silent instead of greeting in TLS', async () => {
      await open({ tls: true, limits: { greetingTimeoutMs: 200 } });
      const silent = await rawPeer();
      const shaken = connectTls({ host: '127.0.0.1', port: door.address.port, ca, ALPNProtocols: ['h2'] });
      shaken.on('error', () => {});
      await once(shaken, 'secureConnect');
      shaken.resume();
      await Promise.all([silent.closed, once(shaken, 'close')]);
    });
  });

  describe('answers probes', () => {
    it('/healthz with 200 while the process lives, /readyz with 200 only while it serves', async () => {
      await open();
      for (const serving of [true, false, true]) {
        readiness.set(serving);
        const healthz = await fetch(`${base}/healthz`);
        expect([healthz.status, await healthz.json()]).to.deep.equal([200, { status: 'alive' }]);
        const readyz = await fetch(`${base}/readyz`);
        expect(readyz.status).to.equal(serving ? 200 : 503);
        expect(await readyz.json()).to.deep.equal({ status: serving ? 'ready' : 'not ready' });
        expect(readyz.headers.get('cache-control')).to.equal('no-store');
      }
    });

    it('to HEAD without a body, and to nothing but GET and HEAD', async () => {
      await open();
      const head = await fetch(`${base}/readyz`, { method: 'HEAD' });
      expect([head.status, await head.text()]).to.deep.equal([200, '']);
      expect((await fetch(`${base}/healthz`, { method: 'POST', body: 'x' })).status).to.equal(405);
    });

    it('of load balancers that speak HTTP/1.0 and name no host', async () => {
      await open();
      expect(await raw('GET /readyz HTTP/1.0\r\n\r\n')).to.match(/^HTTP\/1\.1 200 /);
    });

    it('of grpc.health.v1 in every protocol', async () => {
      await open();
      const response = await post(
        '/grpc.health.v1.Health/Check',
        {},
        '{"service":"passmanager.data.v1.DataService"}',
      );
      expect(await response.json()).to.deep.equal({ status: 'SERVING' });
      const unknown = await post('/grpc.health.v1.Health/Check', {}, '{"service":"nobody"}');
      expect(unknown.status).to.equal(404);
      const watch = createClient(
        HealthService,
        createGrpcWebTransport({ baseUrl: base, httpVersion: '1.1' }),
      );
      const { watch: call } = watch as unknown as {
        watch: (request: object) => AsyncIterable<{ status: number }>;
      };
      const seen: number[] = [];
      for await (const { status } of call({})) {
        seen.push(status);
        readiness.set(false);
        if (seen.length === 2) break;
      }
      expect(seen).to.deep.equal([1, 2]);
    });
  });

  describe('lets browsers in', () => {
    const preflight = { origin: ORIGIN, 'access-control-request-method': 'POST' };

    it('from no other origin by default', async () => {
      await open();
      const response = await fetch(base + REGISTER, { method: 'OPTIONS', headers: preflight });
      expect(response.status).to.equal(403);
      const answer = await post(REGISTER, { origin: ORIGIN });
      for (const { headers } of [response, answer])
        expect(headers.get('access-control-allow-origin')).to.equal(null);
    });

    it('from the origins that are named, and from no other', async () => {
      await open({ corsOrigins: [ORIGIN] });
      const allowed = await fetch(base + REGISTER, { method: 'OPTIONS', headers: preflight });
      expect(allowed.status).to.equal(204);
      expect(allowed.headers.get('access-control-allow-origin')).to.equal(ORIGIN);
      expect(allowed.headers.get('access-control-allow-methods')).to.equal('POST');
      const answer = await post(REGISTER, { origin: ORIGIN });
      expect(answer.headers.get('access-control-allow-origin')).to.equal(ORIGIN);
      // A page has to be able to read why it was refused.
      const refused = await post(REGISTER, { origin: ORIGIN }, '{');
      expect([refused.status, refused.headers.get('access-control-allow-origin')]).to.deep.equal([
        400,
        ORIGIN,
      ]);
      const other = await fetch(base + REGISTER, {
        method: 'OPTIONS',
        headers: { ...preflight, origin: 'https://evil.example' },
      });
      expect([other.status, other.headers.get('access-control-allow-origin')]).to.deep.equal([403, null]);
    });
  });

  describe('stops', () => {
    for (const tls of [false, true]) {
      const where = tls ? 'under TLS' : 'in clear';

      it(`at its deadline, although silent sockets, half-sent requests, open streams and slow calls are still there, ${where}`, async () => {
        await open({ tls });
        const transports = tls ? [connectTransport('1.1'), connectTransport('2')] : [connectTransport('1.1')];
        const silent = await rawPeer();
        const half = await rawPeer();
        half.write('POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 9\r\n\r\nx');
        const ends = transports.map(async (transport) => {
          try {
            for await (const _ of createClient(DataService, transport).watchEntries({
              secure: { requestNumber: 1n },
            }));
          } catch (error) {
            return ConnectError.from(error);
          }
          return undefined;
        });
        const slow = transports.map((transport) =>
          createClient(SessionService, transport)
            .startSession({})
            .catch((error: unknown) => ConnectError.from(error)),
        );
        await eventually(() => fakes.contexts.length === 2 * transports.length);
        // Nobody releases the slow calls, so nothing but the deadline ends this.
        await door.stop(500);
        for (const end of await Promise.all(ends)) {
          expect(end?.code).to.equal(Code.Unavailable);
          const [failure] = end!.findDetails(FailureSchema);
          expect(failure!.errorList[0]!.code).to.equal(ErrorCode.TEMPORARY_OUTAGE);
        }
        for (const outcome of await Promise.all(slow)) expect(outcome).to.be.instanceOf(ConnectError);
        await Promise.all([silent.closed, half.closed]);
        expect(fakes.contexts.every(({ signal }) => signal.aborted)).to.equal(true);
      });

      it(`before its deadline when all that is open is idle, ${where}`, async () => {
        await open({ tls });
        await register(connectTransport('1.1'));
        if (tls) {
          await register(connectTransport('2'));
          // An answer before its request was read whole leaves a stream half open for a while.
          const big = createClient(UserService, connectTransport('2')).registerUser({
            usernameHash: new Uint8Array(5e6),
          });
          expect(ConnectError.from(await big.catch((error: unknown) => error)).code).to.equal(
            Code.ResourceExhausted,
          );
        }
        await door.stop(NEVER_MS);
      });
    }

    for (const tls of [false, true]) {
      it(`after the unary calls in flight, whose connections it then closes, ${tls ? 'under TLS' : 'in clear'}`, async () => {
        await open({ tls });
        const { port } = door.address;
        const socket = tls
          ? connectTls({ host: '127.0.0.1', port, ca, ALPNProtocols: ['http/1.1'] })
          : connect({ host: '127.0.0.1', port });
        let received = '';
        socket.on('data', (chunk: Buffer) => {
          received += chunk.toString('latin1');
        });
        const closed = once(socket, 'close');
        socket.write(
          `POST ${START} HTTP/1.1\r\nHost: h\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}`,
        );
        await eventually(() => fakes.contexts.length === 1);
        const stopped = door.stop(NEVER_MS);
        await new Promise((resolve) => setTimeout(resolve, 100));
        expect(fakes.contexts[0]!.signal.aborted).to.equal(false);
        fakes.release();
        await Promise.all([closed, stopped]);
        expect(received).to.match(/^HTTP\/1\.1 200 .*"released"/s);
      });
    }

    it('telling HTTP/2 peers to make no new requests, while those in flight are answered', async () => {
      await open({ tls: true });
      const session = connectHttp2(base, { ca });
      const goAway = once(session, 'goaway');
      const stream = session.request({
        ':method': 'POST',
        ':path': START,
        'content-type': 'application/json',
      });
      stream.end('{}');
      await eventually(() => fakes.contexts.length === 1);
      const stopped = door.stop(5000);
      await goAway;
      fakes.release();
      const [headers] = (await once(stream, 'response')) as [IncomingHttpHeaders];
      expect(headers[':status']).to.equal(200);
      stream.resume();
      await stopped;
    });

    it('taking connections at once', async () => {
      await open();
      await door.stop(1000);
      const refused = await RawPeer.connect(door.address.port).catch(
        (error: NodeJS.ErrnoException) => error.code,
      );
      expect(refused).to.equal('ECONNREFUSED');
    });
  });

  describe('serves', () => {
    it('Connect, gRPC-Web and gRPC under TLS, over HTTP/1.1 and HTTP/2', async () => {
      await open({ tls: true });
      const options = { baseUrl: base, nodeOptions: { ca } };
      for (const transport of [
        connectTransport('1.1'),
        connectTransport('2'),
        createGrpcWebTransport({ ...options, httpVersion: '1.1' }),
        createGrpcWebTransport({ ...options, httpVersion: '2' }),
        createGrpcTransport(options),
      ]) {
        expect(await register(transport)).to.equal(32);
        const failed = createClient(SessionService, transport).authenticateSession({});
        const error = ConnectError.from(await failed.catch((reason: unknown) => reason));
        expect(error.code).to.equal(Code.Unauthenticated);
        expect(error.findDetails(FailureSchema)[0]!.errorList[0]!.code).to.equal(ErrorCode.NOT_DECRYPTED);
        const big = createClient(UserService, transport).registerUser({ usernameHash: new Uint8Array(5e6) });
        const refused = ConnectError.from(await big.catch((reason: unknown) => reason));
        expect(refused.code).to.equal(Code.ResourceExhausted);
        expect(refused.findDetails(FailureSchema)[0]!.errorList[0]!.code).to.equal(
          ErrorCode.TOO_MANY_REQUESTS,
        );
      }
      expect(new Set(fakes.contexts.map(({ clientAddress }) => clientAddress))).to.deep.equal(
        new Set(['127.0.0.1']),
      );
    });

    it('errors of a whole batch, and over gRPC the status alone when trailers cannot hold them', async () => {
      await open({ tls: true });
      const grpc = createClient(DataService, createGrpcTransport({ baseUrl: base, nodeOptions: { ca } }));
      const connect = createClient(DataService, connectTransport('2'));
      for (const [client, count, details] of [
        [grpc, 500, 500],
        [grpc, 5000, 0],
        [connect, 5000, 5000],
      ] as const) {
        const failed = client.batchUpdateEntries({ secure: { requestNumber: BigInt(count) } });
        const error = ConnectError.from(await failed.catch((reason: unknown) => reason));
        expect(error.code).to.equal(Code.Aborted);
        expect(error.findDetails(FailureSchema).flatMap(({ errorList }) => errorList)).to.have.length(
          details,
        );
      }
    });

    it('requests one after the other on one connection', async () => {
      await open();
      const peer = await rawPeer();
      const body = toBinary(
        RegisterUserRequestSchema,
        create(RegisterUserRequestSchema, { inviteCode: 'x' }),
      );
      for (let index = 0; index < 3; index += 1) {
        peer.write(
          `POST ${REGISTER} HTTP/1.1\r\nHost: h\r\nContent-Type: application/proto\r\nContent-Length: ${body.length}\r\n\r\n`,
        );
        peer.write(body);
        await peer.receive(new RegExp(`(HTTP/1\\.1 200 .*){${index + 1}}`, 's'));
      }
      expect(fakes.contexts[0]!.clientAddress).to.equal('127.0.0.1');
      expect(lines.filter((line) => line.includes('"level":50'))).to.have.length(0);
    });
  });
});
