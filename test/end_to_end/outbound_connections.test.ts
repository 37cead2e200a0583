import { randomBytes, randomUUID } from 'node:crypto';
import { Socket } from 'node:net';
import { createConnectTransport } from '@connectrpc/connect-node';
import { expect } from 'chai';
import * as data from '../../gen/passmanager/data/v1/data_service_pb.ts';
import { createGrpcTransport } from '../../src/client/grpc_transport.ts';
import { logIn, makeAccount, refusalOf, register } from '../support/raw_client.ts';
import { startTestServer } from '../support/test_server.ts';
import { startTraceCollector } from '../support/trace_collector.ts';

const { method } = data.DataService;

describe('the server’s own connections', () => {
  const { connect } = Socket.prototype;
  let targets: Set<string>;

  beforeEach(() => {
    targets = new Set();
    // Everything that connects in this process ends here: pg, node:http, node:tls, HTTP/2.
    Socket.prototype.connect = function (this: Socket, ...parameters: unknown[]) {
      targets.add(targetOf(parameters));
      return (connect as (...all: unknown[]) => Socket).apply(this, parameters);
    } as typeof connect;
  });

  afterEach(() => {
    Socket.prototype.connect = connect;
  });

  /** Where a server with these settings connects to, of all that its callers do not. */
  async function targetsOf(settings: Record<string, string>): Promise<string[]> {
    const server = await startTestServer({
      settings: { PASSMANAGER_METRICS_ADDRESS: '127.0.0.1:0', ...settings },
    });
    const { grpcAddress, httpAddress, metricsAddress } = server.running;
    const grpc = createGrpcTransport({ url: `http://${server.grpcAddress}` });
    const account = makeAccount();
    await register(grpc, account);
    for (const transport of [grpc, createConnectTransport({ baseUrl: server.httpUrl, httpVersion: '1.1' })]) {
      const session = await logIn(transport, account, { maximumRequests: -1n });
      const watch = session.stream(method.watchEntries, data.WatchEntriesPayloadSchema, {});
      await watch.next();
      await session.call(method.createEntry, data.CreateEntryPayloadSchema, {
        entryId: randomUUID(),
        entryName: new Uint8Array(randomBytes(93)),
        entryData: new Uint8Array(randomBytes(285)),
      });
      await watch.next();
      await watch.return(undefined);
      await refusalOf(logIn(transport, makeAccount()));
    }
    grpc.close();
    await fetch(`http://127.0.0.1:${metricsAddress!.port}/metrics`);
    await server.running.stop();
    const { host } = server.database.connection;
    const own = [...targets]
      .filter(
        (target) =>
          ![grpcAddress, httpAddress, metricsAddress!].some(({ port }) => target.endsWith(`:${port}`)),
      )
      .map((target) => (target.startsWith(`${host}/`) ? 'the database' : target));
    await server.stop();
    return [...new Set(own)];
  }

  it('lead to its database and nowhere else', async () => {
    expect(await targetsOf({})).to.deep.equal(['the database']);
  });

  it('lead to its database and to the trace collector, where there is one', async () => {
    const collector = await startTraceCollector();
    const all = await targetsOf({ PASSMANAGER_OTLP_ENDPOINT: collector.endpoint });
    expect(all).to.have.members(['the database', `127.0.0.1:${collector.port}`]);
    await collector.stop();
  });
});

/** `host:port` or a path, of the parameters of a connect: options, a list that begins with them, port and host, or a path. */
function targetOf([first, second]: unknown[]): string {
  const options = Array.isArray(first) ? first[0] : first;
  if (typeof options === 'string') return options;
  if (typeof options === 'number') return `${String(second)}:${options}`;
  const { path, host, port } = options as { path?: string; host?: string; port?: number };
  return path ?? `${host}:${port}`;
}
