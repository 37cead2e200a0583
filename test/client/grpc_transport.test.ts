import { readFile } from 'node:fs/promises';
import { create, type DescMethod, fromBinary, type Message, toBinary } from '@bufbuild/protobuf';
import { Code, ConnectError } from '@connectrpc/connect';
import {
  credentials,
  type handleServerStreamingCall,
  type handleUnaryCall,
  Metadata,
  type MethodDefinition,
  Server,
  ServerCredentials,
  status,
} from '@grpc/grpc-js';
import { expect } from 'chai';
import { ErrorCode, FailureSchema } from '../../gen/passmanager/common/v1/error_pb.ts';
import { DataService } from '../../gen/passmanager/data/v1/data_service_pb.ts';
import { SessionService } from '../../gen/passmanager/session/v1/session_service_pb.ts';
import { createGrpcTransport, type GrpcTransport } from '../../src/client/grpc_transport.ts';
import { fieldsInvalid } from '../../src/server/errors.ts';
import { statusBytes } from '../../src/server/grpc_status.ts';
import { rejection } from '../support/rejection.ts';

const { startSession } = SessionService.method;
const { watchEntries } = DataService.method;

/** Both directions of a method as grpc-js wants them. */
function definition({ parent, name, input, output, methodKind }: DescMethod) {
  return {
    path: `/${parent.typeName}/${name}`,
    requestStream: false,
    responseStream: methodKind === 'server_streaming',
    requestSerialize: () => Buffer.alloc(0),
    requestDeserialize: (bytes: Buffer) => fromBinary(input, bytes) as never,
    responseSerialize: (message: unknown) => Buffer.from(toBinary(output, message as Message)),
    responseDeserialize: () => undefined,
  } as MethodDefinition<never, unknown> as never;
}

describe('the gRPC transport', () => {
  let server: Server;
  let transport: GrpcTransport;
  let answer: handleUnaryCall<never, unknown>;
  let stream: handleServerStreamingCall<never, unknown>;

  async function start(
    serverCredentials = ServerCredentials.createInsecure(),
    host = '127.0.0.1',
  ): Promise<number> {
    server = new Server();
    server.addService(
      { startSession: definition(startSession), watchEntries: definition(watchEntries) },
      {
        startSession: ((call, callback) => answer(call, callback)) as handleUnaryCall<
          never,
          unknown
        > as never,
        watchEntries: ((call) => stream(call)) as handleServerStreamingCall<never, unknown> as never,
      },
    );
    return new Promise((resolve, reject) => {
      server.bindAsync(`${host}:0`, serverCredentials, (error, port) =>
        error ? reject(error) : resolve(port),
      );
    });
  }

  before(async () => {
    transport = createGrpcTransport({ url: `http://127.0.0.1:${await start()}` });
  });
  after(() => {
    transport.close();
    server.forceShutdown();
  });

  const call = (signal?: AbortSignal, timeoutMs?: number) =>
    transport.unary(startSession, signal, timeoutMs, { 'x-test': 'yes' }, { clientProtocol: 7 });
  async function* once<T>(value: T) {
    yield value;
  }
  const watch = async (signal?: AbortSignal) =>
    (await transport.stream(watchEntries, signal, undefined, undefined, once({}))).message;

  it('turns a status with details into an error with details', async () => {
    answer = (_call, callback) => {
      const metadata = new Metadata();
      metadata.set(
        'grpc-status-details-bin',
        Buffer.from(statusBytes(fieldsInvalid(['kdf.iterations']).inClear())),
      );
      callback({ code: status.INVALID_ARGUMENT, details: 'invalid', metadata });
    };
    const error = (await rejection(call())) as ConnectError;
    expect(error).to.be.instanceOf(ConnectError);
    expect(error.code).to.equal(Code.InvalidArgument);
    const [failure] = error.findDetails(FailureSchema);
    expect(failure!.errorList.map(({ field, code }) => [field, code])).to.deep.equal([
      ['kdf.iterations', ErrorCode.FIELD_INVALID],
    ]);
  });

  for (const [what, details] of [
    ['are of another status', Buffer.from(statusBytes(fieldsInvalid(['x']).inClear()))],
    ['cannot be read', Buffer.from([0xff, 0xff, 0xff])],
  ] as const) {
    it(`keeps the status of the call when its details ${what}`, async () => {
      answer = (_call, callback) => {
        const metadata = new Metadata();
        metadata.set('grpc-status-details-bin', details);
        callback({ code: status.NOT_FOUND, details: 'gone', metadata });
      };
      const error = (await rejection(call())) as ConnectError;
      expect([error.code, error.rawMessage, error.details]).to.deep.equal([Code.NotFound, 'gone', []]);
    });
  }

  it('says unavailable when nobody listens', async () => {
    const nobody = createGrpcTransport({ url: 'http://127.0.0.1:1' });
    const error = await rejection(nobody.unary(startSession, undefined, undefined, undefined, {}));
    expect((error as ConnectError).code).to.equal(Code.Unavailable);
    nobody.close();
  });

  it('gives up after the time that the caller gives', async () => {
    answer = () => {};
    expect(((await rejection(call(undefined, 30))) as ConnectError).code).to.equal(Code.DeadlineExceeded);
  });

  it('gives up when the signal is aborted, before and during', async () => {
    const controller = new AbortController();
    answer = () => controller.abort();
    expect(((await rejection(call(controller.signal))) as ConnectError).code).to.equal(Code.Canceled);
    expect(((await rejection(call(controller.signal))) as ConnectError).code).to.equal(Code.Canceled);
  });

  it('refuses methods in which the client streams', async () => {
    const method = { ...watchEntries, methodKind: 'bidi_streaming' } as never;
    const error = await rejection(
      transport.stream(method, undefined, undefined, undefined, once({}) as never),
    );
    expect((error as ConnectError).code).to.equal(Code.Unimplemented);
  });

  it('carries a message there and back, with headers', async () => {
    answer = ({ request, metadata }, callback) => {
      const ephemeralId = `${(request as { clientProtocol: number }).clientProtocol} ${metadata.get('x-test')}`;
      callback(null, create(startSession.output, { ephemeralId }));
    };
    expect((await call()).message.ephemeralId).to.equal('7 yes');
  });

  it('hands on the messages of a stream and the status that ends it', async () => {
    stream = (serverCall) => {
      serverCall.write(create(watchEntries.output, { secure: { sessionId: 'one' } }));
      serverCall.write(create(watchEntries.output, { secure: { sessionId: 'two' } }));
      serverCall.emit('error', { code: status.UNAVAILABLE, details: 'enough' });
    };
    const seen: (string | undefined)[] = [];
    const reading = (async () => {
      for await (const message of await watch()) seen.push(message.secure?.sessionId);
    })();
    expect(((await rejection(reading)) as ConnectError).code).to.equal(Code.Unavailable);
    expect(seen).to.deep.equal(['one', 'two']);
  });

  it('cancels the call when nobody reads the stream any more, and when the signal is aborted', async () => {
    for (const end of ['break', 'abort']) {
      const cancelled = new Promise<void>((resolve) => {
        stream = (serverCall) => {
          serverCall.on('cancelled', resolve);
          serverCall.write(create(watchEntries.output, {}));
        };
      });
      const controller = new AbortController();
      const reading = (async () => {
        for await (const _ of await watch(controller.signal)) {
          if (end === 'break') break;
          controller.abort();
        }
      })();
      if (end === 'break') await reading;
      else expect(((await rejection(reading)) as ConnectError).code).to.equal(Code.Canceled);
      await cancelled;
    }
  });

  it('is confidential by its URL, and speaks TLS', async () => {
    expect(transport.confidential).to.equal(true);
    const far = createGrpcTransport({ url: 'http://example.com:50051' });
    expect(far.confidential).to.equal(false);
    far.close();
    server.forceShutdown();
    const [certificate, key] = await Promise.all(
      ['certificate.pem', 'key.pem'].map((name) =>
        readFile(new URL(`../fixtures/tls/${name}`, import.meta.url)),
      ),
    );
    const port = await start(
      ServerCredentials.createSsl(null, [{ cert_chain: certificate!, private_key: key! }]),
    );
    answer = (_call, callback) => callback(null, create(startSession.output, { ephemeralId: 'tls' }));
    const secure = createGrpcTransport({
      url: `https://localhost:${port}`,
      channelCredentials: credentials.createSsl(certificate!),
    });
    const { message } = await secure.unary(startSession, undefined, undefined, undefined, {});
    expect([message.ephemeralId, secure.confidential]).to.deep.equal(['tls', true]);
    const untrusting = createGrpcTransport({ url: `https://localhost:${port}` });
    const error = await rejection(untrusting.unary(startSession, undefined, 5_000, undefined, {}));
    expect((error as ConnectError).code).to.equal(Code.Unavailable);
    secure.close();
    untrusting.close();
  });

  it('connects by TLS to an address that the certificate names, and to none that it does not', async () => {
    const [certificate, key] = await Promise.all(
      ['certificate.pem', 'key.pem'].map((name) =>
        readFile(new URL(`../fixtures/tls/${name}`, import.meta.url)),
      ),
    );
    const identity = ServerCredentials.createSsl(null, [{ cert_chain: certificate!, private_key: key! }]);
    answer = (_call, callback) => callback(null, create(startSession.output, { ephemeralId: 'tls' }));
    const call = async (host: string): Promise<unknown> => {
      server.forceShutdown();
      const port = await start(identity, host);
      const secure = createGrpcTransport({ url: `https://${host}:${port}`, ca: certificate!.toString() });
      try {
        return (await secure.unary(startSession, undefined, 5_000, undefined, {})).message;
      } catch (error) {
        return (error as ConnectError).code;
      } finally {
        secure.close();
      }
    };
    expect(await call('127.0.0.1')).to.deep.include({ ephemeralId: 'tls' });
    // Another address of the same machine, which the certificate does not name.
    expect(await call('127.0.0.2')).to.equal(Code.Unavailable);
  });
});
