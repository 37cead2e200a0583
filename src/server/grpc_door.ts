/**
 * The gRPC door: HTTP/2 in clear or under TLS, served by @grpc/grpc-js behind a listener of our own. What that library
 * leaves open is closed here: connections without bounds, decompression before anybody is known, deadlines that overflow,
 * texts that repeat what the caller sent.
 */
import { randomUUID } from 'node:crypto';
import { once } from 'node:events';
import type { Http2SecureServer, Http2Server, IncomingHttpHeaders } from 'node:http2';
import { type AddressInfo, createServer, type Socket } from 'node:net';
import { type DescMessage, fromBinary, type Message, toBinary } from '@bufbuild/protobuf';
import {
  type handleServerStreamingCall,
  type handleUnaryCall,
  type Metadata,
  Server,
  ServerCredentials,
  type ServerInterceptingCall,
  type ServerInterceptor,
  type ServerUnaryCall,
  type ServerWritableStream,
  setLogger,
} from '@grpc/grpc-js';
import { BodyBudget } from './body_budget.ts';
import type { ClientAddresses } from './client_address.ts';
import { ConnectionGuard } from './connection_guard.ts';
import { ConnectionIntake } from './connection_intake.ts';
import { capGrpcTimeout } from './deadline.ts';
import type { Door, DoorLimits, DoorOptions } from './door.ts';
import { drained } from './drained.ts';
import {
  incorrectParameters,
  RpcError,
  temporaryOutage,
  tooManyRequests,
  unexpectedError,
} from './errors.ts';
import { errorResponse, typedStatuses } from './grpc_error_response.ts';
import { healthRpcs } from './health.ts';
import type { Logger } from './log.ts';
import { OpenStreams } from './open_streams.ts';
import { addReflection } from './reflection.ts';
import { type CallContext, READ_OPTIONS, type Rpc, type StreamingRpc, type UnaryRpc } from './rpc.ts';
import { guardStreams } from './stream_guard.ts';
import { showTls } from './tls.ts';
import { UntakenAnswers } from './untaken_answers.ts';

/** What the gRPC door needs beside what every door needs. */
export interface GrpcDoorOptions extends DoorOptions {
  /** Whether server reflection (grpc.reflection.v1 and v1alpha) is served. */
  readonly reflection: boolean;
}

/** Opens the gRPC door. Rejects when the address cannot be listened on. */
export async function createGrpcDoor(options: GrpcDoorOptions): Promise<Door> {
  const { limits, clients, log } = options;
  tameLibraryLogger(log);
  const guard = new ConnectionGuard(limits, clients);
  const server = new Server({
    'grpc.max_receive_message_length': limits.maxMessageBytes,
    'grpc.max_send_message_length': limits.maxMessageBytes,
    'grpc.max_concurrent_streams': limits.maxStreamsPerConnection,
    'grpc-node.max_session_memory': limits.maxConnectionMemoryMb,
    'grpc.enable_channelz': 0,
    'grpc.keepalive_time_ms': limits.keepaliveMs,
    'grpc.keepalive_timeout_ms': limits.keepaliveTimeoutMs,
    'grpc.max_connection_idle_ms': limits.maxIdleMs,
    'grpc.max_connection_age_ms': limits.maxAgeMs,
    'grpc.max_connection_age_grace_ms': limits.maxAgeGraceMs,
    interceptors: [typedStatuses, peersOf(guard)],
  });

  const intake = new ConnectionIntake(guard, clients, log);
  const streams = new OpenStreams();
  const rpcs = [...options.rpcs, ...healthRpcs(options.rpcs, options.readiness, limits.maxConnections)];
  for (const rpc of rpcs) {
    server.register(
      rpc.path,
      rpc.kind === 'unary' ? serveUnary(rpc, clients, log) : serveStream(rpc, streams, clients, log),
      serializer(rpc.method.output),
      (bytes: Buffer) => bytes,
      rpc.kind === 'unary' ? 'unary' : 'serverStream',
    );
  }
  const reflected = options.reflection ? addReflection(server, rpcs, streams) : [];

  const injector = server.createConnectionInjector(
    options.tls === undefined
      ? ServerCredentials.createInsecure()
      : ServerCredentials.createSsl(null, [
          { cert_chain: options.tls.certificateChain, private_key: options.tls.privateKey },
        ]),
  );
  const bodies = new BodyBudget(limits.maxBodyBytes);
  const answers = new UntakenAnswers(guard, limits.maxUntakenBytes);
  const inner = http2ServerOf(server);
  const endStreamGuard = guardStreams(inner, {
    guard,
    bodies,
    answers,
    bodyTimeoutMs: limits.bodyTimeoutMs,
    putRight: headerRules(rpcs, reflected, limits),
  });

  const listener = createServer({ noDelay: true }, (socket: Socket) =>
    intake.take(socket, () => injector.injectConnection(socket)),
  );
  listener.listen({ host: options.host, port: options.port });
  await once(listener, 'listening');
  const { address: host, port } = listener.address() as AddressInfo;

  return {
    address: { host, port },
    load: () => ({ connections: guard.size, bodyBytes: bodies.heldBytes, refusedHeaders: intake.refused }),
    renewTls: (identity) => showTls(inner, identity),
    async stop(deadlineMs) {
      listener.close();
      streams.abortAll();
      // GOAWAY to every connection: no new calls, and each closes after its last one.
      injector.destroy();
      guard.destroySilent();
      const cut = setTimeout(() => guard.destroyAll(), deadlineMs);
      await guard.empty();
      clearTimeout(cut);
      endStreamGuard();
      answers.end();
      server.forceShutdown();
    },
  };
}

/**
 * Has a call's peer be the address of whose connection it is, without port. The library would name it by one end of the
 * connection, of which there may be several.
 */
const peersOf =
  (guard: ConnectionGuard): ServerInterceptor =>
  (_method, call) => {
    call.getPeer = () => guard.clientAddressOf(call.getConnectionInfo());
    return call as ServerInterceptingCall;
  };

/** Whose a call is: the peer, or behind a trusted proxy whom its metadata names. */
function clientOf(clients: ClientAddresses, peer: string, metadata: Metadata): string {
  return clients.clientOf(peer, (name) => metadata.get(name).join(',') || undefined);
}

/** A call as the pipeline sees it. Built for every call, so id and signal, which few need, are made when asked for. */
class GrpcCallContext implements CallContext {
  #requestId: string | undefined;
  readonly #clients: ClientAddresses;
  readonly #call: ServerUnaryCall<Buffer, Message>;
  #controller: AbortController | undefined;

  constructor(call: ServerUnaryCall<Buffer, Message>, clients: ClientAddresses) {
    this.#call = call;
    this.#clients = clients;
  }

  get clientAddress(): string {
    return clientOf(this.#clients, this.#call.getPeer(), this.#call.metadata);
  }

  get protocol(): 'grpc' {
    return 'grpc';
  }

  get traceparent(): string | undefined {
    return traceparentOf(this.#call.metadata);
  }

  get requestId(): string {
    this.#requestId ??= randomUUID();
    return this.#requestId;
  }

  get signal(): AbortSignal {
    if (this.#controller === undefined) {
      const controller = new AbortController();
      this.#controller = controller;
      if (this.#call.cancelled) controller.abort();
      else this.#call.once('cancelled', () => controller.abort());
    }
    return this.#controller.signal;
  }
}

/** Undefined, too, where there are several. */
function traceparentOf(metadata: Metadata): string | undefined {
  const [value, ...others] = metadata.get('traceparent');
  return typeof value === 'string' && others.length === 0 ? value : undefined;
}

function serveUnary(rpc: UnaryRpc, clients: ClientAddresses, log: Logger): handleUnaryCall<Buffer, Message> {
  const { input } = rpc.method;
  return (call, callback) => {
    if (call.request.length > (rpc.maxRequestBytes ?? Number.POSITIVE_INFINITY)) {
      callback(errorResponse(tooManyRequests().inClear()));
      return;
    }
    let request: Message;
    try {
      request = fromBinary(input, call.request, READ_OPTIONS);
    } catch {
      callback(errorResponse(incorrectParameters().inClear()));
      return;
    }
    rpc
      .call(request, new GrpcCallContext(call, clients))
      .then(
        (response) => callback(null, response),
        (error: unknown) => callback(errorResponse(asRpcError(error, rpc, log))),
      )
      .catch((error: unknown) => log.error({ err: error, rpc: rpc.path }, 'an answer could not be sent'));
  };
}

function serveStream(
  rpc: StreamingRpc,
  streams: OpenStreams,
  clients: ClientAddresses,
  log: Logger,
): handleServerStreamingCall<Buffer, Message> {
  const { input } = rpc.method;

  async function send(
    call: ServerWritableStream<Buffer, Message>,
    controller: AbortController,
  ): Promise<void> {
    let request: Message;
    try {
      request = fromBinary(input, call.request, READ_OPTIONS);
    } catch {
      throw incorrectParameters().inClear();
    }
    const { signal } = controller;
    const context = {
      requestId: randomUUID(),
      clientAddress: clientOf(clients, call.getPeer(), call.metadata),
      signal,
      protocol: 'grpc',
      traceparent: traceparentOf(call.metadata),
    } as const;
    for await (const message of rpc.call(request, context)) {
      if (call.cancelled) return;
      if (!call.write(message)) await drained(call);
    }
    if (signal.aborted) throw temporaryOutage().inClear();
  }

  return (call) => {
    const controller = streams.open();
    call.once('cancelled', () => controller.abort());
    send(call, controller)
      .then(
        () => call.end(),
        (error: unknown) => {
          // The library turns an emitted error into the call's status.
          if (!call.cancelled) call.emit('error', errorResponse(asRpcError(error, rpc, log)));
        },
      )
      .catch((error: unknown) => log.error({ err: error, rpc: rpc.path }, 'a stream could not be ended'))
      .finally(() => streams.close(controller));
  };
}

function serializer(output: DescMessage): (message: Message) => Buffer {
  return (message) => {
    const bytes = toBinary(output, message);
    return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  };
}

/** The pipeline throws nothing else, but a door that trusts it would leave calls without an answer. */
function asRpcError(error: unknown, rpc: Rpc, log: Logger): RpcError {
  if (error instanceof RpcError) return error;
  log.error({ err: error, rpc: rpc.path }, 'a handler threw something that is not an RpcError');
  return unexpectedError(error).inClear();
}

/**
 * Puts right what grpc-js would trip over or repeat to the caller:
 * - a compressed request is declared to be of an unknown encoding, which grpc-js answers with UNIMPLEMENTED. It would
 *   otherwise inflate anything for anybody, and no option turns that off;
 * - deadlines are capped;
 * - an unknown path loses its text, which grpc-js would send back, and a path of anything but a POST is none.
 */
function headerRules(
  rpcs: readonly Rpc[],
  reflected: readonly string[],
  limits: DoorLimits,
): (headers: IncomingHttpHeaders) => void {
  const capMs = new Map<string, number>();
  for (const path of reflected) capMs.set(path, limits.maxStreamDeadlineMs);
  for (const { path, kind } of rpcs) {
    capMs.set(path, kind === 'unary' ? limits.maxUnaryDeadlineMs : limits.maxStreamDeadlineMs);
  }
  return (headers) => {
    const cap = capMs.get(headers[':path'] ?? '');
    if (cap === undefined || headers[':method'] !== 'POST') headers[':path'] = '/';
    const encoding = headers['grpc-encoding'];
    if (encoding !== undefined && encoding !== 'identity') headers['grpc-encoding'] = 'unsupported';
    const timeout = headers['grpc-timeout'];
    if (timeout !== undefined) {
      headers['grpc-timeout'] =
        capGrpcTimeout(String(timeout), cap ?? limits.maxUnaryDeadlineMs) ?? 'malformed';
    }
  };
}

/**
 * The HTTP/2 server inside a grpc-js server. It is a private field; without it compressed requests could not be refused,
 * so a door that cannot find it does not open.
 */
function http2ServerOf(server: Server): Http2Server | Http2SecureServer {
  const { http2Servers } = server as unknown as {
    http2Servers?: Map<Http2Server | Http2SecureServer, unknown>;
  };
  const [inner, ...others] = http2Servers?.keys() ?? [];
  if (inner === undefined || others.length > 0 || inner.listenerCount('stream') !== 1) {
    throw new Error('this version of @grpc/grpc-js hides its HTTP/2 server; requests could not be guarded');
  }
  return inner;
}

/** grpc-js logs to the console, with text that callers chose. Process-wide, as the library has it. */
function tameLibraryLogger(log: Logger): void {
  const note = () => log.debug('grpc-js reported a problem with a connection or a header');
  setLogger({ error: note, info: note, debug: note });
}
