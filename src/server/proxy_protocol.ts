/**
 * The header by which a proxy tells whose connection it passes on, before everything else on it: the PROXY protocol,
 * versions 1 (text) and 2 (binary), as HAProxy's proxy-protocol.txt describes them.
 */
import { isIPv4, isIPv6 } from 'node:net';
import ipaddr from 'ipaddr.js';
import { plainAddress } from './client_address.ts';

/** A header that has arrived whole. */
export interface ProxyProtocolHeader {
  /** How long it is. What comes behind it is the connection's own. */
  readonly bytes: number;
  /**
   * The client's address without port. Undefined where the proxy speaks for itself (LOCAL) or does not tell an address of
   * TCP (UNKNOWN, and UNSPEC, UDP and UNIX, which §2.2 has a receiver take as UNSPEC): then the connection is the proxy's.
   */
  readonly client: string | undefined;
}

/** §2.1: the line must be over within this many bytes, its end included. */
const LONGEST_V1 = 107;
const V1_BEGIN = Buffer.from('PROXY ');
const V1_TCP = /^PROXY (TCP4|TCP6) (\S+) (\S+) (0|[1-9]\d{0,4}) (0|[1-9]\d{0,4})\r\n$/;
const V1_UNKNOWN = /^PROXY UNKNOWN( [^\r]*)?\r\n$/;
const HIGHEST_PORT = 65_535;

/** §2.2: signature, version and command, family and transport, length of the rest. */
const V2_FIXED_BYTES = 16;
const V2_SIGNATURE = Buffer.from('0d0a0d0a000d0a515549540a', 'hex');
const V2_LOCAL = 0x20;
const V2_PROXY = 0x21;
/** The bytes of one address, by the byte of family and transport: TCP over IPv4 and over IPv6. */
const V2_ADDRESS_BYTES: ReadonlyMap<number, number> = new Map([
  [0x11, 4],
  [0x21, 16],
]);
const V2_PORTS_BYTES = 4;
const V2_HIGHEST_FAMILY = 3;
const V2_HIGHEST_TRANSPORT = 2;

/** What a version 2 header may have. The specification wants 536 at most; what proxies add in TLVs may be more. */
export const LONGEST_V2 = 4_096;

/** What a proxy puts before a connection of its own, for one to see whether the server is well: LOCAL, of version 2. */
export const LOCAL_HEADER = Buffer.concat([V2_SIGNATURE, Buffer.from([V2_LOCAL, 0, 0, 0])]);

/**
 * Reads the header at the beginning of a connection from what has arrived of it. `incomplete`: it may still become one.
 * `malformed`: it never does. Throws nothing.
 */
export function parseProxyHeader(received: Buffer): ProxyProtocolHeader | 'incomplete' | 'malformed' {
  if (agree(received, V2_SIGNATURE)) return parseV2(received);
  return agree(received, V1_BEGIN) ? parseV1(received) : 'malformed';
}

function parseV1(received: Buffer): ProxyProtocolHeader | 'incomplete' | 'malformed' {
  const bytes = received.subarray(0, LONGEST_V1).indexOf('\n') + 1;
  if (bytes === 0) return received.length < LONGEST_V1 ? 'incomplete' : 'malformed';
  const line = received.toString('latin1', 0, bytes);
  if (V1_UNKNOWN.test(line)) return { bytes, client: undefined };
  const [, family, source, destination, ...ports] = V1_TCP.exec(line) ?? [];
  if (source === undefined || destination === undefined) return 'malformed';
  const isOfFamily = family === 'TCP4' ? isIPv4 : isUnscopedIPv6;
  if (!isOfFamily(source) || !isOfFamily(destination)) return 'malformed';
  if (ports.some((port) => Number(port) > HIGHEST_PORT)) return 'malformed';
  return { bytes, client: plainAddress(source) };
}

function parseV2(received: Buffer): ProxyProtocolHeader | 'incomplete' | 'malformed' {
  if (received.length < V2_FIXED_BYTES) return 'incomplete';
  const command = received.readUInt8(12);
  const family = received.readUInt8(13);
  const length = received.readUInt16BE(14);
  const bytes = V2_FIXED_BYTES + length;
  if (bytes > LONGEST_V2 || (command !== V2_LOCAL && command !== V2_PROXY)) return 'malformed';
  // Of LOCAL, the family is ignored.
  if (command === V2_PROXY && (family >> 4 > V2_HIGHEST_FAMILY || (family & 0xf) > V2_HIGHEST_TRANSPORT))
    return 'malformed';
  const addressBytes = command === V2_PROXY ? V2_ADDRESS_BYTES.get(family) : undefined;
  if (addressBytes !== undefined && length < 2 * addressBytes + V2_PORTS_BYTES) return 'malformed';
  if (received.length < bytes) return 'incomplete';
  if (addressBytes === undefined) return { bytes, client: undefined };
  const source = received.subarray(V2_FIXED_BYTES, V2_FIXED_BYTES + addressBytes);
  return { bytes, client: plainAddress(ipaddr.fromByteArray([...source]).toString()) };
}

/** Whether two byte strings are the same as far as both go. */
function agree(one: Buffer, other: Buffer): boolean {
  const length = Math.min(one.length, other.length);
  return one.subarray(0, length).equals(other.subarray(0, length));
}

/** An IPv6 address without a zone, which Node would take. */
function isUnscopedIPv6(text: string): boolean {
  return isIPv6(text) && !text.includes('%');
}
