/** A load balancer of TCP: passes connections on to a door, with bytes of its own before what the client sends. */
import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Socket } from 'node:net';

/** `together`: the bytes and what the client sends first in one piece. `bytewise`: these one byte at a time. */
export type Manner = 'together' | 'bytewise';

export class TcpProxy {
  readonly port: number;
  readonly #server: ReturnType<typeof createServer>;
  readonly #sockets: Set<Socket>;

  private constructor(server: ReturnType<typeof createServer>, sockets: Set<Socket>) {
    this.port = (server.address() as AddressInfo).port;
    this.#server = server;
    this.#sockets = sockets;
  }

  static async open(door: number, first: Uint8Array, manner: Manner): Promise<TcpProxy> {
    const sockets = new Set<Socket>();
    const server = createServer({ noDelay: true }, (client) => {
      const upstream = connect({ port: door, host: '127.0.0.1', noDelay: true });
      for (const [socket, other] of [
        [client, upstream],
        [upstream, client],
      ] as const) {
        sockets.add(socket);
        socket.on('error', () => {});
        socket.on('close', () => {
          sockets.delete(socket);
          other.destroy();
        });
      }
      upstream.pipe(client);
      client.once('data', async (data: Buffer) => {
        client.pause();
        const begin = Buffer.concat([first, data]);
        if (manner === 'together') upstream.write(begin);
        else
          for (const byte of begin) {
            upstream.write(Uint8Array.of(byte));
            await new Promise((resolve) => setImmediate(resolve));
          }
        client.pipe(upstream);
      });
    });
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    return new TcpProxy(server, sockets);
  }

  close(): void {
    this.#server.close();
    for (const socket of this.#sockets) socket.destroy();
  }
}
