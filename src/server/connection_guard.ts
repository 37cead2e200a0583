/**
 * Bounds the connections of a door. A connection is silent until it has greeted (spoken HTTP), then idle while it has no
 * request in flight. Silence has a time limit; at the cap the oldest silent connection makes room for a newcomer, then
 * the longest idle one, then the one that has been sending its request the longest, then the one that has let an answer wait
 * the longest; only when every connection waits for an answer is the newcomer turned away. So connections that cost their maker nothing keep nobody out. One network has a
 * cap of its own, under which its newest connections stay: it makes room for itself.
 */
import type { Socket } from 'node:net';
import { type ClientAddresses, networkOf } from './client_address.ts';
import { peerAddress } from './door.ts';
import { OpenCounts } from './open_counts.ts';

/** One open connection. */
export interface Connection {
  readonly socket: Socket;
  /** Whose it is, without port: the peer, or whom a trusted proxy told in its place. */
  clientAddress: string;
  /** The network of that as limits count it; none for a trusted proxy. */
  network: string | undefined;
  /** What the guard knows it by; a closed socket has no address left. */
  readonly key: string;
  /** Requests in flight. */
  active: number;
  /** Those of them that have not arrived whole. */
  arriving: number;
}

/** A socket, a TLS or HTTP/2 wrapper of one, or what a library tells of it, as far as it says which connection it is. */
export interface EndsOfSocket {
  readonly remoteAddress?: string | undefined;
  readonly remotePort?: number | undefined;
  readonly localAddress?: string | undefined;
  readonly localPort?: number | undefined;
}

/** The guard of one door. */
export class ConnectionGuard {
  readonly #maxConnections: number;
  readonly #maxPerNetwork: number;
  readonly #greetingTimeoutMs: number;
  readonly #clients: ClientAddresses;
  /** Open connections by network. */
  readonly #perNetwork = new OpenCounts();
  /** By the addresses and ports of both ends, which wrappers of a socket know as well. */
  readonly #byEnds = new Map<string, Connection>();
  /** Oldest first. */
  readonly #silent = new Map<Connection, NodeJS.Timeout>();
  /** Longest idle first. */
  readonly #idle = new Set<Connection>();
  /** With requests that have not arrived whole; who has been at it the longest first. */
  readonly #arriving = new Set<Connection>();
  /** With answers that the peer does not take; who lets them wait the longest first. */
  readonly #untaken = new Set<Connection>();
  readonly #whenEmpty: (() => void)[] = [];

  constructor(
    limits: {
      readonly maxConnections: number;
      readonly maxConnectionsPerNetwork: number;
      readonly greetingTimeoutMs: number;
    },
    clients: ClientAddresses,
  ) {
    this.#maxConnections = limits.maxConnections;
    this.#maxPerNetwork = limits.maxConnectionsPerNetwork;
    this.#clients = clients;
    this.#greetingTimeoutMs = limits.greetingTimeoutMs;
  }

  /** Open connections. */
  get size(): number {
    return this.#byEnds.size;
  }

  /** Takes a new socket in, as silent. Undefined when there was no room: the socket is destroyed. */
  admit(socket: Socket): Connection | undefined {
    // A peer that has gone already has no address; there is nothing to guard.
    const address = peerAddress(socket.remoteAddress);
    const network = this.#networkOf(address);
    if (socket.remoteAddress === undefined || !this.#makeRoom(network)) {
      socket.destroy();
      return undefined;
    }
    const key = keyOf(socket);
    // The same peer may be back, from the same port to the same, before its former connection was seen to end.
    const former = this.#byEnds.get(key);
    if (former !== undefined) this.#forget(former);
    const connection = {
      socket,
      clientAddress: address,
      network,
      key,
      active: 0,
      arriving: 0,
    };
    this.#byEnds.set(key, connection);
    this.#count(network, 1);
    const timer = setTimeout(() => socket.destroy(), this.#greetingTimeoutMs);
    timer.unref();
    this.#silent.set(connection, timer);
    // Finds peers that vanished without a word, which a stream without traffic would never notice.
    socket.setKeepAlive(true, 60_000);
    // Without a listener a reset by the peer would end the process.
    socket.on('error', () => socket.destroy());
    socket.once('close', () => {
      this.#forget(connection);
      if (this.#byEnds.size === 0) for (const resolve of this.#whenEmpty.splice(0)) resolve();
    });
    return connection;
  }

  /**
   * A trusted proxy has told whose an admitted connection is: it counts for that network from now on. False when the network
   * had no room: the socket is destroyed.
   */
  reassign(connection: Connection, address: string): boolean {
    const network = this.#networkOf(address);
    if (!this.#makeRoomOf(network)) {
      connection.socket.destroy();
      return false;
    }
    this.#count(connection.network, -1);
    this.#count(network, 1);
    connection.clientAddress = address;
    connection.network = network;
    return true;
  }

  /** The connection that a socket or a wrapper of it belongs to; undefined when it is closed. */
  find(socket: EndsOfSocket | undefined): Connection | undefined {
    return socket === undefined ? undefined : this.#byEnds.get(keyOf(socket));
  }

  /** Whose a connection is, without port; of a closed one the peer's address, and `unknown` where there is none any more. */
  clientAddressOf(socket: EndsOfSocket | undefined): string {
    return this.find(socket)?.clientAddress ?? peerAddress(socket?.remoteAddress);
  }

  /** The connection has spoken HTTP. */
  greeted(connection: Connection): void {
    const timer = this.#silent.get(connection);
    if (timer === undefined) return;
    clearTimeout(timer);
    this.#silent.delete(connection);
    this.#idle.add(connection);
  }

  /** A request begins on the connection. Returns what is to be called once it has arrived whole, or never will. */
  begin(connection: Connection): () => void {
    if (connection.active === 0) {
      this.greeted(connection);
      this.#idle.delete(connection);
    }
    connection.active += 1;
    connection.arriving += 1;
    this.#arriving.add(connection);
    let hasArrived = false;
    return () => {
      if (hasArrived) return;
      hasArrived = true;
      connection.arriving -= 1;
      if (connection.arriving === 0) this.#arriving.delete(connection);
    };
  }

  /** A request that began has ended. */
  end(connection: Connection): void {
    connection.active -= 1;
    if (connection.active === 0 && !connection.socket.destroyed) this.#idle.add(connection);
  }

  /** Whether there is an answer on the connection that the peer has not taken yet. */
  waitsForPeer(connection: Connection, waits: boolean): void {
    if (waits && !connection.socket.destroyed) this.#untaken.add(connection);
    else this.#untaken.delete(connection);
  }

  /** Destroys the connections that have not greeted. */
  destroySilent(): void {
    for (const { socket } of [...this.#silent.keys()]) socket.destroy();
  }

  /** Destroys the connections without a request in flight. */
  destroyIdle(): void {
    for (const { socket } of [...this.#idle]) socket.destroy();
  }

  /** Destroys every connection. */
  destroyAll(): void {
    for (const { socket } of [...this.#byEnds.values()]) socket.destroy();
  }

  /** Resolves when no connection is open. */
  empty(): Promise<void> {
    if (this.#byEnds.size === 0) return Promise.resolve();
    return new Promise((resolve) => this.#whenEmpty.push(resolve));
  }

  /** None for a trusted proxy, which has no cap of its own. */
  #networkOf(address: string): string | undefined {
    return this.#clients.isTrusted(address) ? undefined : networkOf(address);
  }

  #makeRoomOf(network: string | undefined): boolean {
    while (network !== undefined && this.#perNetwork.of(network) >= this.#maxPerNetwork) {
      if (!this.#drop((connection) => connection.network === network)) return false;
    }
    return true;
  }

  #makeRoom(network: string | undefined): boolean {
    if (!this.#makeRoomOf(network)) return false;
    while (this.#byEnds.size >= this.#maxConnections) {
      if (!this.#drop(() => true)) return false;
    }
    return true;
  }

  /** Destroys the connection that is missed least, of those that `may` go. False when none may. */
  #drop(may: (connection: Connection) => boolean): boolean {
    for (const group of [this.#silent.keys(), this.#idle, this.#arriving, this.#untaken]) {
      for (const connection of group) {
        if (!may(connection)) continue;
        connection.socket.destroy();
        this.#forget(connection);
        return true;
      }
    }
    return false;
  }

  #forget(connection: Connection): void {
    clearTimeout(this.#silent.get(connection));
    this.#silent.delete(connection);
    this.#idle.delete(connection);
    this.#arriving.delete(connection);
    this.#untaken.delete(connection);
    // Forgotten already: it made room, or its peer is back.
    if (this.#byEnds.get(connection.key) !== connection) return;
    this.#byEnds.delete(connection.key);
    this.#count(connection.network, -1);
  }

  #count(network: string | undefined, more: 1 | -1): void {
    if (network !== undefined) this.#perNetwork.add(network, more);
  }
}

/** A peer may have one port of its own for connections to several addresses of this machine. */
function keyOf({ remoteAddress, remotePort, localAddress, localPort }: EndsOfSocket): string {
  return `${remoteAddress}:${remotePort} ${localAddress}:${localPort}`;
}
