/**
 * Serves RPCs in the protocols Connect, gRPC-Web and gRPC to requests of node:http and node:http2, through connect-es'
 * universal handlers. Its own Node adapter is not used: it parses the Host header where nobody catches, reads bodies in a
 * way that cuts the connection of whoever sends too much, and writes to the console.
 *
 * The body is read here, within bounds, and the handlers get what they need of the headers and no more, put right. What
 * they refuse before the RPC is reached has no typed detail; such a request is put to them once more with an empty body
 * and the refusal that the RPC is to throw, so that each protocol encodes it in its own way.
 */
import { randomUUID } from 'node:crypto';
import type { IncomingHttpHeaders, IncomingMessage, ServerResponse } from 'node:http';
import type { Http2ServerRequest, Http2ServerResponse } from 'node:http2';
import type { Message } from '@bufbuild/protobuf';
import {
  Code,
  ConnectError,
  createConnectRouter,
  createContextKey,
  createContextValues,
  type HandlerContext,
} from '@connectrpc/connect';
import type { UniversalHandler, UniversalServerResponse } from '@connectrpc/connect/protocol';
import { capConnectTimeout, capGrpcTimeout } from './deadline.ts';
import type { DoorLimits } from './door.ts';
import { drained } from './drained.ts';
import {
  incorrectParameters,
  RpcError,
  temporaryOutage,
  tooManyRequests,
  unexpectedError,
} from './errors.ts';
import { MAX_STATUS_BYTES, statusBytes } from './grpc_status.ts';
import type { Logger } from './log.ts';
import { type CallContext, READ_OPTIONS, type Rpc, type StreamingRpc, type UnaryRpc } from './rpc.ts';

/** A request of either version of HTTP. */
export type HttpRequest = IncomingMessage | Http2ServerRequest;
/** A response of either version of HTTP. */
export type HttpResponse = ServerResponse | Http2ServerResponse;

/** Serves one request to an RPC path. Never rejects. */
export type RpcHandler = (request: HttpRequest, response: HttpResponse, caller: Caller) => Promise<void>;

/** What the door adds to a request. */
export interface Caller {
  /** The peer's address without port. */
  readonly peerAddress: string;
  /** Headers for the answer, CORS for one. */
  readonly headers: Readonly<Record<string, string>>;
}

/** What the adapter needs. */
export interface AdapterParts {
  readonly limits: DoorLimits;
  /** Aborted when the server stops: streams end with a status. */
  readonly stopping: AbortSignal;
  readonly log: Logger;
}

/** One call on its way through the universal handlers. */
interface Call {
  readonly requestId: string;
  readonly peerAddress: string;
  readonly traceparent: string | undefined;
  /** Thrown in place of calling the RPC. */
  readonly refusal: RpcError | undefined;
  /** The RPC, or the place where its refusal is thrown, was reached. */
  reached: boolean;
}

const callKey = createContextKey<Call | undefined>(undefined);

/** A handler for each path. */
export function connectHandlers(rpcs: readonly Rpc[], parts: AdapterParts): Map<string, RpcHandler> {
  const { limits, stopping, log } = parts;
  // Bodies are measured here, before they get there; the router's own limit is the second line.
  const most = jsonLimit(limits.maxMessageBytes);
  const options = {
    readMaxBytes: most + ENVELOPE_BYTES,
    writeMaxBytes: most,
    requireConnectProtocolHeader: false,
    binaryOptions: READ_OPTIONS,
  };
  return new Map(
    rpcs.map((rpc) => {
      const maxTimeoutMs = rpc.kind === 'unary' ? limits.maxUnaryDeadlineMs : limits.maxStreamDeadlineMs;
      const router = createConnectRouter({ ...options, maxTimeoutMs });
      if (rpc.kind === 'unary') router.rpc(rpc.method, unaryImplementation(rpc, log));
      else router.rpc(rpc.method, streamImplementation(rpc, stopping, log));
      const [handler] = router.handlers;
      return [rpc.path, adapt(rpc, handler!, maxTimeoutMs, parts)];
    }),
  );
}

function adapt(rpc: Rpc, handler: UniversalHandler, maxTimeoutMs: number, parts: AdapterParts): RpcHandler {
  const { limits, log } = parts;
  const ofRpc = rpc.kind === 'unary' ? rpc.maxRequestBytes : undefined;
  const maxRequestBytes = Math.min(ofRpc ?? limits.maxMessageBytes, limits.maxMessageBytes);

  async function serve(request: HttpRequest, response: HttpResponse, caller: Caller): Promise<void> {
    const contentType = request.headers['content-type'] ?? '';
    const header = handlerHeaders(request.headers, contentType, maxTimeoutMs);
    const { traceparent } = request.headers;
    const body = await readBody(request, bodyLimit(contentType, maxRequestBytes));
    if (body === 'cut') return;

    const abort = new AbortController();
    response.once('close', () => abort.abort());

    const ask = async (content: Uint8Array, refusal: RpcError | undefined) => {
      const call: Call = {
        requestId: randomUUID(),
        peerAddress: caller.peerAddress,
        traceparent: typeof traceparent === 'string' ? traceparent : undefined,
        refusal,
        reached: false,
      };
      const answer = await handler({
        httpVersion: request.httpVersion,
        method: 'POST',
        // The handlers parse it as a URL; nothing of what the caller named as host is of interest.
        url: `http://localhost${rpc.path}`,
        header: header ?? new Headers({ 'content-type': contentType }),
        body: once(content),
        signal: abort.signal,
        contextValues: createContextValues().set(callKey, call),
      });
      return { answer, reached: call.reached };
    };

    let refusal: RpcError | undefined;
    if (body === 'too large') refusal = tooManyRequests().inClear();
    else if (header === undefined) refusal = incorrectParameters().inClear();
    let { answer, reached } = await ask(
      refusal === undefined ? (body as Uint8Array) : emptyBody(contentType),
      refusal,
    );
    if (!reached) ({ answer } = await ask(emptyBody(contentType), incorrectParameters().inClear()));
    await write(answer, response, caller.headers, rpc.kind === 'unary');
  }

  return async (request, response, caller) => {
    try {
      await serve(request, response, caller);
    } catch (error) {
      log.error({ err: error, rpc: rpc.path }, 'a request could not be answered');
      response.destroy();
    }
  };
}

// ---- The RPC as the universal handlers call it ----

function unaryImplementation(rpc: UnaryRpc, log: Logger) {
  return async (request: Message, context: HandlerContext): Promise<Message> => {
    const call = reach(context);
    try {
      return await rpc.call(request, { ...call, signal: context.signal });
    } catch (error) {
      throw toConnectError(error, rpc, context, log);
    }
  };
}

function streamImplementation(rpc: StreamingRpc, stopping: AbortSignal, log: Logger) {
  return async function* (request: Message, context: HandlerContext): AsyncGenerator<Message> {
    const call = reach(context);
    const controller = new AbortController();
    const abort = () => controller.abort();
    for (const signal of [context.signal, stopping]) {
      if (signal.aborted) abort();
      signal.addEventListener('abort', abort);
    }
    try {
      yield* rpc.call(request, { ...call, signal: controller.signal });
      if (controller.signal.aborted) throw temporaryOutage().inClear();
    } catch (error) {
      // The deadline's own status says more than an outage would.
      if (isDeadline(context.signal.reason)) throw context.signal.reason;
      throw toConnectError(error, rpc, context, log);
    } finally {
      stopping.removeEventListener('abort', abort);
    }
  };
}

/** Marks the call as having got here, and throws its refusal if it has one. */
function reach(context: HandlerContext): Omit<CallContext, 'signal'> {
  const call = context.values.get(callKey)!;
  call.reached = true;
  if (call.refusal !== undefined) throw connectError(call.refusal, context);
  const { requestId, peerAddress, traceparent } = call;
  return { requestId, peerAddress, traceparent, protocol: context.protocolName as CallContext['protocol'] };
}

function isDeadline(reason: unknown): reason is ConnectError {
  return reason instanceof ConnectError && reason.code === Code.DeadlineExceeded;
}

function toConnectError(error: unknown, rpc: Rpc, context: HandlerContext, log: Logger): ConnectError {
  if (error instanceof RpcError) return connectError(error, context);
  log.error({ err: error, rpc: rpc.path }, 'a handler threw something that is not an RpcError');
  return connectError(unexpectedError(error).inClear(), context);
}

function connectError(error: RpcError, { protocolName }: HandlerContext): ConnectError {
  const { status, message, detailSchema, detail } = error;
  // gRPC alone has its details in trailers; the others have them in the body.
  if (protocolName === 'grpc' && statusBytes(error).length > MAX_STATUS_BYTES)
    return new ConnectError(message, status);
  return new ConnectError(message, status, undefined, [{ desc: detailSchema, value: detail }]);
}

// ---- The request ----

/** The prefix of a message in gRPC, gRPC-Web and streaming Connect: a byte of flags and a length in four. */
const ENVELOPE_BYTES = 5;

function isEnveloped(contentType: string): boolean {
  return /^application\/(?:grpc|connect\+)/i.test(contentType);
}

function isJson(contentType: string): boolean {
  return /json/i.test(contentType);
}

/** JSON writes bytes in base64, 4 characters for 3 bytes, plus names and punctuation. */
function jsonLimit(maxMessageBytes: number): number {
  return Math.ceil(maxMessageBytes / 3) * 4 + 64 * 1024;
}

function bodyLimit(contentType: string, maxMessageBytes: number): number {
  const message = isJson(contentType) ? jsonLimit(maxMessageBytes) : maxMessageBytes;
  return isEnveloped(contentType) ? message + ENVELOPE_BYTES : message;
}

/** A body that holds the empty message. */
function emptyBody(contentType: string): Uint8Array {
  const message = isJson(contentType) ? Buffer.from('{}') : Buffer.alloc(0);
  if (!isEnveloped(contentType)) return message;
  const prefix = Buffer.alloc(ENVELOPE_BYTES);
  prefix.writeUInt32BE(message.length, 1);
  return Buffer.concat([prefix, message]);
}

/**
 * The headers that the universal handlers go by: content type, encoding and deadline. An encoding other than identity is
 * named `unsupported`, for the refusal repeats it; a deadline is capped. Undefined when the deadline cannot be read.
 */
function handlerHeaders(
  headers: IncomingHttpHeaders,
  contentType: string,
  capMs: number,
): Headers | undefined {
  const kept = new Headers({ 'content-type': contentType });
  for (const name of [
    'content-encoding',
    'connect-content-encoding',
    'grpc-encoding',
    'connect-protocol-version',
  ]) {
    const value = headers[name];
    if (value === undefined) continue;
    kept.set(name, value === 'identity' || value === '1' ? value : 'unsupported');
  }
  const grpc = headers['grpc-timeout'];
  if (grpc !== undefined) {
    const capped = capGrpcTimeout(String(grpc), capMs);
    if (capped === undefined) return undefined;
    kept.set('grpc-timeout', capped);
  }
  const connect = headers['connect-timeout-ms'];
  if (connect !== undefined) {
    const capped = capConnectTimeout(String(connect), capMs);
    if (capped === undefined) return undefined;
    kept.set('connect-timeout-ms', capped);
  }
  return kept;
}

/**
 * The whole body; `too large` as soon as it is known to be, while the rest is still let in and thrown away, because a
 * connection closed with bytes unread loses the answer (RFC 9112 §9.6); `cut` when the peer went away. How long it may
 * take is the listener's to bound.
 */
function readBody(request: HttpRequest, limit: number): Promise<Uint8Array | 'too large' | 'cut'> {
  if (Number(request.headers['content-length'] ?? 0) > limit) {
    request.resume();
    return Promise.resolve('too large');
  }
  return new Promise((resolve) => {
    const chunks: Buffer[] = [];
    let length = 0;
    const take = (chunk: Buffer) => {
      length += chunk.length;
      if (length > limit) {
        // Without a listener for its data the stream flows on and forgets.
        request.off('data', take);
        request.resume();
        resolve('too large');
        return;
      }
      chunks.push(chunk);
    };
    request.on('data', take);
    request.once('end', () => resolve(chunks.length === 1 ? chunks[0]! : Buffer.concat(chunks, length)));
    request.once('error', () => resolve('cut'));
    request.once('close', () => resolve('cut'));
  });
}

async function* once(content: Uint8Array): AsyncGenerator<Uint8Array> {
  if (content.length > 0) yield content;
}

// ---- The response ----

/**
 * Writes an answer. A unary one goes out in one piece; a stream as it comes, no faster than the peer takes it. The
 * headers are sent after the first part of the body, when the handler has settled them.
 */
async function write(
  answer: UniversalServerResponse,
  response: HttpResponse,
  extra: Readonly<Record<string, string>>,
  whole: boolean,
): Promise<void> {
  const parts = answer.body?.[Symbol.asyncIterator]();
  try {
    if (parts === undefined || whole) {
      const chunks: Uint8Array[] = [];
      if (parts !== undefined) {
        for (let part = await parts.next(); part.done !== true; part = await parts.next())
          chunks.push(part.value);
      }
      if (response.destroyed) return;
      writeHead(response, answer, extra);
      addTrailers(response, answer);
      (response as ServerResponse).end(chunks.length === 1 ? chunks[0] : Buffer.concat(chunks));
      return;
    }
    let part = await parts.next();
    if (response.destroyed) return;
    writeHead(response, answer, extra);
    for (; part.done !== true; part = await parts.next()) {
      if (response.destroyed) return;
      if (!writePart(response, part.value)) await drained(response);
    }
    if (response.destroyed) return;
    addTrailers(response, answer);
    response.end();
  } finally {
    // Ends the RPC when the peer has gone before the last part.
    await parts?.return?.();
  }
}

function writeHead(
  response: HttpResponse,
  answer: UniversalServerResponse,
  extra: Readonly<Record<string, string>>,
): void {
  // The two classes overload writeHead differently; what is passed suits both.
  (response as ServerResponse).writeHead(answer.status, {
    ...extra,
    ...Object.fromEntries(answer.header ?? []),
  });
}

function writePart(response: HttpResponse, part: Uint8Array): boolean {
  return (response as ServerResponse).write(part);
}

function addTrailers(response: HttpResponse, { trailer }: UniversalServerResponse): void {
  if (trailer !== undefined) response.addTrailers(Object.fromEntries(trailer));
}
