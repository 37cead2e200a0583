/**
 * The HTTP door: Connect, gRPC-Web and gRPC over HTTP/1.1 in clear, over HTTP/1.1 and HTTP/2 under TLS, with /healthz and
 * /readyz beside them.
 */
import { once } from 'node:events';
import { createServer, type Server } from 'node:http';
import { createSecureServer, type Http2SecureServer } from 'node:http2';
import type { AddressInfo } from 'node:net';
import { BodyBudget } from './body_budget.ts';
import { connectHandlers } from './connect_adapter.ts';
import { ConnectionGuard } from './connection_guard.ts';
import { ConnectionIntake } from './connection_intake.ts';
import { createCors } from './cors.ts';
import type { Door, DoorLimits, DoorOptions } from './door.ts';
import { healthRpcs } from './health.ts';
import type { HttpRequest, HttpResponse } from './http_messages.ts';
import type { Readiness } from './readiness.ts';
import { guardStreams, type StreamRules } from './stream_guard.ts';
import { showTls, type TlsIdentity } from './tls.ts';
import { UntakenAnswers } from './untaken_answers.ts';

/** What the HTTP door needs beside what every door needs. */
export interface HttpDoorOptions extends DoorOptions {
  /** Origins whose pages may call, `https://vault.example.org`; none by default. */
  readonly corsOrigins: readonly string[];
}

/** Opens the HTTP door. Rejects when the address cannot be listened on. */
export async function createHttpDoor(options: HttpDoorOptions): Promise<Door> {
  const { limits, clients, log, tls } = options;
  const guard = new ConnectionGuard(limits, clients);
  const intake = new ConnectionIntake(guard, clients, log);
  const bodies = new BodyBudget(limits.maxBodyBytes);
  const answers = new UntakenAnswers(guard, limits.maxUntakenBytes);
  const watched = { guard, bodies, answers };
  const stopping = new AbortController();
  const handlers = connectHandlers(
    [...options.rpcs, ...healthRpcs(options.rpcs, options.readiness, limits.maxConnections)],
    {
      limits,
      stopping: stopping.signal,
      log,
    },
  );
  const probes = probeAnswers(options.readiness);
  const cors = createCors(options.corsOrigins);

  function serve(request: HttpRequest, response: HttpResponse): void {
    const path = request.url?.split('?', 1)[0] ?? '';
    const probe = probes.get(path);
    if (probe !== undefined) {
      if (request.method === 'GET' || request.method === 'HEAD') probe(response, request.method === 'HEAD');
      else refuse(request, response, 405, { allow: 'GET, HEAD' });
      return;
    }
    // RFC 9112 §3.2: a request without a valid Host is answered with 400. Probes do without one.
    if (!hasValidHost(request)) {
      refuse(request, response, 400);
      return;
    }
    const handler = handlers.get(path);
    const headers = cors.responseHeaders(request.headers);
    if (handler === undefined) {
      refuse(request, response, 404, headers);
    } else if (request.method === 'OPTIONS') {
      const preflight = cors.preflightHeaders(request.headers);
      if (preflight === undefined) refuse(request, response, 403, headers);
      else refuse(request, response, 204, preflight);
    } else if (request.method !== 'POST') {
      // Not even an RPC without side effects: an answer to a GET is kept in caches and its request in histories.
      refuse(request, response, 405, { ...headers, allow: 'POST' });
    } else {
      void handler(request, response, { clientAddress: clientOf(request), headers });
    }
  }

  function clientOf(request: HttpRequest): string {
    return clients.clientOf(guard.clientAddressOf(request.socket), (name) => {
      const value = request.headers[name];
      return Array.isArray(value) ? value.join(',') : value;
    });
  }

  function onRequest(request: HttpRequest, response: HttpResponse): void {
    // A peer that goes away in the middle is no news; its call sees the response close.
    request.on('error', () => {});
    response.on('error', () => {});
    try {
      serve(request, response);
    } catch (error) {
      log.error({ err: error }, 'a request could not be routed');
      response.destroy();
    }
  }

  const { server, endGuards } = tls === undefined ? inClear(limits, watched) : underTls(tls, limits, watched);
  intake.standBefore(server);
  server.on('request', onRequest);
  server.listen({ host: options.host, port: options.port });
  await once(server, 'listening');
  const { address: host, port } = server.address() as AddressInfo;

  return {
    address: { host, port },
    load: () => ({ connections: guard.size, bodyBytes: bodies.heldBytes, refusedHeaders: intake.refused }),
    renewTls: (identity) => showTls(server, identity),
    async stop(deadlineMs) {
      // Sends GOAWAY on HTTP/2 as well.
      server.close();
      stopping.abort();
      guard.destroySilent();
      // Connections kept alive fall idle one by one, as their last answers go out.
      const repeat = setInterval(() => guard.destroyIdle(), 50);
      const cut = setTimeout(() => guard.destroyAll(), deadlineMs);
      await guard.empty();
      clearInterval(repeat);
      clearTimeout(cut);
      endGuards();
      answers.end();
    },
  };
}

/** What every request of the door is watched by. */
type Watched = Pick<StreamRules, 'guard' | 'bodies' | 'answers'>;

/** A listener, and what ends the timers that watch it. */
interface Listener {
  readonly server: Server | Http2SecureServer;
  endGuards(): void;
}

function inClear(limits: DoorLimits, watched: Watched): Listener {
  const server = createServer(http1Options(limits));
  server.on('request', (request, response) => count(watched, request, response));
  return { server, endGuards: () => {} };
}

function underTls(tls: TlsIdentity, limits: DoorLimits, watched: Watched): Listener {
  const server = createSecureServer({
    ...http1Options(limits),
    allowHTTP1: true,
    cert: tls.certificateChain,
    key: tls.privateKey,
    settings: { maxConcurrentStreams: limits.maxStreamsPerConnection },
    maxSessionMemory: limits.maxConnectionMemoryMb,
  });
  // HTTP/2 requests are counted as streams; these are the HTTP/1.1 ones.
  server.on('request', (request, response) => {
    if (request.httpVersionMajor === 1) count(watched, request, response);
  });
  server.on('session', (session) => session.setTimeout(limits.maxIdleMs, () => session.close()));
  return { server, endGuards: guardStreams(server, { ...watched, bodyTimeoutMs: limits.bodyTimeoutMs }) };
}

/** Has the guard count an HTTP/1.1 request as in flight until its response is closed, and its body until then. */
function count({ guard, bodies, answers }: Watched, request: HttpRequest, response: HttpResponse): void {
  const connection = guard.find(request.socket);
  const arrived = connection === undefined ? undefined : guard.begin(connection);
  const taken = connection === undefined ? undefined : answers.watch(response, connection);
  const free = bodies.watch(request, () => request.socket.destroy());
  request.once('end', () => arrived?.());
  response.once('close', () => {
    free();
    taken?.();
    arrived?.();
    if (connection !== undefined) guard.end(connection);
  });
}

function http1Options(limits: DoorLimits) {
  return {
    requestTimeout: limits.bodyTimeoutMs,
    // Above the 60 s after which common proxies drop idle connections, so that they do it and no request crosses it.
    keepAliveTimeout: 65_000,
    connectionsCheckingInterval: 1000,
    // An HTTP/1.0 or 1.1 request without Host is answered by the door, which lets probes pass.
    requireHostHeader: false,
    noDelay: true,
  };
}

/** Whether the request names a host that a URL could have. */
function hasValidHost(request: HttpRequest): boolean {
  const host = 'authority' in request ? request.authority : request.headers.host;
  return host !== undefined && host !== '' && !/[/?#@\\]/.test(host) && URL.canParse(`http://${host}`);
}

/** Answers without a body, and lets what is left of the request's run out. */
function refuse(
  request: HttpRequest,
  response: HttpResponse,
  status: number,
  headers: Readonly<Record<string, string>> = {},
): void {
  request.resume();
  for (const [name, value] of Object.entries(headers)) response.setHeader(name, value);
  if (status !== 204) response.setHeader('content-length', '0');
  response.statusCode = status;
  response.end();
}

/** /healthz: the process lives. /readyz: it serves. */
function probeAnswers(
  readiness: Readiness,
): Map<string, (response: HttpResponse, headOnly: boolean) => void> {
  const answer = (response: HttpResponse, headOnly: boolean, status: number, body: object) => {
    response.statusCode = status;
    response.setHeader('content-type', 'application/json');
    response.setHeader('cache-control', 'no-store');
    const text = JSON.stringify(body);
    response.setHeader('content-length', String(text.length));
    response.end(headOnly ? '' : text);
  };
  return new Map([
    ['/healthz', (response, headOnly) => answer(response, headOnly, 200, { status: 'alive' })],
    [
      '/readyz',
      (response, headOnly) => {
        const ready = readiness.isServing();
        const warning = readiness.warning();
        answer(response, headOnly, ready ? 200 : 503, {
          status: ready ? 'ready' : 'not ready',
          ...(warning === undefined ? {} : { warning }),
          ...readiness.details(),
        });
      },
    ],
  ]);
}
