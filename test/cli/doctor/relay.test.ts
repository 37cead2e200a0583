import { once } from 'node:events';
import { type AddressInfo, createServer, type Server } from 'node:net';
import { expect } from 'chai';
import { openRelay } from '../../../src/cli/doctor/relay.ts';
import { clientAddressesOf } from '../../../src/server/client_address.ts';
import { LOCAL_HEADER } from '../../../src/server/proxy_protocol.ts';
import { RawPeer } from '../../support/raw_peer.ts';

describe('a relay to a door', () => {
  let echo: Server;
  const ending: (() => void)[] = [];

  beforeEach(async () => {
    echo = createServer((socket) => socket.on('error', () => {}).pipe(socket)).listen(0, '127.0.0.1');
    await once(echo, 'listening');
  });

  afterEach(() => {
    for (const end of ending.splice(0)) end();
    echo.close();
  });

  /** A connection through a relay to a door that believes `trusted`. */
  async function through(trusted: string): Promise<RawPeer> {
    const clients = clientAddressesOf({ trustedProxies: [trusted], proxyHeader: 'proxy-protocol' });
    const door = { host: '127.0.0.1', port: (echo.address() as AddressInfo).port };
    const relay = await openRelay(door, clients);
    const peer = await RawPeer.connect(relay.port);
    ending.push(() => {
      peer.destroy();
      relay.close();
    });
    return peer;
  }

  it('ends a connection when nobody is there, and all of them when it closes', async () => {
    const peer = await through('127.0.0.1');
    peer.write('x');
    await peer.receive(/x$/);
    ending.splice(0)[0]!();
    await peer.closed;
    const port = (echo.address() as AddressInfo).port;
    await new Promise((resolve) => echo.close(resolve));
    const clients = clientAddressesOf({ trustedProxies: [], proxyHeader: 'x-forwarded-for' });
    const relay = await openRelay({ host: '127.0.0.1', port }, clients);
    ending.push(() => relay.close());
    await (await RawPeer.connect(relay.port)).closed;
  });

  it('says nothing of its own to a door that does not take this machine for a proxy', async () => {
    const peer = await through('192.0.2.0/24');
    peer.write('as it is');
    expect(await peer.receive(/as it is$/)).to.equal('as it is');
  });

  it('says first that a connection is its own where the door wants to hear that', async () => {
    const peer = await through('127.0.0.0/8');
    peer.write('as it is');
    expect(await peer.receive(/as it is$/)).to.equal(`${LOCAL_HEADER.toString('latin1')}as it is`);
  });
});
