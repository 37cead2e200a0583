import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net';
import { expect } from 'chai';
import { ClientAddresses, NO_PROXIES, parseNetwork } from '../../src/server/client_address.ts';
import { type Connection, ConnectionGuard } from '../../src/server/connection_guard.ts';
import { eventually } from '../support/eventually.ts';
import { freePort } from '../support/free_port.ts';
import { RawPeer } from '../support/raw_peer.ts';

describe('ConnectionGuard', () => {
  let server: Server;
  let guard: ConnectionGuard;
  let admitted: Connection[];
  const peers: RawPeer[] = [];

  async function open(
    limits: { maxConnections: number; greetingTimeoutMs: number; maxConnectionsPerNetwork?: number },
    clients = NO_PROXIES,
  ): Promise<void> {
    guard = new ConnectionGuard({ maxConnectionsPerNetwork: 1_000, ...limits }, clients);
    admitted = [];
    server = createServer((socket: Socket) => {
      const connection = guard.admit(socket);
      if (connection !== undefined) admitted.push(connection);
    });
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
  }

  /** The ends of a peer's connection as this side of it has them. */
  const asSeenFromHere = ({ socket }: RawPeer) => ({
    remoteAddress: socket.localAddress,
    remotePort: socket.localPort,
    localAddress: socket.remoteAddress,
    localPort: socket.remotePort,
  });

  /** A connection and what the guard made of it, undefined when it was turned away. */
  async function arrive(): Promise<{ peer: RawPeer; connection: Connection | undefined }> {
    const known = admitted.length;
    const peer = await RawPeer.connect((server.address() as AddressInfo).port);
    peers.push(peer);
    await Promise.race([eventually(() => admitted.length > known), peer.closed]);
    return { peer, connection: admitted[known] };
  }

  afterEach(() => {
    for (const peer of peers.splice(0)) peer.destroy();
    guard.destroyAll();
    server.close();
  });

  it('has a network that is at its cap make room for itself, the silent first, and never a busy one', async () => {
    await open({ maxConnections: 10, maxConnectionsPerNetwork: 2, greetingTimeoutMs: 60_000 });
    const [first, second] = [await arrive(), await arrive()];
    guard.begin(first.connection!)();
    const third = await arrive();
    await second.peer.closed;
    expect(guard.size).to.equal(2);
    guard.begin(third.connection!)();
    const turnedAway = await arrive();
    await turnedAway.peer.closed;
    expect(turnedAway.connection).to.equal(undefined);
    guard.end(first.connection!);
    expect((await arrive()).connection).not.to.equal(undefined);
    await first.peer.closed;
    guard.destroyAll();
    await guard.empty();
    expect((await arrive()).connection).not.to.equal(undefined);
  });

  it('counts a peer once that is back from the same port before its former connection has ended', async () => {
    await open({ maxConnections: 10, maxConnectionsPerNetwork: 2, greetingTimeoutMs: 60_000 });
    const { peer, connection } = await arrive();
    for (let round = 0; round < 3; round += 1) guard.begin(guard.admit(connection!.socket)!)();
    peer.destroy();
    await guard.empty();
    const [first, second] = [await arrive(), await arrive()];
    guard.begin(first.connection!)();
    guard.begin(second.connection!)();
    expect(guard.size).to.equal(2);
  });

  it('has no cap of its own for a trusted proxy', async () => {
    const proxies = new ClientAddresses([parseNetwork('127.0.0.0/8')!], 'x-forwarded-for');
    await open({ maxConnections: 10, maxConnectionsPerNetwork: 1, greetingTimeoutMs: 60_000 }, proxies);
    await arrive();
    await arrive();
    expect(guard.size).to.equal(2);
  });

  describe('of a trusted proxy that tells whose a connection is', () => {
    const proxies = new ClientAddresses([parseNetwork('127.0.0.0/8')!], 'proxy-protocol');
    const [one, another] = ['198.51.100.1', '198.51.100.2'];

    it('counts it for the network that is told, which makes room for itself and keeps nobody else out', async () => {
      await open({ maxConnections: 4, maxConnectionsPerNetwork: 1, greetingTimeoutMs: 60_000 }, proxies);
      const [first, second, third, untold] = [await arrive(), await arrive(), await arrive(), await arrive()];
      expect(guard.reassign(first.connection!, one)).to.equal(true);
      expect(guard.reassign(second.connection!, another)).to.equal(true);
      guard.begin(second.connection!)();
      expect(guard.reassign(third.connection!, one)).to.equal(true);
      await first.peer.closed;
      expect(guard.reassign(untold.connection!, another)).to.equal(false);
      await untold.peer.closed;
      expect(guard.find(asSeenFromHere(third.peer))).to.include({ clientAddress: one });
      expect(second.peer.socket.destroyed).to.equal(false);
      await eventually(() => guard.size === 2);
    });

    it('forgets the network with its last connection', async () => {
      await open({ maxConnections: 4, maxConnectionsPerNetwork: 1, greetingTimeoutMs: 60_000 }, proxies);
      for (let round = 0; round < 3; round += 1) {
        const { peer, connection } = await arrive();
        expect(guard.reassign(connection!, one)).to.equal(true);
        guard.begin(connection!)();
        peer.destroy();
        await guard.empty();
      }
    });

    it('does not count it where what is told is a trusted proxy again', async () => {
      await open({ maxConnections: 4, maxConnectionsPerNetwork: 1, greetingTimeoutMs: 60_000 }, proxies);
      for (let round = 0; round < 3; round += 1)
        expect(guard.reassign((await arrive()).connection!, '127.0.0.9')).to.equal(true);
      expect(guard.size).to.equal(3);
    });
  });

  it('closes a connection that stays silent', async () => {
    await open({ maxConnections: 10, greetingTimeoutMs: 50 });
    const { peer } = await arrive();
    await peer.closed;
    await guard.empty();
    expect(guard.size).to.equal(0);
  });

  it('leaves one that greeted in time', async () => {
    await open({ maxConnections: 10, greetingTimeoutMs: 50 });
    const { peer, connection } = await arrive();
    guard.greeted(connection!);
    await new Promise((resolve) => setTimeout(resolve, 120));
    expect(peer.socket.destroyed).to.equal(false);
    expect(guard.size).to.equal(1);
  });

  it('has the oldest silent connection make room at the cap, and nobody else', async () => {
    await open({ maxConnections: 3, greetingTimeoutMs: 60_000 });
    const greeted = await arrive();
    guard.greeted(greeted.connection!);
    const oldest = await arrive();
    const younger = await arrive();
    const newcomer = await arrive();
    await oldest.peer.closed;
    expect(newcomer.connection).to.not.equal(undefined);
    expect(greeted.peer.socket.destroyed).to.equal(false);
    expect(younger.peer.socket.destroyed).to.equal(false);
    expect(guard.size).to.equal(3);
  });

  it('has the longest idle one make room when none is silent', async () => {
    await open({ maxConnections: 3, greetingTimeoutMs: 60_000 });
    const [used, idle, busy] = [await arrive(), await arrive(), await arrive()];
    for (const { connection } of [used, idle, busy]) guard.greeted(connection!);
    guard.begin(busy.connection!);
    // The first has been idle for a shorter time than the second: its request has only just ended.
    guard.begin(used.connection!);
    guard.end(used.connection!);
    await arrive();
    await idle.peer.closed;
    expect(used.peer.socket.destroyed).to.equal(false);
    expect(busy.peer.socket.destroyed).to.equal(false);
  });

  it('turns the newcomer away when every connection is at work', async () => {
    await open({ maxConnections: 2, greetingTimeoutMs: 60_000 });
    const [first, second] = [await arrive(), await arrive()];
    guard.begin(first.connection!)();
    guard.begin(second.connection!)();
    guard.begin(second.connection!)();
    guard.end(second.connection!);
    const newcomer = await arrive();
    await newcomer.peer.closed;
    expect(newcomer.connection).to.equal(undefined);
    expect(first.peer.socket.destroyed).to.equal(false);
    expect(second.peer.socket.destroyed).to.equal(false);
  });

  it('has the one make room that has let an answer wait the longest, when the others wait for theirs', async () => {
    await open({ maxConnections: 3, greetingTimeoutMs: 60_000 });
    const [waiting, letting, younger] = [await arrive(), await arrive(), await arrive()];
    for (const { connection } of [waiting, letting, younger]) {
      guard.begin(connection!)();
      guard.waitsForPeer(connection!, true);
    }
    guard.waitsForPeer(waiting.connection!, false);
    expect((await arrive()).connection).to.not.equal(undefined);
    await letting.peer.closed;
    expect([waiting, younger].filter(({ peer }) => peer.socket.destroyed)).to.have.length(0);
  });

  it('has the one make room that has been sending its request the longest, when the others wait for an answer', async () => {
    await open({ maxConnections: 3, greetingTimeoutMs: 60_000 });
    const [waiting, sending, younger] = [await arrive(), await arrive(), await arrive()];
    guard.begin(waiting.connection!)();
    const arrived = guard.begin(sending.connection!);
    guard.begin(sending.connection!);
    guard.begin(younger.connection!);
    // One of its two requests is still on its way.
    arrived();
    arrived();
    expect((await arrive()).connection).to.not.equal(undefined);
    await sending.peer.closed;
    expect(waiting.peer.socket.destroyed).to.equal(false);
    expect(younger.peer.socket.destroyed).to.equal(false);
  });

  it('lets newcomers in past 1,500 silent connections from one address', async function () {
    this.timeout(60_000);
    await open({ maxConnections: 64, greetingTimeoutMs: 60_000 });
    const port = (server.address() as AddressInfo).port;
    for (let batch = 0; batch < 15; batch += 1) {
      peers.push(...(await Promise.all(Array.from({ length: 100 }, () => RawPeer.connect(port)))));
      expect(guard.size).to.be.at.most(64);
    }
    await eventually(() => admitted.length === 1500);
    expect((await arrive()).connection).to.not.equal(undefined);
  });

  it('forgets a connection that its peer closed or reset', async () => {
    await open({ maxConnections: 10, greetingTimeoutMs: 60_000 });
    const [closed, reset] = [await arrive(), await arrive()];
    closed.peer.destroy();
    reset.peer.socket.resetAndDestroy();
    await guard.empty();
    expect(guard.size).to.equal(0);
  });

  it('knows the address of the peer, by the socket and by what wrappers of it tell', async () => {
    await open({ maxConnections: 10, greetingTimeoutMs: 60_000 });
    const { peer, connection } = await arrive();
    expect(connection!.clientAddress).to.equal('127.0.0.1');
    expect(guard.find(asSeenFromHere(peer))).to.equal(connection);
    expect(guard.clientAddressOf(asSeenFromHere(peer))).to.equal('127.0.0.1');
    expect(guard.clientAddressOf({ remoteAddress: '::ffff:127.0.0.1', remotePort: 1 })).to.equal('127.0.0.1');
    expect(guard.clientAddressOf(undefined)).to.equal('unknown');
    expect(guard.find(undefined)).to.equal(undefined);
  });

  it('watches every connection of a peer that has one port for several addresses of this machine', async () => {
    await open({ maxConnections: 10, greetingTimeoutMs: 200 });
    const another = createServer((socket: Socket) => void guard.admit(socket));
    another.listen(0, '127.0.0.2');
    await once(another, 'listening');
    const from = { localAddress: '127.0.0.1', localPort: await freePort() };
    try {
      const both = [server, another].map((each) => {
        const { address, port } = each.address() as AddressInfo;
        return connect({ host: address, port, ...from })
          .on('error', () => {})
          .resume();
      });
      await eventually(() => guard.size === 2);
      await Promise.all(both.map((socket) => once(socket, 'close')));
      await guard.empty();
    } finally {
      another.close();
    }
  });

  it('destroys the silent, the idle or all when told to', async () => {
    await open({ maxConnections: 10, greetingTimeoutMs: 60_000 });
    const [silent, idle, busy] = [await arrive(), await arrive(), await arrive()];
    guard.greeted(idle.connection!);
    guard.begin(busy.connection!);
    guard.destroySilent();
    await silent.peer.closed;
    expect(idle.peer.socket.destroyed).to.equal(false);
    guard.destroyIdle();
    await idle.peer.closed;
    expect(busy.peer.socket.destroyed).to.equal(false);
    guard.destroyAll();
    await busy.peer.closed;
    await guard.empty();
  });
});
