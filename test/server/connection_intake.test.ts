import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { connect as connectHttp2 } from 'node:http2';
import { join } from 'node:path';
import { ConnectError, createClient, type Transport } from '@connectrpc/connect';
import { createConnectTransport, createGrpcTransport } from '@connectrpc/connect-node';
import { expect } from 'chai';
import { UserService } from '../../gen/passmanager/user/v1/user_service_pb.ts';
import { ClientAddresses, type ProxyHeader, parseNetwork } from '../../src/server/client_address.ts';
import { DEFAULT_DOOR_LIMITS, type Door, type DoorLimits } from '../../src/server/door.ts';
import { createGrpcDoor } from '../../src/server/grpc_door.ts';
import { createHttpDoor } from '../../src/server/http_door.ts';
import { LOCAL_HEADER } from '../../src/server/proxy_protocol.ts';
import { readTlsFiles } from '../../src/server/tls.ts';
import { collectingLog } from '../support/collecting_log.ts';
import { eventually } from '../support/eventually.ts';
import { FakeReadiness, type FakeRpcs, fakeRpcs } from '../support/fake_rpcs.ts';
import { v1Header, v2Block, v2Header } from '../support/proxy_headers.ts';
import { HTTP2_PREFACE, RawPeer } from '../support/raw_peer.ts';
import { rejection } from '../support/rejection.ts';
import { type Manner, TcpProxy } from '../support/tcp_proxy.ts';

const fixtures = join(import.meta.dirname, '../fixtures/tls');
const ca = readFileSync(join(fixtures, 'certificate.pem'));
const HTTP1_REQUEST = 'GET /healthz HTTP/1.1\r\nHost: h\r\n\r\n';

interface Setting {
  /** Default: the peer's own, loopback. */
  readonly trusted?: string;
  readonly header?: ProxyHeader;
  readonly limits?: Partial<DoorLimits>;
}

for (const [kind, tls] of [
  ['gRPC', false],
  ['gRPC', true],
  ['HTTP', false],
  ['HTTP', true],
] as const) {
  describe(`the PROXY protocol in front of the ${kind} door ${tls ? 'under TLS' : 'in clear'}`, () => {
    let door: Door;
    let fakes: FakeRpcs;
    let lines: string[];
    const ending: (() => void)[] = [];

    async function open({ trusted = '127.0.0.1', header = 'proxy-protocol', limits }: Setting = {}) {
      fakes = fakeRpcs();
      const collecting = collectingLog();
      lines = collecting.lines;
      const options = {
        rpcs: fakes.rpcs,
        readiness: new FakeReadiness(),
        clients: new ClientAddresses([parseNetwork(trusted)!], header),
        host: '127.0.0.1',
        port: 0,
        limits: { ...DEFAULT_DOOR_LIMITS, ...limits },
        log: collecting.log,
        ...(tls
          ? { tls: await readTlsFiles(join(fixtures, 'certificate.pem'), join(fixtures, 'key.pem')) }
          : {}),
      };
      door =
        kind === 'gRPC'
          ? await createGrpcDoor({ ...options, reflection: false })
          : await createHttpDoor({ ...options, corsOrigins: [] });
    }

    afterEach(async () => {
      for (const end of ending.splice(0)) end();
      await door.stop(0);
    });

    /** The ways of a client to a port, each with a connection of its own. */
    function transportsTo(port: number): Transport[] {
      const baseUrl = `http${tls ? 's' : ''}://localhost:${port}`;
      const nodeOptions = tls ? { ca } : {};
      if (kind === 'gRPC') return [createGrpcTransport({ baseUrl, nodeOptions })];
      const versions = tls ? (['1.1', '2'] as const) : (['1.1'] as const);
      return versions.map((httpVersion) =>
        createConnectTransport({
          baseUrl,
          httpVersion,
          nodeOptions: httpVersion === '1.1' ? { ...nodeOptions, agent: false } : nodeOptions,
        } as Parameters<typeof createConnectTransport>[0]),
      );
    }

    const register = (transport: Transport, headers?: HeadersInit) =>
      createClient(UserService, transport).registerUser(
        { usernameHash: new Uint8Array(32) },
        { timeoutMs: 5_000, ...(headers === undefined ? {} : { headers }) },
      );

    /** Calls through a load balancer that puts bytes before the connection. Answers whom the calls were counted for. */
    async function seenThrough(first: Uint8Array, manner: Manner = 'together', headers?: HeadersInit) {
      const proxy = await TcpProxy.open(door.address.port, first, manner);
      ending.push(() => proxy.close());
      const before = fakes.contexts.length;
      for (const transport of transportsTo(proxy.port)) await register(transport, headers);
      return [...new Set(fakes.contexts.slice(before).map(({ clientAddress }) => clientAddress))];
    }

    async function rawPeer(): Promise<RawPeer> {
      const peer = await RawPeer.connect(door.address.port);
      ending.push(() => peer.destroy());
      return peer;
    }

    describe('does not believe', () => {
      /** Headers that reach the door and are a broken request there. */
      async function expectBroken(first: Uint8Array, what: string) {
        expect(await rejection(seenThrough(first)), what).to.be.instanceOf(ConnectError);
        expect(fakes.contexts, what).to.have.length(0);
      }

      it('a header of anybody who is no trusted proxy, who keeps his own address', async () => {
        await open({ trusted: '192.0.2.0/24' });
        for (const [name, header] of [
          ['version 1', v1Header('198.51.100.1')],
          ['version 1 of IPv6', v1Header('2001:db8::1')],
          ['version 2', v2Header('198.51.100.1')],
          ['version 2 of IPv6', v2Header('2001:db8::1')],
          ['LOCAL', LOCAL_HEADER],
          ['UNKNOWN', Buffer.from('PROXY UNKNOWN\r\n')],
        ] as const)
          await expectBroken(header, name);
        expect(await seenThrough(Buffer.alloc(0))).to.deep.equal(['127.0.0.1']);
        expect(door.load().refusedHeaders).to.equal(0);
      });

      it('a header of a trusted proxy while the configuration names another one', async () => {
        await open({ header: 'x-forwarded-for' });
        await expectBroken(v1Header('198.51.100.1'), 'version 1');
        await expectBroken(v2Header('198.51.100.1'), 'version 2');
        expect(await seenThrough(Buffer.alloc(0))).to.deep.equal(['127.0.0.1']);
      });

      it('a second header, which is what a client sends through the proxy', async () => {
        await open();
        for (const first of [v1Header('198.51.100.1'), v2Header('198.51.100.1')])
          for (const second of [v1Header('203.0.113.1'), v2Header('203.0.113.1'), LOCAL_HEADER])
            await expectBroken(Buffer.concat([first, second]), second.toString('latin1'));
      });

      it('the headers of HTTP beside it, neither of the client nor of the proxy itself', async () => {
        await open();
        const forged = { 'x-forwarded-for': '203.0.113.1', forwarded: 'for=203.0.113.1' };
        expect(await seenThrough(v2Header('198.51.100.1'), 'together', forged)).to.deep.equal([
          '198.51.100.1',
        ]);
        expect(await seenThrough(LOCAL_HEADER, 'together', forged)).to.deep.equal(['127.0.0.1']);
      });
    });

    describe('closes without a word', () => {
      const valid = kind === 'gRPC' ? HTTP2_PREFACE : Buffer.from(HTTP1_REQUEST);

      it('a trusted proxy’s connection that does not begin with a header', async () => {
        await open();
        expect(await rejection(seenThrough(Buffer.alloc(0)))).to.be.instanceOf(ConnectError);
        const peer = await rawPeer();
        peer.write(valid);
        await peer.closed;
        expect(peer.received).to.equal('');
        expect(fakes.contexts).to.have.length(0);
        await eventually(() => door.load().connections === 0);
        expect(door.load().refusedHeaders).to.be.at.least(2);
        expect(lines.filter((line) => line.includes('"level":20')).length).to.be.at.least(2);
        expect(lines.filter((line) => !line.includes('"level":20'))).to.deep.equal([]);
      });

      it('one whose header is malformed or too long', async () => {
        await open();
        const headers = [
          Buffer.from('PROXY TCP4 198.51.100.1 192.0.2.1 1\r\n'),
          Buffer.from('PROXY TCP4 198.51.100.256 192.0.2.1 1 2\r\n'),
          Buffer.from(`PROXY UNKNOWN ${'x'.repeat(200)}\r\n`),
          v2Block(0x11, 0x11, Buffer.alloc(12)),
          v2Block(0x21, 0x11, Buffer.alloc(4)),
          v2Block(0x21, 0x41, Buffer.alloc(12)),
          v2Block(0x21, 0x11, Buffer.alloc(60_000)),
        ];
        for (const header of headers) {
          const peer = await rawPeer();
          peer.write(Buffer.concat([header, valid]));
          await peer.closed;
          expect(peer.received, header.toString('latin1')).to.equal('');
        }
        expect(door.load().refusedHeaders).to.equal(headers.length);
      });

      it('one whose header never comes to its end, or ends with the connection', async () => {
        await open({ limits: { greetingTimeoutMs: 150 } });
        const silent = await rawPeer();
        const slow = await rawPeer();
        let sent = 0;
        const timer = setInterval(() => slow.write(v2Header('198.51.100.1').subarray(sent, ++sent)), 20);
        ending.push(() => clearInterval(timer));
        const half = await rawPeer();
        half.write('PROXY TCP4 198.51.100.1 ');
        const ended = await rawPeer();
        ended.socket.end(v2Header('198.51.100.1').subarray(0, 20));
        for (const peer of [silent, slow, half, ended]) {
          await peer.closed;
          expect(peer.received).to.equal('');
        }
        await eventually(() => door.load().refusedHeaders === 4 && door.load().connections === 0);
      });

      it('one that still waits for its header when the door stops', async () => {
        await open();
        const peer = await rawPeer();
        peer.write('PROXY ');
        await eventually(() => door.load().connections === 1);
        await door.stop(60_000);
        await peer.closed;
      });
    });

    describe('tells whose a connection is', () => {
      it('in both versions, over IPv4 and IPv6, with TLVs and without', async () => {
        await open();
        for (const [header, address] of [
          [v1Header('198.51.100.1'), '198.51.100.1'],
          [v1Header('2001:db8:0:0::1'), '2001:db8::1'],
          [v1Header('::ffff:198.51.100.2'), '198.51.100.2'],
          [v2Header('198.51.100.3'), '198.51.100.3'],
          [v2Header('2001:db8::3'), '2001:db8::3'],
          [v2Header('::ffff:198.51.100.4'), '198.51.100.4'],
          [v2Header('198.51.100.5', Buffer.alloc(600, 'PROXY \r\n')), '198.51.100.5'],
        ] as const)
          expect(await seenThrough(header), header.toString('latin1')).to.deep.equal([address]);
        expect(door.load().refusedHeaders).to.equal(0);
      });

      it('in any pieces, with what comes behind the header whole', async () => {
        await open();
        for (const header of [
          v1Header('198.51.100.1'),
          v2Header('198.51.100.1'),
          v2Header('198.51.100.1', Buffer.alloc(40)),
        ])
          expect(await seenThrough(header, 'bytewise')).to.deep.equal(['198.51.100.1']);
      });

      it('unless the proxy speaks for itself or does not know: then it is the proxy’s', async () => {
        await open();
        for (const header of [
          LOCAL_HEADER,
          v2Block(0x20, 0x11, Buffer.alloc(12, 7)),
          v2Block(0x21, 0x00, Buffer.alloc(0)),
          Buffer.from('PROXY UNKNOWN\r\n'),
          Buffer.from('PROXY UNKNOWN 198.51.100.1 192.0.2.1 1 2\r\n'),
        ])
          expect(await seenThrough(header), header.toString('latin1')).to.deep.equal(['127.0.0.1']);
      });

      it('for the cap of a network, which is the client’s and not the proxy’s', async () => {
        await open({ limits: { maxConnectionsPerNetwork: 2 } });
        const arrive = async (client: string): Promise<RawPeer> => {
          const peer = await rawPeer();
          peer.write(v2Header(client));
          return peer;
        };
        const crowd: RawPeer[] = [];
        for (let index = 0; index < 5; index += 1) crowd.push(await arrive('198.51.100.1'));
        const others = [
          await arrive('198.51.100.2'),
          await arrive('2001:db8:1::1'),
          await arrive('2001:db8:2::1'),
        ];
        await eventually(() => crowd.filter(({ socket }) => socket.destroyed).length === 3);
        await eventually(() => door.load().connections === 5);
        expect(others.filter(({ socket }) => socket.destroyed)).to.have.length(0);
        expect(await seenThrough(v1Header('198.51.100.1'))).to.deep.equal(['198.51.100.1']);
      });

      it('for everything on it, also long after it has begun', async () => {
        await open();
        const proxy = await TcpProxy.open(door.address.port, v2Header('198.51.100.1'), 'together');
        ending.push(() => proxy.close());
        if (kind === 'HTTP' && !tls) {
          const peer = await RawPeer.connect(proxy.port);
          ending.push(() => peer.destroy());
          for (let round = 1; round <= 3; round += 1) {
            peer.write(
              'POST /passmanager.user.v1.UserService/RegisterUser HTTP/1.1\r\nHost: h\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}',
            );
            await peer.receive(new RegExp(`(HTTP/1\\.1 200 .*){${round}}`, 's'));
          }
        } else {
          const session = connectHttp2(`http${tls ? 's' : ''}://localhost:${proxy.port}`, tls ? { ca } : {});
          ending.push(() => session.destroy());
          for (let round = 0; round < 3; round += 1) {
            const stream = session.request({
              ':method': 'POST',
              ':path': '/passmanager.user.v1.UserService/RegisterUser',
              'content-type': kind === 'gRPC' ? 'application/grpc' : 'application/proto',
              te: 'trailers',
            });
            stream.end(kind === 'gRPC' ? Buffer.alloc(5) : undefined);
            stream.resume();
            await once(stream, 'close');
          }
        }
        expect(fakes.contexts.map(({ clientAddress }) => clientAddress)).to.deep.equal(
          Array(3).fill('198.51.100.1'),
        );
      });
    });
  });
}
