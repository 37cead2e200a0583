/** The listener for Prometheus: GET /metrics and nothing else, on an address of its own. */
import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo, Socket } from 'node:net';
import { NO_PROXIES } from './client_address.ts';
import { ConnectionGuard } from './connection_guard.ts';
import type { Logger } from './log.ts';
import type { Metrics } from './metrics.ts';

/** A collector that is slower than this is cut off. */
const REQUEST_MS = 10_000;

/** Collectors come one by one. Beyond it whoever says nothing makes room. */
export const MAX_CONNECTIONS = 16;

/** A listener that answers collectors until it is stopped. */
export interface MetricsDoor {
  readonly address: { readonly host: string; readonly port: number };
  stop(): Promise<void>;
}

/** Listens. Rejects when the address cannot be listened on. */
export async function createMetricsDoor(
  place: { host: string; port: number },
  metrics: Pick<Metrics, 'collected'>,
  log: Logger,
): Promise<MetricsDoor> {
  const guard = new ConnectionGuard(
    {
      maxConnections: MAX_CONNECTIONS,
      maxConnectionsPerNetwork: MAX_CONNECTIONS,
      greetingTimeoutMs: REQUEST_MS,
    },
    NO_PROXIES,
  );
  const server = createServer(
    { requestTimeout: REQUEST_MS, headersTimeout: REQUEST_MS },
    (request, response) => {
      response.on('error', () => {});
      const connection = guard.find(request.socket);
      if (connection !== undefined) {
        guard.begin(connection)();
        response.once('close', () => guard.end(connection));
      }
      const path = request.url?.split('?', 1)[0];
      if (path !== '/metrics' || request.method !== 'GET') {
        response.writeHead(path === '/metrics' ? 405 : 404, { 'content-length': 0 }).end();
        return;
      }
      metrics.collected().then(
        ({ contentType, text }) => response.writeHead(200, { 'content-type': contentType }).end(text),
        (error: unknown) => {
          log.error({ err: error }, 'metrics could not be collected');
          response.writeHead(500, { 'content-length': 0 }).end();
        },
      );
    },
  );
  server.prependListener('connection', (socket: Socket) => void guard.admit(socket));
  // Not shared with other processes of the server.
  server.listen({ ...place, exclusive: true });
  await once(server, 'listening');
  const { address: host, port } = server.address() as AddressInfo;
  return {
    address: { host, port },
    stop: async () => {
      const closed = once(server, 'close');
      server.close();
      server.closeAllConnections();
      await closed;
    },
  };
}
