/**
 * Bounds the connections of a door. A connection is silent until it has greeted (spoken HTTP), then idle while it has no
 * request in flight. Silence has a time limit; at the cap the oldest silent connection makes room for a newcomer, then
 * the longest idle one, then the one that has been sending its request the longest; only when every connection waits for
 * an answer is the newcomer turned away. So connections that cost their maker nothing keep nobody out. One network has a
 * cap of its own, under which its newest connections stay: it makes room for itself.
 */
import type { Server, Socket } from 'node:net';
import { type ClientAddresses, networkOf } from './client_address.ts';
import { peerAddress } from './door.ts';

/** One open connection. */
export interface Connection {
  readonly socket: Socket;
  /** The peer's address without port. */
  readonly peerAddress: string;
  /** Its network as limits count it; none for a trusted proxy. */
  readonly network: string | undefined;
  /** What the guard knows it by; a closed socket has no address left. */
  readonly key: string;
  /** Requests in flight. */
  active: number;
  /** Those of them that have not arrived whole. */
  arriving: number;
}

/** A socket, or a TLS or HTTP/2 wrapper of one, as far as it tells whose it is. */
export interface PeerOfSocket {
  readonly remoteAddress?: string | undefined;
  readonly remotePort?: number | undefined;
}

export class ConnectionGuard {
  readonly #maxConnections: number;
  readonly #maxPerNetwork: number;
  readonly #greetingTimeoutMs: number;
  readonly #clients: ClientAddresses;
  /** Open connections by network. */
  readonly #perNetwork = new Map<string, number>();
  /** By peer address and port, which wrappers of a socket know as well. */
  readonly #byPeer = new Map<string, Connection>();
  /** Oldest first. */
  readonly #silent = new Map<Connection, NodeJS.Timeout>();
  /** Longest idle first. */
  readonly #idle = new Set<Connection>();
  /** With requests that have not arrived whole; who has been at it the longest first. */
  readonly #arriving = new Set<Connection>();
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
    return this.#byPeer.size;
  }

  /** Admits every connection of a listener before anybody else sees it. */
  watch(server: Server): void {
    server.prependListener('connection', (socket: Socket) => this.admit(socket));
  }

  /** Takes a new socket in, as silent. False when there was no room: the socket is destroyed. */
  admit(socket: Socket): boolean {
    // A peer that has gone already has no address; there is nothing to guard.
    const address = peerAddress(socket.remoteAddress);
    const network = this.#clients.isTrusted(address) ? undefined : networkOf(address);
    if (socket.remoteAddress === undefined || !this.#makeRoom(network)) {
      socket.destroy();
      return false;
    }
    const key = peerKey(socket);
    const connection = {
      socket,
      peerAddress: address,
      network,
      key,
      active: 0,
      arriving: 0,
    };
    this.#byPeer.set(key, connection);
    if (network !== undefined) this.#perNetwork.set(network, (this.#perNetwork.get(network) ?? 0) + 1);
    const timer = setTimeout(() => socket.destroy(), this.#greetingTimeoutMs);
    timer.unref();
    this.#silent.set(connection, timer);
    // Finds peers that vanished without a word, which a stream without traffic would never notice.
    socket.setKeepAlive(true, 60_000);
    // Without a listener a reset by the peer would end the process.
    socket.on('error', () => socket.destroy());
    socket.once('close', () => {
      this.#forget(connection);
      if (this.#byPeer.size === 0) for (const resolve of this.#whenEmpty.splice(0)) resolve();
    });
    return true;
  }

  /** The connection that a socket or a wrapper of it belongs to; undefined when it is closed. */
  find(socket: PeerOfSocket | undefined): Connection | undefined {
    return socket === undefined ? undefined : this.#byPeer.get(peerKey(socket));
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
    for (const { socket } of [...this.#byPeer.values()]) socket.destroy();
  }

  /** Resolves when no connection is open. */
  empty(): Promise<void> {
    if (this.#byPeer.size === 0) return Promise.resolve();
    return new Promise((resolve) => this.#whenEmpty.push(resolve));
  }

  #makeRoom(network: string | undefined): boolean {
    while (network !== undefined && (this.#perNetwork.get(network) ?? 0) >= this.#maxPerNetwork) {
      if (!this.#drop((connection) => connection.network === network)) return false;
    }
    while (this.#byPeer.size >= this.#maxConnections) {
      if (!this.#drop(() => true)) return false;
    }
    return true;
  }

  /** Destroys the connection that is missed least, of those that `may` go. False when none may. */
  #drop(may: (connection: Connection) => boolean): boolean {
    for (const group of [this.#silent.keys(), this.#idle, this.#arriving]) {
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
    // The same peer may be back already, from the same port.
    if (this.#byPeer.get(connection.key) !== connection) return;
    this.#byPeer.delete(connection.key);
    if (connection.network === undefined) return;
    const left = (this.#perNetwork.get(connection.network) ?? 1) - 1;
    if (left === 0) this.#perNetwork.delete(connection.network);
    else this.#perNetwork.set(connection.network, left);
  }
}

function peerKey({ remoteAddress, remotePort }: PeerOfSocket): string {
  return `${remoteAddress} ${remotePort}`;
}
