import { once } from 'node:events';
import { readFile } from 'node:fs/promises';
import {
  type ClientHttp2Session,
  type ClientHttp2Stream,
  connect,
  type IncomingHttpHeaders,
} from 'node:http2';
import { join } from 'node:path';
import {
  create,
  type DescMessage,
  fromBinary,
  type Message,
  type MessageShape,
  toBinary,
} from '@bufbuild/protobuf';
import { BinaryReader } from '@bufbuild/protobuf/wire';
import { AnySchema, anyUnpack } from '@bufbuild/protobuf/wkt';
import {
  type ChannelCredentials,
  Client,
  type ClientOptions,
  credentials,
  getChannelzHandlers,
  Metadata,
  type ServiceError,
  status,
} from '@grpc/grpc-js';
import { expect } from 'chai';
import { ErrorCode, FailureSchema } from '../../gen/passmanager/common/v1/error_pb.ts';
import { SecureResponseSchema } from '../../gen/passmanager/common/v1/secure_pb.ts';
import {
  GetEntryRequestSchema,
  WatchEntriesRequestSchema,
  type WatchEntriesResponse,
  WatchEntriesResponseSchema,
} from '../../gen/passmanager/data/v1/data_service_pb.ts';
import {
  RegisterUserRequestSchema,
  type RegisterUserResponse,
  RegisterUserResponseSchema,
} from '../../gen/passmanager/user/v1/user_service_pb.ts';
import { NO_PROXIES } from '../../src/server/client_address.ts';
import { DEFAULT_DOOR_LIMITS, type Door, type DoorLimits } from '../../src/server/door.ts';
import { createGrpcDoor } from '../../src/server/grpc_door.ts';
import { HealthCheckRequestSchema, HealthCheckResponseSchema } from '../../src/server/health_contract.ts';
import { readTlsFiles, type TlsIdentity } from '../../src/server/tls.ts';
import { collectingLog } from '../support/collecting_log.ts';
import { eventually } from '../support/eventually.ts';
import { FakeReadiness, type FakeRpcs, fakeRpcs } from '../support/fake_rpcs.ts';
import { HTTP2_PREFACE, RawPeer } from '../support/raw_peer.ts';

const REGISTER = '/passmanager.user.v1.UserService/RegisterUser';
const START = '/passmanager.session.v1.SessionService/StartSession';
const AUTHENTICATE = '/passmanager.session.v1.SessionService/AuthenticateSession';
const GET = '/passmanager.data.v1.DataService/GetEntry';
const BATCH = '/passmanager.data.v1.DataService/BatchUpdateEntries';
const UPDATE = '/passmanager.data.v1.DataService/UpdateEntry';
const BROKEN = '/passmanager.password.v1.PasswordService/GetEntry';
const WATCH = '/passmanager.data.v1.DataService/WatchEntries';

const fixtures = join(import.meta.dirname, '../fixtures/tls');
/** A deadline that a test does not live to see. */
const NEVER_MS = 2 ** 31 - 1;
const identity = (bytes: Buffer) => bytes;
const bytesOf = <D extends DescMessage>(schema: D, message: MessageShape<D>) =>
  Buffer.from(toBinary(schema, message));

describe('the gRPC door', () => {
  let door: Door;
  let fakes: FakeRpcs;
  let readiness: FakeReadiness;
  let lines: string[];
  const clients: Client[] = [];
  const sessions: ClientHttp2Session[] = [];
  const peers: RawPeer[] = [];

  async function open(
    limits: Partial<DoorLimits> = {},
    tls?: TlsIdentity,
    maxRequestBytes?: number,
  ): Promise<void> {
    fakes = fakeRpcs();
    readiness = new FakeReadiness();
    const collecting = collectingLog();
    lines = collecting.lines;
    door = await createGrpcDoor({
      rpcs: fakes.rpcs.map((rpc) =>
        rpc.kind === 'unary' && maxRequestBytes !== undefined ? { ...rpc, maxRequestBytes } : rpc,
      ),
      readiness,
      clients: NO_PROXIES,
      host: '127.0.0.1',
      port: 0,
      limits: { ...DEFAULT_DOOR_LIMITS, ...limits },
      log: collecting.log,
      reflection: false,
      ...(tls === undefined ? {} : { tls }),
    });
  }

  afterEach(async () => {
    for (const client of clients.splice(0)) client.close();
    for (const session of sessions.splice(0)) session.destroy();
    for (const peer of peers.splice(0)) peer.destroy();
    await door.stop(0);
  });

  /** A grpc-js client with a connection of its own. */
  function grpcClient(
    options: ClientOptions = {},
    channel: ChannelCredentials = credentials.createInsecure(),
  ): Client {
    const client = new Client(`localhost:${door.address.port}`, channel, {
      'grpc.use_local_subchannel_pool': 1,
      'grpc.enable_retries': 0,
      ...options,
    });
    clients.push(client);
    return client;
  }

  interface Outcome {
    readonly error: ServiceError | undefined;
    readonly response: Buffer | undefined;
  }

  function call(
    client: Client,
    path: string,
    request: Buffer,
    deadlineMs?: number,
    metadata = new Metadata(),
  ): Promise<Outcome> {
    return new Promise((resolve) => {
      client.makeUnaryRequest(
        path,
        identity,
        identity,
        request,
        metadata,
        deadlineMs === undefined ? {} : { deadline: Date.now() + deadlineMs },
        (error, response) => resolve({ error: error ?? undefined, response }),
      );
    });
  }

  function registration(size: number): Buffer {
    return bytesOf(
      RegisterUserRequestSchema,
      create(RegisterUserRequestSchema, { usernameHash: Buffer.alloc(size, 7) }),
    );
  }

  async function register(client: Client, size = 32): Promise<RegisterUserResponse> {
    const { error, response } = await call(client, REGISTER, registration(size));
    if (error !== undefined) throw error;
    return fromBinary(RegisterUserResponseSchema, response!);
  }

  /** The one detail of a failed call. */
  function detailOf<D extends DescMessage>(error: ServiceError | undefined, schema: D): MessageShape<D> {
    const [bytes] = error?.metadata.get('grpc-status-details-bin') ?? [];
    return unpack(bytes as Buffer, schema);
  }

  function unpack<D extends DescMessage>(statusBytes: Buffer, schema: D): MessageShape<D> {
    const reader = new BinaryReader(statusBytes);
    const details: Message[] = [];
    while (reader.pos < reader.len) {
      const [field, wireType] = reader.tag();
      if (field === 3) details.push(anyUnpack(fromBinary(AnySchema, reader.bytes()), schema)!);
      else reader.skip(wireType);
    }
    expect(details).to.have.length(1);
    return details[0] as MessageShape<D>;
  }

  function codesOf(error: ServiceError | undefined): ErrorCode[] {
    return detailOf(error, FailureSchema).errorList.map(({ code }) => code);
  }

  async function http2Client(): Promise<ClientHttp2Session> {
    const session = connect(`http://127.0.0.1:${door.address.port}`);
    session.on('error', () => {});
    sessions.push(session);
    await once(session, 'remoteSettings');
    return session;
  }

  function request(
    session: ClientHttp2Session,
    path: string,
    headers: Record<string, string> = {},
  ): ClientHttp2Stream {
    const stream = session.request(
      { ':method': 'POST', ':path': path, 'content-type': 'application/grpc', te: 'trailers', ...headers },
      { endStream: false },
    );
    stream.on('error', () => {});
    return stream;
  }

  /** The headers of a trailers-only answer. */
  async function answerOf(stream: ClientHttp2Stream): Promise<IncomingHttpHeaders> {
    const [headers] = (await once(stream, 'response')) as [IncomingHttpHeaders];
    return headers;
  }

  function enveloped(message: Uint8Array, flags = 0): Buffer {
    const prefix = Buffer.alloc(5, flags);
    prefix.writeUInt32BE(message.length, 1);
    return Buffer.concat([prefix, message]);
  }

  describe('refuses', () => {
    it('a message that cannot be parsed with RQS00, and lets no handler see it', async () => {
      await open();
      const client = grpcClient();
      for (const path of [REGISTER, WATCH]) {
        const { error } = await call(client, path, Buffer.from('ffffff', 'hex'));
        expect(error?.code).to.equal(status.INVALID_ARGUMENT);
        expect(codesOf(error)).to.deep.equal([ErrorCode.INCORRECT_PARAMETERS]);
      }
      expect(fakes.contexts).to.have.length(0);
    });

    it('a message of groups within groups, 4 MiB of them, with RQS00', async () => {
      await open();
      const { error } = await call(grpcClient(), REGISTER, Buffer.alloc(4 * 1024 * 1024, 0x0b));
      expect(codesOf(error)).to.deep.equal([ErrorCode.INCORRECT_PARAMETERS]);
    });

    it('a call without a message, and one with two, with RQS00', async () => {
      await open();
      const session = await http2Client();
      for (const messages of [
        Buffer.alloc(0),
        Buffer.concat([enveloped(registration(32)), enveloped(registration(32))]),
      ]) {
        const stream = request(session, REGISTER);
        stream.end(messages);
        const headers = await answerOf(stream);
        expect(headers['grpc-status']).to.equal(String(status.INVALID_ARGUMENT));
        const failure = unpack(
          Buffer.from(String(headers['grpc-status-details-bin']), 'base64'),
          FailureSchema,
        );
        expect(failure.errorList.map(({ code }) => code)).to.deep.equal([ErrorCode.INCORRECT_PARAMETERS]);
      }
      expect(fakes.contexts).to.have.length(0);
    });

    it('a message above the limit with RQS03, and cuts nothing', async () => {
      await open();
      const client = grpcClient();
      const { error } = await call(client, REGISTER, registration(4 * 1024 * 1024));
      expect(error?.code).to.equal(status.RESOURCE_EXHAUSTED);
      expect(codesOf(error)).to.deep.equal([ErrorCode.TOO_MANY_REQUESTS]);
      expect((await register(client)).usernameHash).to.have.length(32);
      expect(fakes.contexts).to.have.length(1);
    });

    it('an unknown method with UNIMPLEMENTED, without repeating its name', async () => {
      await open();
      const session = await http2Client();
      for (const path of ['/passmanager.user.v1.UserService/Evil', '/', '/%0d%0a', '/\u00ff\u0080', '//']) {
        const stream = request(session, path);
        stream.end();
        const headers = await answerOf(stream);
        expect(headers['grpc-status'], path).to.equal(String(status.UNIMPLEMENTED));
        expect(headers['grpc-message']).to.not.include('Evil');
      }
    });

    it('a path under any method but POST with UNIMPLEMENTED', async () => {
      await open();
      const stream = request(await http2Client(), REGISTER, { ':method': 'PUT' });
      stream.end(enveloped(registration(32)));
      expect((await answerOf(stream))['grpc-status']).to.equal(String(status.UNIMPLEMENTED));
      expect(fakes.contexts).to.have.length(0);
    });

    it('a request above the limit of its RPC with RQS03, before it is parsed', async () => {
      await open({}, undefined, 100);
      const { error } = await call(grpcClient(), REGISTER, Buffer.alloc(101, 0xff));
      expect(error?.code).to.equal(status.RESOURCE_EXHAUSTED);
      expect(codesOf(error)).to.deep.equal([ErrorCode.TOO_MANY_REQUESTS]);
      expect(fakes.contexts).to.have.length(0);
    });

    it('another content type with 415', async () => {
      await open();
      const stream = request(await http2Client(), REGISTER, { 'content-type': 'application/json' });
      stream.end('{}');
      expect((await answerOf(stream))[':status']).to.equal(415);
    });

    // Notices as well when the field goes by which the door finds grpc-js's HTTP/2 server.
    it('compressed messages with UNIMPLEMENTED, and inflates nothing', async () => {
      await open();
      for (const algorithm of [1, 2]) {
        const client = grpcClient({ 'grpc.default_compression_algorithm': algorithm });
        const { error } = await call(client, REGISTER, registration(1000));
        expect(error?.code).to.equal(status.UNIMPLEMENTED);
      }
      expect(fakes.contexts).to.have.length(0);
    });

    it('a deadline that cannot be read with RQS00, without repeating it', async () => {
      await open();
      for (const timeout of ['evil', '1evil', '999999999S', '1S, evil']) {
        const stream = request(await http2Client(), REGISTER, { 'grpc-timeout': timeout });
        stream.end(enveloped(registration(32)));
        const headers = await answerOf(stream);
        expect(headers['grpc-status'], timeout).to.equal(String(status.INVALID_ARGUMENT));
        expect(headers['grpc-message']).to.not.include('evil');
      }
    });

    it('to open on a port that is taken', async () => {
      await open();
      const { port } = door.address;
      const { log } = collectingLog();
      const again = createGrpcDoor({
        rpcs: [],
        readiness,
        clients: NO_PROXIES,
        host: '127.0.0.1',
        port,
        limits: DEFAULT_DOOR_LIMITS,
        log,
        reflection: false,
      });
      expect(await again.catch((error: NodeJS.ErrnoException) => error.code)).to.equal('EADDRINUSE');
    });
  });

  describe('carries errors', () => {
    it('in clear as a Failure in grpc-status-details-bin', async () => {
      await open();
      const { error } = await call(grpcClient(), AUTHENTICATE, Buffer.alloc(0));
      expect(error?.code).to.equal(status.UNAUTHENTICATED);
      expect(error?.details).to.equal('unauthenticated');
      expect(codesOf(error)).to.deep.equal([ErrorCode.NOT_DECRYPTED]);
      const conflict = await call(grpcClient(), UPDATE, Buffer.alloc(0));
      expect(conflict.error?.code).to.equal(status.ABORTED);
      expect(detailOf(conflict.error, FailureSchema).errorList[0]!.currentRevision).to.equal(7n);
    });

    it('sealed as a SecureResponse', async () => {
      await open();
      const message = create(GetEntryRequestSchema, { secure: { sessionId: 'a session' } });
      const { error } = await call(grpcClient(), GET, bytesOf(GetEntryRequestSchema, message));
      const sealed = detailOf(error, SecureResponseSchema);
      expect(sealed.sessionId).to.equal('a session');
      expect([...sealed.encryptedData]).to.deep.equal([1, 2, 3]);
    });

    it('of a whole batch, and the status alone when trailers cannot hold them', async () => {
      await open();
      for (const [count, details] of [
        [500, 1],
        [5000, 0],
      ] as const) {
        const message = create(GetEntryRequestSchema, { secure: { requestNumber: BigInt(count) } });
        const { error } = await call(grpcClient(), BATCH, bytesOf(GetEntryRequestSchema, message));
        expect(error?.code).to.equal(status.ABORTED);
        expect(error?.metadata.get('grpc-status-details-bin')).to.have.length(details);
        if (details > 0) expect(codesOf(error)).to.have.length(count);
      }
    });

    it('that no handler should throw as SVR00, logs their cause and does not send it', async () => {
      await open();
      const rejections: unknown[] = [];
      const note = (reason: unknown) => rejections.push(reason);
      process.on('unhandledRejection', note);
      const { error } = await call(grpcClient(), BROKEN, Buffer.alloc(0));
      await new Promise((resolve) => setImmediate(resolve));
      process.off('unhandledRejection', note);
      expect(error?.code).to.equal(status.INTERNAL);
      expect(codesOf(error)).to.deep.equal([ErrorCode.UNEXPECTED_ERROR]);
      expect(JSON.stringify(error)).to.not.include('programmer');
      expect(lines.join()).to.include('a mistake of the programmer');
      expect(rejections).to.have.length(0);
    });
  });

  describe('bounds', () => {
    it('the streams of a connection to 100', async () => {
      await open();
      expect((await http2Client()).remoteSettings.maxConcurrentStreams).to.equal(100);
    });

    it('the memory of a connection: answers that nobody takes end in refusals', async () => {
      await open({ maxConnectionMemoryMb: 4 });
      const session = await http2Client();
      const closed: number[] = [];
      // A busy machine may take the first requests in before it has buffered their answers; the bound meets a later one.
      for (let index = 0; index < 60 && closed.length === 0; index += 1) {
        const stream = request(session, REGISTER);
        stream.pause();
        stream.end(enveloped(registration(1024 * 1024)));
        stream.on('close', () => closed.push(stream.rstCode));
        await new Promise((resolve) => setTimeout(resolve, 30));
      }
      await eventually(() => closed.includes(11 /* ENHANCE_YOUR_CALM, RFC 9113 §7 */));
    });

    it('the size of an answer', async () => {
      await open({ maxMessageBytes: 1000 });
      const message = create(RegisterUserRequestSchema, {
        usernameHash: Buffer.alloc(600),
        inviteCode: 'double',
      });
      const { error } = await call(grpcClient(), REGISTER, bytesOf(RegisterUserRequestSchema, message));
      expect(error?.code).to.equal(status.RESOURCE_EXHAUSTED);
    });

    it('deadlines from above', async () => {
      await open({ maxUnaryDeadlineMs: 100 });
      const { error } = await call(grpcClient(), START, Buffer.alloc(0), 3_600_000);
      expect(error?.code).to.equal(status.DEADLINE_EXCEEDED);
    });

    it('no deadline from below: the longest there is does not end at once', async () => {
      await open();
      const stream = request(await http2Client(), START, { 'grpc-timeout': '99999999H' });
      stream.end(enveloped(Buffer.alloc(0)));
      await eventually(() => fakes.contexts.length === 1);
      await new Promise((resolve) => setTimeout(resolve, 50));
      fakes.release();
      const [trailers] = (await once(stream.resume(), 'trailers')) as [IncomingHttpHeaders];
      expect(trailers['grpc-status']).to.equal('0');
    });

    it('how long a request may take to arrive', async () => {
      await open({ bodyTimeoutMs: 200 });
      const session = await http2Client();
      const half = request(session, REGISTER);
      half.write(enveloped(registration(1000)).subarray(0, 500));
      const answered = request(session, '/nobody');
      answered.write('x');
      await eventually(() => half.closed && answered.closed);
    });

    it('connections: silent ones keep nobody out', async function () {
      this.timeout(60_000);
      await open({ maxConnections: 50 });
      const client = grpcClient();
      await register(client);
      const hold = await heldOpen();
      for (let batch = 0; batch < 15; batch += 1) {
        const { port } = door.address;
        peers.push(...(await Promise.all(Array.from({ length: 100 }, () => RawPeer.connect(port)))));
      }
      await register(grpcClient());
      expect(hold.closed).to.equal(false);
    });

    it('connections: half-sent requests keep nobody out, and end no call that waits for its answer', async function () {
      this.timeout(60_000);
      await open({ maxConnections: 50 });
      const hold = await heldOpen();
      for (let index = 0; index < 110; index += 1) {
        const half = request(await http2Client(), REGISTER);
        half.write(enveloped(registration(1000)).subarray(0, 500));
      }
      await register(grpcClient());
      expect(hold.closed).to.equal(false);
    });

    it('the memory of all request bodies: who holds back the last bytes of many is cut', async () => {
      await open({ maxBodyBytes: 1024 * 1024 });
      const session = await http2Client();
      const message = enveloped(registration(200 * 1024));
      const streams = Array.from({ length: 20 }, () => {
        const stream = request(session, REGISTER);
        stream.write(message.subarray(0, -1));
        return stream;
      });
      const cut = () => streams.filter(({ rstCode }) => rstCode === 11 /* ENHANCE_YOUR_CALM, RFC 9113 §7 */);
      // Five of 200 KiB fit into one MiB.
      await eventually(() => cut().length === 15);
      await register(grpcClient());
      const [kept] = streams.filter((stream) => !stream.closed);
      kept!.end(message.subarray(-1));
      await once(kept!, 'response');
    });

    it('the memory of all answers: who takes none of many is cut, and others get theirs', async () => {
      await open({ maxUntakenBytes: 8 * 1024 * 1024 });
      const greedy = await http2Client();
      let isCut = false;
      greedy.on('close', () => {
        isCut = true;
      });
      for (let index = 0; index < 20 && !isCut; index += 1) {
        const stream = request(greedy, REGISTER);
        stream.pause();
        stream.end(enveloped(registration(1024 * 1024)));
      }
      await eventually(() => isCut);
      expect((await register(grpcClient(), 1024 * 1024)).usernameHash).to.have.length(1024 * 1024);
    });

    it('connections: those that take no answer keep nobody out', async () => {
      await open({ maxConnections: 3 });
      for (let index = 0; index < 3; index += 1) {
        const session = connect(`http://127.0.0.1:${door.address.port}`, {
          settings: { initialWindowSize: 0 },
        });
        session.on('error', () => {});
        sessions.push(session);
        await once(session, 'remoteSettings');
        const stream = request(session, REGISTER);
        stream.end(enveloped(registration(32)));
        await once(stream, 'response');
      }
      await eventually(
        async () => (await call(grpcClient(), REGISTER, registration(32))).error === undefined,
      );
    });

    it('connections: those that never greet are closed', async () => {
      await open({ greetingTimeoutMs: 100 });
      const silent = await RawPeer.connect(door.address.port);
      const noise = await RawPeer.connect(door.address.port);
      noise.write('GET / HTTP/1.1\r\n\r\n');
      const greeting = await RawPeer.connect(door.address.port);
      greeting.write(HTTP2_PREFACE);
      peers.push(silent, noise, greeting);
      await Promise.all([silent.closed, noise.closed]);
      expect(greeting.socket.destroyed).to.equal(false);
    });

    it('connections: those that do not answer whether they are there are closed', async () => {
      await open({ keepaliveMs: 100, keepaliveTimeoutMs: 100 });
      const client = grpcClient();
      await register(client);
      const gone = await RawPeer.connect(door.address.port);
      peers.push(gone);
      gone.write(HTTP2_PREFACE);
      await gone.closed;
      const watch = watchEntries(client, 1n);
      await new Promise((resolve) => setTimeout(resolve, 400));
      // A client that answers is not disturbed.
      expect(await Promise.race([watch.ended, 'open'])).to.equal('open');
    });

    it('connections: idle ones are closed, those at work are not', async () => {
      await open({ maxIdleMs: 200 });
      const idle = await http2Client();
      const stream = await heldOpen();
      await eventually(() => idle.closed);
      expect(stream.closed).to.equal(false);
    });

    it('connections: those that got too old take no new calls, and end with those that they have after a grace', async () => {
      await open({ maxAgeMs: 200, maxAgeGraceMs: 300 });
      const idle = await http2Client();
      const stream = await heldOpen();
      const wasOpenWhenTold = new Promise((resolve) =>
        stream.session!.once('goaway', () => resolve(!stream.closed)),
      );
      expect(await wasOpenWhenTold).to.equal(true);
      await eventually(() => idle.closed && stream.closed);
    });

    it('what is kept of calls: channelz knows of no server', async () => {
      await open();
      await register(grpcClient());
      const servers = await new Promise<unknown[]>((resolve, reject) => {
        getChannelzHandlers().GetServers(
          { request: { start_server_id: '0', max_results: '10' } } as never,
          ((error: unknown, value: { server: unknown[] }) =>
            error ? reject(error) : resolve(value.server)) as never,
        );
      });
      expect(servers).to.have.length(0);
    });

    it('what is logged: no text of the caller, nothing on the console', async () => {
      await open();
      const printed: unknown[] = [];
      const { error: consoleError } = console;
      console.error = (...parts: unknown[]) => printed.push(parts);
      try {
        const stream = request(await http2Client(), REGISTER, { 'x-evil': 'evil\u00e9' });
        stream.end(enveloped(registration(32)));
        await answerOf(stream);
      } finally {
        console.error = consoleError;
      }
      expect(printed).to.have.length(0);
      expect(lines.join()).to.not.include('evil');
      // The library had something to say, so what is tested here happened.
      expect(lines.join()).to.include('grpc-js reported');
    });
  });

  describe('stops', () => {
    it('at its deadline, although silent sockets, half-sent requests, open streams and slow calls are still there', async () => {
      await open();
      const silent = await RawPeer.connect(door.address.port);
      const greeted = await RawPeer.connect(door.address.port);
      greeted.write(HTTP2_PREFACE);
      peers.push(silent, greeted);
      const half = request(await http2Client(), REGISTER);
      half.write('x');
      const watch = watchEntries(grpcClient(), 1n);
      const slow = call(grpcClient(), START, Buffer.alloc(0));
      await eventually(() => fakes.contexts.length === 2);
      // Nobody releases the slow call, so nothing but the deadline ends this.
      await door.stop(500);
      expect((await watch.ended)?.code).to.equal(status.UNAVAILABLE);
      expect((await slow).error?.code).to.be.oneOf([status.UNAVAILABLE, status.CANCELLED]);
      await Promise.all([silent.closed, greeted.closed]);
    });

    it('before its deadline when nothing is in flight', async () => {
      await open();
      await register(grpcClient());
      await door.stop(NEVER_MS);
    });

    it('before its deadline past silent sockets under TLS', async () => {
      await open({}, await readTlsFiles(join(fixtures, 'certificate.pem'), join(fixtures, 'key.pem')));
      const silent = await RawPeer.connect(door.address.port);
      peers.push(silent);
      await door.stop(NEVER_MS);
      await silent.closed;
    });

    it('after the unary calls in flight have been answered', async () => {
      await open();
      const slow = call(grpcClient(), START, Buffer.alloc(0));
      await eventually(() => fakes.contexts.length === 1);
      const stopped = door.stop(5000);
      await new Promise((resolve) => setTimeout(resolve, 50));
      expect(fakes.contexts[0]!.signal.aborted).to.equal(false);
      fakes.release();
      expect((await slow).error).to.equal(undefined);
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

    it('streams with the status that the RPC throws', async () => {
      await open();
      const watch = watchEntries(grpcClient(), 2n);
      await eventually(() => watch.messages.length === 2);
      await door.stop(2000);
      const error = await watch.ended;
      expect(error?.code).to.equal(status.UNAVAILABLE);
      expect(codesOf(error)).to.deep.equal([ErrorCode.TEMPORARY_OUTAGE]);
    });
  });

  describe('serves', () => {
    it('unary calls', async () => {
      await open();
      const client = grpcClient();
      const hashes = await Promise.all([1, 2, 3].map((size) => register(client, size)));
      expect(hashes.map(({ usernameHash }) => usernameHash.length)).to.deep.equal([1, 2, 3]);
    });

    it('a full message in both directions, several at a time', async () => {
      await open();
      const client = grpcClient();
      const size = 4 * 1024 * 1024 - 10;
      const answers = await Promise.all([1, 2, 3].map(() => register(client, size)));
      for (const { usernameHash } of answers) expect(usernameHash).to.have.length(size);
    });

    it('streams, in order', async () => {
      await open();
      const watch = watchEntries(grpcClient(), 500n);
      await eventually(() => watch.messages.length === 500);
      expect(watch.messages.map(({ secure }) => Number(secure!.sessionId))).to.deep.equal([
        ...Array(500).keys(),
      ]);
    });

    it('a context with the address of the peer and an id of its own to each call', async () => {
      await open();
      const client = grpcClient();
      await register(client);
      await register(client);
      const watch = watchEntries(client, 1n);
      await eventually(() => watch.messages.length === 1);
      expect(fakes.contexts.map(({ clientAddress }) => clientAddress)).to.deep.equal(
        Array(3).fill('127.0.0.1'),
      );
      expect(new Set(fakes.contexts.map(({ requestId }) => requestId)).size).to.equal(3);
    });

    it('a context with its protocol and the caller’s own trace as it was written, once', async () => {
      await open();
      const client = grpcClient();
      for (const values of [[], ['any text'], ['one', 'another']]) {
        const metadata = new Metadata();
        for (const value of values) metadata.add('traceparent', value);
        await call(client, REGISTER, registration(32), undefined, metadata);
      }
      const watch = watchEntries(client, 1n);
      await eventually(() => watch.messages.length === 1);
      expect(fakes.contexts.map(({ protocol }) => protocol)).to.deep.equal(Array(4).fill('grpc'));
      const [none, one, several, stream] = fakes.contexts.map(({ traceparent }) => traceparent);
      expect([none, one, stream]).to.deep.equal([undefined, 'any text', undefined]);
      expect(['one, another', undefined]).to.include(several);
    });

    it('a signal that tells when the caller has gone or the deadline has passed', async () => {
      await open();
      const client = grpcClient();
      const watch = watchEntries(client, 1n);
      await eventually(() => watch.messages.length === 1);
      watch.cancel();
      await eventually(() => fakes.contexts[0]!.signal.aborted);

      const late = call(client, START, Buffer.alloc(0), 50);
      await eventually(() => fakes.contexts.length === 2);
      const { signal } = fakes.contexts[1]!;
      expect((await late).error?.code).to.equal(status.DEADLINE_EXCEEDED);
      await eventually(() => signal.aborted);
      // Asked for only now, it tells the same.
      expect(fakes.contexts[1]!.signal.aborted).to.equal(true);
    });

    it('health', async () => {
      await open();
      const client = grpcClient();
      const question = bytesOf(
        HealthCheckRequestSchema,
        create(HealthCheckRequestSchema, { service: 'passmanager.data.v1.DataService' }),
      );
      const statusNow = async () => {
        const { response } = await call(client, '/grpc.health.v1.Health/Check', question);
        return fromBinary(HealthCheckResponseSchema, response!).status;
      };
      expect(await statusNow()).to.equal(1);
      readiness.set(false);
      expect(await statusNow()).to.equal(2);
    });

    it('under TLS, and only under TLS then', async () => {
      const tls = await readTlsFiles(join(fixtures, 'certificate.pem'), join(fixtures, 'key.pem'));
      await open({ greetingTimeoutMs: 300 }, tls);
      const trusted = credentials.createSsl(await readFile(join(fixtures, 'certificate.pem')));
      const client = grpcClient({}, trusted);
      expect((await register(client)).usernameHash).to.have.length(32);
      expect(fakes.contexts[0]!.clientAddress).to.equal('127.0.0.1');
      const clear = await call(grpcClient(), REGISTER, registration(32), 1000);
      expect(clear.error?.code).to.be.oneOf([status.UNAVAILABLE, status.DEADLINE_EXCEEDED]);
      const silent = await RawPeer.connect(door.address.port);
      await silent.closed;
      // Past the time for greetings, whoever spoke TLS and HTTP/2 is still there.
      expect((await register(client)).usernameHash).to.have.length(32);
    });
  });

  function watchEntries(client: Client, messages: bigint) {
    const message = create(WatchEntriesRequestSchema, { secure: { requestNumber: messages } });
    const stream = client.makeServerStreamRequest(
      WATCH,
      identity,
      (bytes: Buffer) => fromBinary(WatchEntriesResponseSchema, bytes),
      bytesOf(WatchEntriesRequestSchema, message),
    );
    const seen: WatchEntriesResponse[] = [];
    stream.on('data', (response: WatchEntriesResponse) => seen.push(response));
    const ended = new Promise<ServiceError | undefined>((resolve) => {
      stream.on('error', (error: ServiceError) => resolve(error));
      stream.on('end', () => resolve(undefined));
    });
    return { messages: seen, ended, cancel: () => stream.cancel() };
  }

  /** A connection with a request in flight. */
  async function heldOpen(): Promise<ClientHttp2Stream> {
    const known = fakes.contexts.length;
    const stream = request(await http2Client(), START);
    stream.end(enveloped(Buffer.alloc(0)));
    await eventually(() => fakes.contexts.length > known);
    return stream;
  }
});
