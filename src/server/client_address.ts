/**
 * Whose call it is: the peer of the connection, or whom a trusted proxy names. Headers of anybody else are not read, and of
 * a trusted proxy only the one that the configuration says it writes: a proxy that writes one passes the others on as the
 * client sent them.
 */
import parseForwarded from 'forwarded-parse';
import ipaddr from 'ipaddr.js';

type Address = ReturnType<typeof ipaddr.parse>;
type Range = ReturnType<typeof ipaddr.parseCIDR>;

/**
 * What a proxy writes: a header of each HTTP request, with each hop at the end of it, or that of the PROXY protocol at the
 * beginning of each connection.
 */
export type ProxyHeader = HttpProxyHeader | 'proxy-protocol';
type HttpProxyHeader = 'x-forwarded-for' | 'forwarded';

/** How many hops of a header are looked at: more proxies stand in no row. */
const MOST_HOPS = 16;

/** A network in CIDR notation, or undefined where the text is none. A bare address is a network of one. */
export function parseNetwork(text: string): Range | undefined {
  try {
    if (text.includes('/')) return ipaddr.parseCIDR(text);
    const address = ipaddr.parse(text);
    return [address, address.kind() === 'ipv4' ? 32 : 128] as Range;
  } catch {
    return undefined;
  }
}

/**
 * The network of an address, as limits count it: an IPv4 address, also inside IPv6, or the /64 of an IPv6 address, which one
 * customer has at least. What is no address is a network of its own.
 */
export function networkOf(address: string): string {
  const parsed = parseAddress(address);
  if (parsed === undefined) return address;
  if (parsed.kind() === 'ipv4') return parsed.toString();
  return `${parsed.toByteArray().slice(0, 8).join('.')}/64`;
}

/** An address as limits and logs name it: shortened, IPv4 inside IPv6 as IPv4. Undefined where the text is none. */
export function plainAddress(text: string): string | undefined {
  return parseAddress(text)?.toString();
}

/** Tells the client of a connection, by the proxies that are trusted. Throws nothing: a header that is no good is not read. */
export class ClientAddresses {
  readonly #trusted: readonly Range[];
  readonly #header: ProxyHeader;

  /** `trusted`: networks of proxies. None: the peer is the client. */
  constructor(trusted: readonly Range[], header: ProxyHeader) {
    this.#trusted = trusted;
    this.#header = header;
  }

  /** Whether an address is a trusted proxy's. */
  isTrusted(address: string): boolean {
    if (this.#trusted.length === 0) return false;
    const parsed = parseAddress(address);
    return parsed !== undefined && this.#trusted.some((range) => isWithin(parsed, range));
  }

  /** Whether a connection of a peer has to begin with a header of the PROXY protocol. */
  mustAnnounce(peer: string): boolean {
    return this.#header === 'proxy-protocol' && this.isTrusted(peer);
  }

  /**
   * The client's address, for a peer without port, or for whom the PROXY protocol told in its place. `header` gets the values
   * of a header, several of them joined by commas. From the end of the header on, each hop that is a trusted proxy names the
   * one before; the first other one is the client.
   */
  clientOf(peer: string, header: (name: HttpProxyHeader) => string | undefined): string {
    if (this.#header === 'proxy-protocol' || !this.isTrusted(peer)) return peer;
    let client = peer;
    for (const hop of hopsOf(this.#header, header(this.#header)).reverse().slice(0, MOST_HOPS)) {
      const address = parseAddress(hop);
      // Who wrote this is trusted, and nothing before it can be believed.
      if (address === undefined) return client;
      client = address.toString();
      if (!this.isTrusted(client)) return client;
    }
    return client;
  }
}

/** By the networks of a configuration, in CIDR notation. */
export function clientAddressesOf(config: {
  readonly trustedProxies: readonly string[];
  readonly proxyHeader: ProxyHeader;
}): ClientAddresses {
  return new ClientAddresses(
    config.trustedProxies.map((text) => parseNetwork(text)!),
    config.proxyHeader,
  );
}

/** Every peer is the client. */
export const NO_PROXIES = new ClientAddresses([], 'x-forwarded-for');

/** An address; IPv4 inside IPv6 as IPv4. Undefined where the text is none. */
function parseAddress(text: string): Address | undefined {
  if (!ipaddr.isValid(text)) return undefined;
  // The short forms of inet_aton (RFC 6943 §3.1.1) are no addresses of clients.
  if (!text.includes(':') && !ipaddr.IPv4.isValidFourPartDecimal(text)) return undefined;
  return ipaddr.process(text);
}

function hopsOf(header: HttpProxyHeader, value: string | undefined): string[] {
  if (value === undefined || value === '') return [];
  if (header === 'x-forwarded-for') return value.split(',').map((hop) => withoutPort(hop.trim()));
  try {
    return parseForwarded(value).map((element) => withoutPort(element.for ?? ''));
  } catch {
    return [];
  }
}

function isWithin(address: Address, [range, bits]: Range): boolean {
  if (address.kind() !== range.kind()) return false;
  return (address as ipaddr.IPv4).match(range as ipaddr.IPv4, bits);
}

/** `[2001:db8::1]:443`, `192.0.2.1:80` and what has no port. */
function withoutPort(hop: string): string {
  const bracketed = /^\[([^\]]*)\](:\d+)?$/.exec(hop);
  if (bracketed !== null) return bracketed[1]!;
  return /^\d+\.\d+\.\d+\.\d+:\d+$/.test(hop) ? hop.slice(0, hop.indexOf(':')) : hop;
}
