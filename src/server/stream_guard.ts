/**
 * What every HTTP/2 stream of a door passes before anybody answers it: its connection is marked as at work, its headers
 * are put right, and it is closed when its request does not arrive whole in time.
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
import type { Connection, ConnectionGuard } from './connection_guard.ts';

/** What a door lets its streams be. */
export interface StreamRules {
  readonly guard: ConnectionGuard;
  /** How long a request may take to arrive whole, in milliseconds. */
  readonly bodyTimeoutMs: number;
  /** Changes the headers in place before anybody else reads them. */
  readonly putRight?: (headers: IncomingHttpHeaders) => void;
}

/** Puts the rules before all other listeners of the server. Returns what ends the watching. */
export function guardStreams(server: Http2Server | Http2SecureServer, rules: StreamRules): () => void {
  const { guard, bodyTimeoutMs, putRight } = rules;
  const connections = new WeakMap<Http2Session, Connection>();
  /** Streams whose request may be incomplete, with the time each was opened; oldest first. */
  const open = new Map<ServerHttp2Stream, number>();

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
    if (connection !== undefined) guard.begin(connection);
    open.set(stream, performance.now());
    // Answered before it was read: asks the peer to stop sending, and the answer stands (RFC 9113 §8.1).
    stream.once('finish', () => {
      if (!stream.readableEnded) stream.close(constants.NGHTTP2_NO_ERROR);
    });
    stream.once('close', () => {
      open.delete(stream);
      if (connection !== undefined) guard.end(connection);
    });
  });

  const sweep = setInterval(
    () => {
      const oldest = performance.now() - bodyTimeoutMs;
      for (const [stream, opened] of open) {
        if (opened > oldest) break;
        open.delete(stream);
        // An answered stream stays half open until its request has ended, too (RFC 9113 §5.1).
        if (!stream.readableEnded) stream.close(constants.NGHTTP2_CANCEL);
      }
    },
    Math.min(1000, bodyTimeoutMs / 2),
  );
  sweep.unref();
  return () => clearInterval(sweep);
}
