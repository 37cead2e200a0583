import { once } from 'node:events';
import {
  type ClientHttp2Session,
  type ClientHttp2Stream,
  connect,
  constants,
  createServer,
  type Http2Server,
  type IncomingHttpHeaders,
  type ServerHttp2Stream,
} from 'node:http2';
import type { AddressInfo, Socket } from 'node:net';
import { expect } from 'chai';
import { BodyBudget } from '../../src/server/body_budget.ts';
import { NO_PROXIES } from '../../src/server/client_address.ts';
import { ConnectionGuard } from '../../src/server/connection_guard.ts';
import { guardStreams } from '../../src/server/stream_guard.ts';
import { UntakenAnswers } from '../../src/server/untaken_answers.ts';
import { eventually } from '../support/eventually.ts';
import { HTTP2_PREFACE, RawPeer } from '../support/raw_peer.ts';

describe('guardStreams', () => {
  let server: Http2Server;
  let guard: ConnectionGuard;
  let answers: UntakenAnswers;
  let end: () => void;
  let session: ClientHttp2Session;

  /** A server that answers the requests to /answered at once and no others. */
  async function open(
    putRight?: (headers: IncomingHttpHeaders) => void,
    bodyTimeoutMs = 200,
  ): Promise<number> {
    guard = new ConnectionGuard(
      { maxConnections: 10, maxConnectionsPerNetwork: 10, greetingTimeoutMs: 300 },
      NO_PROXIES,
    );
    server = createServer();
    server.on('stream', (stream: ServerHttp2Stream, headers: IncomingHttpHeaders) => {
      stream.on('error', () => {});
      if (headers[':path'] === '/answered') stream.respond({ ':status': 200 }, { endStream: true });
      stream.resume();
    });
    server.prependListener('connection', (socket: Socket) => guard.admit(socket));
    answers = new UntakenAnswers(guard, 1024 * 1024);
    end = guardStreams(server, {
      bodies: new BodyBudget(1024 * 1024),
      answers,
      guard,
      bodyTimeoutMs,
      ...(putRight === undefined ? {} : { putRight }),
    });
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    const { port } = server.address() as AddressInfo;
    session = connect(`http://127.0.0.1:${port}`);
    await once(session, 'remoteSettings');
    return port;
  }

  function request(path: string): ClientHttp2Stream {
    const stream = session.request({ ':method': 'POST', ':path': path }, { endStream: false });
    stream.on('error', () => {});
    return stream;
  }

  afterEach(() => {
    end();
    answers.end();
    session.destroy();
    guard.destroyAll();
    server.close();
  });

  it('closes a stream whose request does not arrive whole', async () => {
    await open();
    const stream = request('/unanswered');
    stream.write('half');
    await once(stream, 'close');
    expect(stream.rstCode).to.equal(constants.NGHTTP2_CANCEL);
  });

  it('leaves a stream whose request has arrived, however long its answer takes', async () => {
    await open();
    const stream = request('/unanswered');
    stream.end('whole');
    await new Promise((resolve) => setTimeout(resolve, 500));
    expect(stream.closed).to.equal(false);
  });

  it('closes an answered stream whose request goes on, without an error', async () => {
    await open(undefined, 60_000);
    const stream = request('/answered');
    const [headers] = (await once(stream, 'response')) as [IncomingHttpHeaders];
    expect(headers[':status']).to.equal(200);
    await eventually(() => stream.closed);
    expect(stream.rstCode).to.equal(constants.NGHTTP2_NO_ERROR);
  });

  it('counts a connection as at work while it has a stream', async () => {
    await open();
    const stream = request('/unanswered');
    await eventually(() => busy() === 1);
    stream.close();
    await eventually(() => busy() === 0);
  });

  it('takes the preface for a greeting, and its absence for silence', async () => {
    const port = await open();
    const silent = await RawPeer.connect(port);
    const greeting = await RawPeer.connect(port);
    greeting.write(HTTP2_PREFACE);
    const dripping = await RawPeer.connect(port);
    dripping.write(HTTP2_PREFACE.subarray(0, 24));
    await Promise.all([silent.closed, dripping.closed]);
    expect(greeting.socket.destroyed).to.equal(false);
    greeting.destroy();
  });

  it('puts headers right before any other listener sees them', async () => {
    await open((headers) => {
      headers[':path'] = '/answered';
    });
    const stream = request('/unanswered');
    stream.end();
    const [headers] = (await once(stream, 'response')) as [IncomingHttpHeaders];
    expect(headers[':status']).to.equal(200);
  });

  function busy(): number {
    const { localAddress, localPort, remoteAddress, remotePort } = session.socket;
    const ends = {
      remoteAddress: localAddress,
      remotePort: localPort,
      localAddress: remoteAddress,
      localPort: remotePort,
    };
    return guard.find(ends)?.active ?? 0;
  }
});
