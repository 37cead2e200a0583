/**
 * What a new connection of a door passes before anybody reads from it: the guard has room for it, and a trusted proxy says in
 * a header of the PROXY protocol whose it is, where the configuration wants one. TLS and HTTP begin behind the header. A
 * connection of anybody else is never looked into: such a header is nothing but a broken request there. The time that the
 * guard gives a connection to greet is that of the header, too.
 */
import type { Server, Socket } from 'node:net';
import type { ClientAddresses } from './client_address.ts';
import type { ConnectionGuard } from './connection_guard.ts';
import type { Logger } from './log.ts';
import { type ProxyProtocolHeader, parseProxyHeader } from './proxy_protocol.ts';

/** The intake of one door. */
export class ConnectionIntake {
  readonly #guard: ConnectionGuard;
  readonly #clients: ClientAddresses;
  readonly #log: Logger;
  #refused = 0;

  constructor(guard: ConnectionGuard, clients: ClientAddresses, log: Logger) {
    this.#guard = guard;
    this.#clients = clients;
    this.#log = log;
  }

  /** How many connections of trusted proxies ended without a valid header. */
  get refused(): number {
    return this.#refused;
  }

  /** Takes a new connection in. `serve` gets it with its own first byte next, or it is destroyed. */
  take(socket: Socket, serve: (socket: Socket) => void): void {
    const connection = this.#guard.admit(socket);
    if (connection === undefined) return;
    if (!this.#clients.mustAnnounce(connection.clientAddress)) {
      serve(socket);
      return;
    }
    readHeader(socket, (header) => {
      if (header === undefined) {
        this.#refused += 1;
        this.#log.debug('a connection of a trusted proxy did not begin with a PROXY header');
        socket.destroy();
      } else if (header.client === undefined || this.#guard.reassign(connection, header.client)) {
        serve(socket);
      }
    });
  }

  /** Puts itself before everything that a server does with its connections. */
  standBefore(server: Server): void {
    const listeners = server.listeners('connection');
    server.removeAllListeners('connection');
    server.on('connection', (socket: Socket) =>
      this.take(socket, () => {
        for (const listener of listeners) listener.call(server, socket);
      }),
    );
  }
}

/** Calls `done` with the header once it has arrived, and with undefined when it does not. What comes behind it stays in the socket. */
function readHeader(socket: Socket, done: (header: ProxyProtocolHeader | undefined) => void): void {
  let received = Buffer.alloc(0);
  const finish = (header?: ProxyProtocolHeader): void => {
    socket.off('readable', take).off('end', fail).off('close', fail);
    if (header !== undefined && header.bytes < received.length)
      socket.unshift(received.subarray(header.bytes));
    done(header);
  };
  const fail = (): void => finish();
  const take = (): void => {
    const arrived: Buffer | null = socket.read();
    if (arrived === null) return;
    received = Buffer.concat([received, arrived]);
    const header = parseProxyHeader(received);
    if (header === 'malformed') fail();
    else if (header !== 'incomplete') finish(header);
  };
  socket.on('readable', take).on('end', fail).on('close', fail);
}
