/** What both doors have in common: how one is opened, what it may cost, and how it is closed. */
import type { ClientAddresses } from './client_address.ts';
import type { Logger } from './log.ts';
import type { Readiness } from './readiness.ts';
import type { Rpc } from './rpc.ts';
import type { TlsIdentity } from './tls.ts';

/** What a door holds at a moment, and has refused. */
export interface DoorLoad {
  readonly connections: number;
  /** Of request bodies. */
  readonly bodyBytes: number;
  /** Connections of trusted proxies, since it opened, that ended without a valid header of the PROXY protocol. */
  readonly refusedHeaders: number;
}

/** A listener that serves RPCs until it is stopped. */
export interface Door {
  /** Where it listens; the port is the real one when 0 was asked for. */
  readonly address: { readonly host: string; readonly port: number };
  load(): DoorLoad;
  /** Shows another certificate from the next handshake on. Throws what OpenSSL refuses; does nothing in clear. */
  renewTls(identity: TlsIdentity): void;
  /**
   * Takes no new calls, ends streams with a status, lets unary calls finish, and after `deadlineMs` milliseconds cuts
   * whatever is left. Resolves when no socket is open, a moment after the deadline at the latest. Never rejects.
   */
  stop(deadlineMs: number): Promise<void>;
}

/** An address as a URL has it: IPv6 in brackets (RFC 3986, section 3.2.2). */
export function authorityOf({ host, port }: Door['address']): string {
  return `${host.includes(':') ? `[${host}]` : host}:${port}`;
}

/** What a door needs to open. */
export interface DoorOptions {
  readonly rpcs: readonly Rpc[];
  readonly readiness: Readiness;
  readonly host: string;
  /** 0 takes a free port. */
  readonly port: number;
  /** Without it the door speaks in clear. */
  readonly tls?: TlsIdentity;
  readonly limits: DoorLimits;
  /** Whose call it is. */
  readonly clients: ClientAddresses;
  readonly log: Logger;
}

/** What one caller, or all of them, may use up. Times are milliseconds, sizes bytes. */
export interface DoorLimits {
  /** A message in its binary form; a JSON body may be a third larger, which is what base64 adds. */
  readonly maxMessageBytes: number;
  /** All request bodies that a door holds; above it the largest unfinished one is cut. */
  readonly maxBodyBytes: number;
  /** Answers that a door holds because their peers do not take them; above it the connection that holds the most is cut. */
  readonly maxUntakenBytes: number;
  /** Open connections of a door. At the cap the guard says which makes room. */
  readonly maxConnections: number;
  /** Open connections of a door from one network that is no trusted proxy's. */
  readonly maxConnectionsPerNetwork: number;
  /** How long a connection may take to become HTTP: PROXY header, TLS handshake and preface, or the head of a first request. */
  readonly greetingTimeoutMs: number;
  /** How long a request may take to arrive whole. */
  readonly bodyTimeoutMs: number;
  /** Requests in flight on one HTTP/2 connection. */
  readonly maxStreamsPerConnection: number;
  /**
   * Memory that one HTTP/2 connection may hold for headers and data in flight, in MB. More streams are refused with
   * ENHANCE_YOUR_CALM until it is less. Room for several full messages in each direction.
   */
  readonly maxConnectionMemoryMb: number;
  /** The longest deadline a unary call may ask for; more counts as this. */
  readonly maxUnaryDeadlineMs: number;
  /** The longest deadline a stream may ask for; more counts as this. */
  readonly maxStreamDeadlineMs: number;
  /** An HTTP/2 connection without a request in flight is closed after this. */
  readonly maxIdleMs: number;
  /** How old a connection of the gRPC door gets. Then it takes no new calls. */
  readonly maxAgeMs: number;
  /** How long the calls of a connection that got too old may take to end, streams among them. */
  readonly maxAgeGraceMs: number;
  /** How often the gRPC door asks whether a peer is still there. */
  readonly keepaliveMs: number;
  /** How long the peer may take to answer that. */
  readonly keepaliveTimeoutMs: number;
}

/** The defaults, per door. */
export const DEFAULT_DOOR_LIMITS: DoorLimits = {
  maxMessageBytes: 4 * 1024 * 1024,
  maxBodyBytes: 64 * 1024 * 1024,
  maxUntakenBytes: 256 * 1024 * 1024,
  maxConnections: 1024,
  maxConnectionsPerNetwork: 256,
  greetingTimeoutMs: 10_000,
  bodyTimeoutMs: 30_000,
  maxStreamsPerConnection: 100,
  maxConnectionMemoryMb: 32,
  maxUnaryDeadlineMs: 60_000,
  maxStreamDeadlineMs: 24 * 60 * 60 * 1000,
  maxIdleMs: 10 * 60 * 1000,
  maxAgeMs: 24 * 60 * 60 * 1000,
  maxAgeGraceMs: 60_000,
  keepaliveMs: 60_000,
  keepaliveTimeoutMs: 20_000,
};

/** A peer's address as rate limits and logs name it: an IPv4 address inside IPv6 (RFC 4291 §2.5.5.2) as plain IPv4. */
export function peerAddress(remoteAddress: string | undefined): string {
  if (remoteAddress === undefined) return 'unknown';
  return remoteAddress.startsWith('::ffff:') ? remoteAddress.slice('::ffff:'.length) : remoteAddress;
}
