/**
 * A way to a door that takes this machine for a proxy: a listener on loopback that passes connections on, and says first that
 * they are its own where the door wants to hear that.
 */
import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Socket } from 'node:net';
import type { ClientAddresses } from '../../server/client_address.ts';
import { peerAddress } from '../../server/door.ts';
import { LOCAL_HEADER } from '../../server/proxy_protocol.ts';

/** A relay that listens. */
export interface Relay {
  /** Of 127.0.0.1. */
  readonly port: number;
  /** Ends its connections, too. */
  close(): void;
}

/** Opens a relay to a door. A connection for which the door cannot be reached is closed. */
export async function openRelay(
  door: { readonly host: string; readonly port: number },
  clients: ClientAddresses,
): Promise<Relay> {
  const sockets = new Set<Socket>();
  const keep = (socket: Socket, other: Socket): void => {
    sockets.add(socket);
    // Each error is followed by the end.
    socket.on('error', () => {});
    socket.once('close', () => {
      sockets.delete(socket);
      other.destroy();
    });
  };
  const server = createServer({ noDelay: true }, (near) => {
    const far = connect({ ...door, noDelay: true });
    keep(near, far);
    keep(far, near);
    far.once('connect', () => {
      if (clients.mustAnnounce(peerAddress(far.localAddress))) far.write(LOCAL_HEADER);
      near.pipe(far);
      far.pipe(near);
    });
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return {
    port: (server.address() as AddressInfo).port,
    close: () => {
      server.close();
      for (const socket of sockets) socket.destroy();
    },
  };
}
