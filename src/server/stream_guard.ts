/**
 * What every HTTP/2 stream of a door passes before anybody answers it: its connection is marked as at work, its headers
 * are put right, its body and its answer are counted, and it is closed when its request does not arrive whole in time.
 */
import {
  constants,
  type Http2SecureServer,
  type Http2Server,
  type Http2Session,
  type IncomingHttpHeaders,
  type ServerHttp2Session,
  type ServerHttp2Stream,
} from 'node:http2';
import type { BodyBudget } from './body_budget.ts';
import type { Connection, ConnectionGuard } from './connection_guard.ts';
import type { UntakenAnswers } from './untaken_answers.ts';

/** What a door lets its streams be. */
export interface StreamRules {
  readonly guard: ConnectionGuard;
  readonly bodies: BodyBudget;
  readonly answers: UntakenAnswers;
  /** How long a request may take to arrive whole, in milliseconds. */
  readonly bodyTimeoutMs: number;
  /** Changes the headers in place before anybody else reads them. */
  readonly putRight?: (headers: IncomingHttpHeaders) => void;
}

/**
 * How long a peer may go on sending a request that is answered already, in milliseconds. Resetting the stream at once
 * would be allowed (RFC 9113 §8.1), but clients that are still writing then lose the answer.
 */
const LINGER_MS = 2000;

/** Puts the rules before all other listeners of the server. Returns what ends the watching. */
export function guardStreams(server: Http2Server | Http2SecureServer, rules: StreamRules): () => void {
  const { guard, bodies, answers, bodyTimeoutMs, putRight } = rules;
  const connections = new WeakMap<Http2Session, Connection>();
  const arriving = new OverdueStreams(bodyTimeoutMs);
  const answered = new OverdueStreams(LINGER_MS);

  server.prependListener('session', (session: ServerHttp2Session) => {
    const connection = guard.find(session.socket);
    if (connection === undefined) return;
    connections.set(session, connection);
    // The peer's SETTINGS end its connection preface (RFC 9113 §3.4).
    session.once('remoteSettings', () => guard.greeted(connection));
  });

  server.prependListener('stream', (stream: ServerHttp2Stream, headers: IncomingHttpHeaders) => {
    putRight?.(headers);
    const connection = stream.session === undefined ? undefined : connections.get(stream.session);
    const arrived = connection === undefined ? undefined : guard.begin(connection);
    const taken = connection === undefined ? undefined : answers.watch(stream, connection);
    const free = bodies.watch(stream, () => stream.close(constants.NGHTTP2_ENHANCE_YOUR_CALM));
    // Each comes once; `once` would wrap every listener.
    if (arrived !== undefined) stream.on('end', arrived);
    arriving.add(stream);
    stream.on('finish', () => {
      if (!stream.readableEnded) answered.add(stream);
    });
    stream.on('close', () => {
      arriving.delete(stream);
      answered.delete(stream);
      free();
      taken?.();
      arrived?.();
      if (connection !== undefined) guard.end(connection);
    });
  });

  const sweep = setInterval(
    () => {
      // An answered stream stays half open until its request has ended, too (RFC 9113 §5.1).
      for (const stream of answered.take())
        if (!stream.readableEnded) stream.close(constants.NGHTTP2_NO_ERROR);
      for (const stream of arriving.take()) if (!stream.readableEnded) stream.close(constants.NGHTTP2_CANCEL);
    },
    Math.min(1000, bodyTimeoutMs / 2),
  );
  sweep.unref();
  return () => clearInterval(sweep);
}

/** Streams that have a while. */
class OverdueStreams {
  readonly #afterMs: number;
  /** With the time at which each was added; oldest first. */
  readonly #added = new Map<ServerHttp2Stream, number>();

  constructor(afterMs: number) {
    this.#afterMs = afterMs;
  }

  add(stream: ServerHttp2Stream): void {
    this.#added.set(stream, performance.now());
  }

  delete(stream: ServerHttp2Stream): void {
    this.#added.delete(stream);
  }

  /** Takes out those whose while is over. */
  *take(): Generator<ServerHttp2Stream> {
    const latest = performance.now() - this.#afterMs;
    for (const [stream, added] of this.#added) {
      if (added > latest) return;
      this.#added.delete(stream);
      yield stream;
    }
  }
}
