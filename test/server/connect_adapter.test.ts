import { once } from 'node:events';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { create, toBinary } from '@bufbuild/protobuf';
import { type Client, Code, ConnectError, createClient, type Transport } from '@connectrpc/connect';
import { createConnectTransport, createGrpcWebTransport } from '@connectrpc/connect-node';
import { expect } from 'chai';
import { ErrorCode, FailureSchema } from '../../gen/passmanager/common/v1/error_pb.ts';
import { SecureResponseSchema } from '../../gen/passmanager/common/v1/secure_pb.ts';
import { DataService } from '../../gen/passmanager/data/v1/data_service_pb.ts';
import { PasswordService } from '../../gen/passmanager/password/v1/password_service_pb.ts';
import { SessionService } from '../../gen/passmanager/session/v1/session_service_pb.ts';
import { RegisterUserRequestSchema, UserService } from '../../gen/passmanager/user/v1/user_service_pb.ts';
import { connectHandlers } from '../../src/server/connect_adapter.ts';
import { DEFAULT_DOOR_LIMITS, type DoorLimits } from '../../src/server/door.ts';
import { collectingLog } from '../support/collecting_log.ts';
import { eventually } from '../support/eventually.ts';
import { type FakeRpcs, fakeRpcs } from '../support/fake_rpcs.ts';
import { RawPeer } from '../support/raw_peer.ts';

const REGISTER = '/passmanager.user.v1.UserService/RegisterUser';
const START = '/passmanager.session.v1.SessionService/StartSession';
const WATCH = '/passmanager.data.v1.DataService/WatchEntries';

/** Content types for one message, and whether it is in an envelope and in JSON. */
const UNARY_TYPES = [
  ['application/proto', false, false],
  ['application/json', false, true],
  ['application/grpc', true, false],
  ['application/grpc+json', true, true],
  ['application/grpc-web+proto', true, false],
  ['application/grpc-web+json', true, true],
] as const;

describe('connectHandlers', () => {
  let server: Server;
  let base: string;
  let fakes: FakeRpcs;
  let lines: string[];
  let stopping: AbortController;
  const printed: unknown[] = [];
  const { error: consoleError } = console;

  async function open(limits: Partial<DoorLimits> = {}): Promise<void> {
    fakes = fakeRpcs();
    stopping = new AbortController();
    const collecting = collectingLog();
    lines = collecting.lines;
    const handlers = connectHandlers(fakes.rpcs, {
      limits: { ...DEFAULT_DOOR_LIMITS, ...limits },
      stopping: stopping.signal,
      log: collecting.log,
    });
    server = createServer((request, response) => {
      void handlers.get(request.url!)!(request, response, {
        clientAddress: 'a peer',
        headers: { 'x-door': 'open' },
      });
    });
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    base = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  }

  before(() => {
    console.error = (...parts: unknown[]) => printed.push(parts);
  });

  after(() => {
    console.error = consoleError;
    // connect-es' own adapter reports there what callers did.
    expect(printed).to.have.length(0);
  });

  afterEach(() => {
    server.closeAllConnections();
    server.close();
  });

  const transports: [string, 'connect' | 'grpc-web', () => Transport][] = [
    ['Connect', 'connect', () => createConnectTransport({ baseUrl: base, httpVersion: '1.1' })],
    [
      'Connect with JSON',
      'connect',
      () => createConnectTransport({ baseUrl: base, httpVersion: '1.1', useBinaryFormat: false }),
    ],
    ['gRPC-Web', 'grpc-web', () => createGrpcWebTransport({ baseUrl: base, httpVersion: '1.1' })],
    [
      'gRPC-Web with JSON',
      'grpc-web',
      () => createGrpcWebTransport({ baseUrl: base, httpVersion: '1.1', useBinaryFormat: false }),
    ],
  ];

  async function failureOf(outcome: Promise<unknown>): Promise<ConnectError> {
    try {
      await outcome;
    } catch (error) {
      expect(error).to.be.instanceOf(ConnectError);
      return error as ConnectError;
    }
    throw new Error('the call succeeded');
  }

  function codesOf(error: ConnectError): ErrorCode[] {
    expect(error.details).to.have.length(1);
    return error.findDetails(FailureSchema).flatMap(({ errorList }) => errorList.map(({ code }) => code));
  }

  function enveloped(message: Uint8Array | string, flags = 0): Buffer {
    const bytes = Buffer.from(message as string, 'latin1');
    const prefix = Buffer.alloc(5);
    prefix[0] = flags;
    prefix.writeUInt32BE(bytes.length, 1);
    return Buffer.concat([prefix, bytes]);
  }

  /** Posts raw bytes and reads the code that a client of the content type would see, and whether RQS00 came with it. */
  async function post(
    path: string,
    contentType: string,
    body: Uint8Array,
    headers: Record<string, string> = {},
  ): Promise<{ status: number; code: string | undefined; text: string; failure: boolean }> {
    const response = await fetch(base + path, {
      method: 'POST',
      headers: { 'content-type': contentType, ...headers },
      body: Buffer.from(body),
    });
    const text = Buffer.from(await response.arrayBuffer()).toString('latin1');
    const code = /grpc-status: (\d+)/.exec(text)?.[1] ?? /"code":"(\w+)"/.exec(text)?.[1];
    return { status: response.status, code, text, failure: /Failure|grpc-status-details-bin/.test(text) };
  }

  for (const [name, protocol, transport] of transports) {
    describe(`over ${name}`, () => {
      let user: Client<typeof UserService>;
      let session: Client<typeof SessionService>;
      let data: Client<typeof DataService>;

      beforeEach(async () => {
        await open();
        user = createClient(UserService, transport());
        session = createClient(SessionService, transport());
        data = createClient(DataService, transport());
      });

      it('refuses a message above the limit with RQS03, and cuts nothing', async () => {
        // JSON may be larger by what base64 adds, and no more.
        const error = await failureOf(user.registerUser({ usernameHash: new Uint8Array(4.3 * 1024 * 1024) }));
        expect(error.code).to.equal(Code.ResourceExhausted);
        expect(codesOf(error)).to.deep.equal([ErrorCode.TOO_MANY_REQUESTS]);
        expect(fakes.contexts).to.have.length(0);
      });

      it('carries a failure in clear', async () => {
        const error = await failureOf(session.authenticateSession({}));
        expect(error.code).to.equal(Code.Unauthenticated);
        expect(error.rawMessage).to.equal('unauthenticated');
        expect(codesOf(error)).to.deep.equal([ErrorCode.NOT_DECRYPTED]);
        const conflict = await failureOf(data.updateEntry({}));
        expect(conflict.code).to.equal(Code.Aborted);
        expect(conflict.findDetails(FailureSchema)[0]!.errorList[0]!.currentRevision).to.equal(7n);
      });

      it('carries a sealed failure', async () => {
        const error = await failureOf(data.getEntry({ secure: { sessionId: 'a session' } }));
        const [sealed] = error.findDetails(SecureResponseSchema);
        expect(sealed!.sessionId).to.equal('a session');
        expect([...sealed!.encryptedData]).to.deep.equal([1, 2, 3]);
      });

      it('answers what no handler should throw with SVR00, logs the cause and does not send it', async () => {
        const error = await failureOf(createClient(PasswordService, transport()).getEntry({}));
        expect(error.code).to.equal(Code.Internal);
        expect(codesOf(error)).to.deep.equal([ErrorCode.UNEXPECTED_ERROR]);
        expect(error.message).to.not.include('programmer');
        expect(lines.join()).to.include('a mistake of the programmer');
      });

      it('serves a full message in both directions', async () => {
        const usernameHash = new Uint8Array(4 * 1024 * 1024 - 10);
        expect((await user.registerUser({ usernameHash })).usernameHash).to.have.length(usernameHash.length);
      });

      it('serves a stream in order, and ends it with the status of the RPC when the server stops', async () => {
        const seen: string[] = [];
        const error = await failureOf(
          (async () => {
            for await (const { secure } of data.watchEntries({ secure: { requestNumber: 200n } })) {
              seen.push(secure!.sessionId);
              if (seen.length === 200) stopping.abort();
            }
          })(),
        );
        expect(seen).to.deep.equal(Array.from({ length: 200 }, (_, index) => String(index)));
        expect(error.code).to.equal(Code.Unavailable);
        expect(codesOf(error)).to.deep.equal([ErrorCode.TEMPORARY_OUTAGE]);
      });

      it('tells the RPC when the caller goes away', async () => {
        const aborter = new AbortController();
        await failureOf(
          (async () => {
            const stream = data.watchEntries({ secure: { requestNumber: 1n } }, { signal: aborter.signal });
            for await (const _ of stream) aborter.abort();
          })(),
        );
        await eventually(() => fakes.contexts[0]!.signal.aborted);
      });

      it('ends a stream at its deadline', async () => {
        const error = await failureOf(
          (async () => {
            for await (const _ of data.watchEntries({ secure: { requestNumber: 1n } }, { timeoutMs: 100 }));
          })(),
        );
        expect(error.code).to.equal(Code.DeadlineExceeded);
        await eventually(() => fakes.contexts[0]!.signal.aborted);
      });

      it('gives each call the address of its peer and an id of its own', async () => {
        await user.registerUser({});
        await user.registerUser({});
        expect(fakes.contexts.map(({ clientAddress }) => clientAddress)).to.deep.equal(['a peer', 'a peer']);
        expect(fakes.contexts[0]!.requestId).to.not.equal(fakes.contexts[1]!.requestId);
      });

      it('gives each call its protocol, and the caller’s own trace as it was written', async () => {
        await user.registerUser({});
        await user.registerUser({}, { headers: { traceparent: 'any text' } });
        expect(fakes.contexts.map((context) => context.protocol)).to.deep.equal([protocol, protocol]);
        expect(fakes.contexts.map(({ traceparent }) => traceparent)).to.deep.equal([undefined, 'any text']);
      });
    });
  }

  describe('refuses', () => {
    it('a message that cannot be parsed with RQS00, in every protocol', async () => {
      await open();
      for (const [contentType, inEnvelope, json] of UNARY_TYPES) {
        const garbage = json
          ? ['{', '[]', '{"usernameHash":5}', '', '\xff']
          : ['\xff\xff', '\x0a\x05a', '\x0b'];
        for (const bad of garbage) {
          const body = inEnvelope ? enveloped(bad) : Buffer.from(bad, 'latin1');
          const { status, code, failure } = await post(REGISTER, contentType, body);
          const what = `${contentType} ${JSON.stringify(bad)}`;
          if (contentType.startsWith('application/grpc') && !contentType.includes('web')) {
            // fetch does not show trailers; that the handler was not reached is checked below.
            expect(status, what).to.equal(200);
          } else {
            expect(code, what).to.equal(inEnvelope ? '3' : 'invalid_argument');
            expect(failure, what).to.equal(true);
            expect(status, what).to.equal(inEnvelope ? 200 : 400);
          }
        }
      }
      expect(fakes.contexts).to.have.length(0);
    });

    it('an envelope that is missing, incomplete, repeated or flagged as compressed with RQS00', async () => {
      await open();
      const empty = enveloped('');
      for (const body of [
        Buffer.alloc(0),
        empty.subarray(0, 3),
        Buffer.from('\x00\x00\x00\x00\x09abc', 'latin1'),
        Buffer.from('\x00\xff\xff\xff\xffabc', 'latin1'),
        Buffer.concat([empty, empty]),
        enveloped('abc', 1),
      ]) {
        const unary = await post(REGISTER, 'application/grpc-web+proto', body);
        expect([unary.code, unary.failure], body.toString('hex')).to.deep.equal(['3', true]);
        const stream = await post(WATCH, 'application/connect+proto', body);
        expect([stream.code, stream.failure], body.toString('hex')).to.deep.equal(['invalid_argument', true]);
      }
      expect(fakes.contexts).to.have.length(0);
    });

    it('a message of objects within objects, as many as fit, with RQS00', async () => {
      await open();
      const deep = Buffer.from('{"kdf":'.repeat(500_000));
      expect((await post(REGISTER, 'application/json', deep)).code).to.equal('invalid_argument');
      const groups = Buffer.alloc(4 * 1024 * 1024, 0x0b);
      expect((await post(REGISTER, 'application/proto', groups)).code).to.equal('invalid_argument');
    });

    it('compressed messages with UNIMPLEMENTED, without repeating the name of the encoding', async () => {
      await open();
      for (const encoding of ['gzip', 'br', 'deflate', 'evil']) {
        const unary = await post(REGISTER, 'application/proto', Buffer.alloc(10), {
          'content-encoding': encoding,
        });
        expect([unary.status, unary.code]).to.deep.equal([501, 'unimplemented']);
        expect(unary.text).to.not.include(encoding);
        const web = await post(REGISTER, 'application/grpc-web', enveloped('abc', 1), {
          'grpc-encoding': encoding,
        });
        expect(web.code).to.equal('12');
        expect(web.text).to.not.include(encoding);
      }
      expect(fakes.contexts).to.have.length(0);
    });

    it('a deadline that cannot be read with RQS00, without repeating it', async () => {
      await open();
      for (const [contentType, name, body] of [
        ['application/proto', 'connect-timeout-ms', Buffer.alloc(0)],
        ['application/grpc-web', 'grpc-timeout', enveloped('')],
      ] as const) {
        const { text, failure } = await post(REGISTER, contentType, body, { [name]: 'evil' });
        expect(failure).to.equal(true);
        expect(text).to.not.include('evil');
      }
      expect(fakes.contexts).to.have.length(0);
    });

    it('a content type that it does not know with 415', async () => {
      await open();
      for (const contentType of [
        'text/plain',
        'application/x-www-form-urlencoded',
        'application/connect+proto',
      ]) {
        expect((await post(REGISTER, contentType, Buffer.alloc(0))).status, contentType).to.equal(415);
      }
      expect((await post(WATCH, 'application/json', Buffer.from('{}'))).status).to.equal(415);
    });

    it('a body above the limit while it is still being sent, and lets the rest in', async () => {
      await open();
      const peer = await RawPeer.connect((server.address() as AddressInfo).port);
      const chunk = `10000\r\n${'x'.repeat(0x10000)}\r\n`;
      peer.write(
        `POST ${REGISTER} HTTP/1.1\r\nHost: h\r\nContent-Type: application/proto\r\nTransfer-Encoding: chunked\r\n\r\n`,
      );
      for (let sent = 0; sent < 70; sent += 1) peer.write(chunk);
      const answer = await peer.receive(/\r\n\r\n.*"code":"resource_exhausted"/s);
      expect(answer).to.match(/^HTTP\/1\.1 429 /);
      // The rest goes nowhere, and the connection serves the next request.
      for (let sent = 0; sent < 100; sent += 1) peer.write(chunk);
      peer.write(
        `0\r\n\r\nPOST ${REGISTER} HTTP/1.1\r\nHost: h\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}`,
      );
      await peer.receive(/HTTP\/1\.1 200 /);
      peer.destroy();
    });

    it('a body that is announced to be above the limit, before it comes', async () => {
      await open();
      const peer = await RawPeer.connect((server.address() as AddressInfo).port);
      peer.write(
        `POST ${REGISTER} HTTP/1.1\r\nHost: h\r\nContent-Type: application/proto\r\nContent-Length: 99999999\r\n\r\n`,
      );
      expect(await peer.receive(/resource_exhausted/)).to.match(/^HTTP\/1\.1 429 /);
      peer.destroy();
    });
  });

  it('caps deadlines', async () => {
    await open({ maxUnaryDeadlineMs: 100 });
    for (const timeout of ['3600000', '9999999999']) {
      const asked = post(START, 'application/json', Buffer.from('{}'), { 'connect-timeout-ms': timeout });
      const known = fakes.contexts.length;
      await eventually(() => fakes.contexts.length > known && fakes.contexts[known]!.signal.aborted);
      void asked.catch(() => {});
    }
    fakes.release();
  });

  it('tells the caller of a stream whose deadline has passed so', async () => {
    await open({ maxStreamDeadlineMs: 100 });
    const message = enveloped('{"secure":{"requestNumber":"1"}}');
    const stream = await post(WATCH, 'application/connect+json', message, {
      'connect-timeout-ms': '3600000',
    });
    expect(stream.code).to.equal('deadline_exceeded');
    const web = await post(WATCH, 'application/grpc-web+json', message, { 'grpc-timeout': '1H' });
    expect(web.code).to.equal('4');
  });

  it("adds the door's headers to every answer", async () => {
    await open();
    for (const [contentType, body] of [
      ['application/json', '{}'],
      ['application/json', '{'],
      ['text/plain', ''],
    ] as const) {
      const response = await fetch(base + REGISTER, {
        method: 'POST',
        headers: { 'content-type': contentType },
        body,
      });
      expect(response.headers.get('x-door')).to.equal('open');
    }
  });

  it('survives callers that go away at any moment', async () => {
    await open();
    const { port } = server.address() as AddressInfo;
    const message = toBinary(
      RegisterUserRequestSchema,
      create(RegisterUserRequestSchema, { usernameHash: new Uint8Array(2_000_000) }),
    );
    const whole = Buffer.concat([
      Buffer.from(
        `POST ${REGISTER} HTTP/1.1\r\nHost: h\r\nContent-Type: application/proto\r\nContent-Length: ${message.length}\r\n\r\n`,
      ),
      message,
    ]);
    for (const part of [10, 80, 150, 100_000, whole.length]) {
      const peer = await RawPeer.connect(port);
      peer.write(whole.subarray(0, part));
      await new Promise((resolve) => setTimeout(resolve, 10));
      peer.socket.resetAndDestroy();
      await peer.closed;
    }
    expect(await createClient(UserService, transports[0]![2]()).registerUser({})).to.have.property(
      'usernameHash',
    );
    expect(lines.filter((line) => line.includes('"level":50'))).to.have.length(0);
  });

  it('sends a stream no faster than the caller takes it', async () => {
    await open();
    const { port } = server.address() as AddressInfo;
    const peer = await RawPeer.connect(port);
    peer.socket.pause();
    const body = '{"secure":{"requestNumber":"1000000"}}';
    const envelope = enveloped(body);
    peer.write(
      Buffer.concat([
        Buffer.from(
          `POST ${WATCH} HTTP/1.1\r\nHost: h\r\nContent-Type: application/connect+json\r\nContent-Length: ${envelope.length}\r\n\r\n`,
        ),
        envelope,
      ]),
    );
    await eventually(() => fakes.contexts.length === 1);
    let made = -1;
    await eventually(async () => {
      const before = made;
      made = fakes.streamed();
      await new Promise((resolve) => setTimeout(resolve, 100));
      return made > 0 && made === before;
    });
    expect(made).to.be.within(1, 999_999);
    peer.destroy();
    await eventually(() => fakes.contexts[0]!.signal.aborted);
  });
});
