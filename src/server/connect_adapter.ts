/**
 * Serves RPCs in the protocols Connect, gRPC-Web and gRPC to requests of node:http and node:http2, through connect-es'
 * universal handlers. Its own Node adapter is not used: it parses the Host header where nobody catches, reads bodies in a
 * way that cuts the connection of whoever sends too much, and writes to the console.
 *
 * The handlers get a body that was read within bounds (connect_request.ts), and their answer is written out as the peer takes
 * it (connect_response.ts). What they refuse before the RPC is reached has no typed detail; such a request is put to them once more with an empty body
 * and the refusal that the RPC is to throw, so that each protocol encodes it in its own way.
 */
import { randomUUID } from 'node:crypto';
import type { Message } from '@bufbuild/protobuf';
import {
  Code,
  ConnectError,
  createConnectRouter,
  createContextKey,
  createContextValues,
  type HandlerContext,
} from '@connectrpc/connect';
import type { UniversalHandler } from '@connectrpc/connect/protocol';
import {
  bodyLimit,
  ENVELOPE_BYTES,
  emptyBody,
  handlerHeaders,
  jsonLimit,
  readBody,
} from './connect_request.ts';
import { writeAnswer } from './connect_response.ts';
import type { DoorLimits } from './door.ts';
import {
  incorrectParameters,
  RpcError,
  temporaryOutage,
  tooManyRequests,
  unexpectedError,
} from './errors.ts';
import { MAX_STATUS_BYTES, statusBytes } from './grpc_status.ts';
import type { HttpRequest, HttpResponse } from './http_messages.ts';
import type { Logger } from './log.ts';
import { type CallContext, READ_OPTIONS, type Rpc, type StreamingRpc, type UnaryRpc } from './rpc.ts';

/** Serves one request to an RPC path. Never rejects. */
export type RpcHandler = (request: HttpRequest, response: HttpResponse, caller: Caller) => Promise<void>;

/** What the door adds to a request. */
export interface Caller {
  /** The client's address without port: the peer's, or whom a trusted proxy names. */
  readonly clientAddress: string;
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
  readonly clientAddress: string;
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
        clientAddress: caller.clientAddress,
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
    await writeAnswer(answer, response, caller.headers, rpc.kind === 'unary');
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
  const { requestId, clientAddress, traceparent } = call;
  return { requestId, clientAddress, traceparent, protocol: context.protocolName as CallContext['protocol'] };
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

async function* once(content: Uint8Array): AsyncGenerator<Uint8Array> {
  if (content.length > 0) yield content;
}
