/** The doors as a client reaches them: at their own addresses, or at the one that a proxy has. */

import { X509Certificate } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { Agent as HttpAgent, get as httpGet } from 'node:http';
import { Agent as HttpsAgent, get as httpsGet } from 'node:https';
import {
  type ConnectionOptions,
  createSecureContext,
  type PeerCertificate,
  rootCertificates,
} from 'node:tls';
import { createConnectTransport as makeConnectTransport } from '@connectrpc/connect-node';
import { credentials } from '@grpc/grpc-js';
import { createGrpcTransport, markConfidential, type VaultTransport } from '../../client/node.ts';
import { clientAddressesOf } from '../../server/client_address.ts';
import type { Config } from '../../server/config.ts';
import { authorityOf } from '../../server/door.ts';
import { openRelay } from './relay.ts';

/** A way to a server. */
export interface DoorClient {
  readonly url: string;
  /** A transport of its own for each use. */
  transport(): Promise<{ readonly transport: VaultTransport; close(): void }>;
}

/** Where the doors are and what they want of those who come. */
export type Places = Pick<
  Config,
  'host' | 'grpcPort' | 'httpPort' | 'tls' | 'trustedProxies' | 'proxyHeader'
>;

/** The gRPC door, or the server behind `url`. */
export function grpcDoor(config: Places, url: string | undefined): DoorClient {
  const tls = url === undefined ? ownTls(config) : undefined;
  return {
    url: url ?? doorUrl(config, config.grpcPort),
    transport: async () => {
      const way = await wayTo(config, url, config.grpcPort);
      const transport = createGrpcTransport({
        url: way.url,
        ...(tls === undefined
          ? {}
          : {
              channelCredentials: credentials.createFromSecureContext(tls.secureContext!, {
                checkServerIdentity: tls.checkServerIdentity!,
              }),
            }),
      });
      return {
        transport,
        close: () => {
          transport.close();
          way.close();
        },
      };
    },
  };
}

/** The HTTP door, or the server behind `url`, by Connect. */
export function httpDoor(config: Places, url: string | undefined): DoorClient {
  const tls = url === undefined ? ownTls(config) : undefined;
  return {
    url: url ?? doorUrl(config, config.httpPort),
    transport: async () => {
      const way = await wayTo(config, url, config.httpPort);
      // Connections of its own, which do not outlive it.
      const agent = way.url.startsWith('https:') ? new HttpsAgent(tls) : new HttpAgent();
      const nodeOptions = { ...tls, agent };
      const transport = makeConnectTransport({
        baseUrl: way.url,
        httpVersion: '1.1',
        acceptCompression: [],
        nodeOptions,
      });
      return {
        transport: markConfidential(transport, way.url),
        close: () => {
          agent.destroy();
          way.close();
        },
      };
    },
  };
}

/** What a door answers to a GET. Rejects when nobody answers within five seconds. */
export async function getFromDoor(
  config: Places,
  url: string | undefined,
  path: string,
): Promise<{ status: number; body: string }> {
  const way = await wayTo(config, url, config.httpPort);
  const options = {
    agent: false as const,
    timeout: 5_000,
    ...(url === undefined ? ownTls(config) : undefined),
  };
  const get = way.url.startsWith('https:') ? httpsGet : httpGet;
  return new Promise<{ status: number; body: string }>((resolve, reject) => {
    const request = get(new URL(path, way.url), options, (response) => {
      const parts: Buffer[] = [];
      response.on('data', (part: Buffer) => parts.push(part));
      response.on('end', () =>
        resolve({ status: response.statusCode ?? 0, body: Buffer.concat(parts).toString('utf8') }),
      );
    });
    request.on('timeout', () => request.destroy(new Error('no answer within 5 s')));
    request.on('error', reject);
  }).finally(() => way.close());
}

/** The address of a server: of `url`, of a door of one's own, or of a relay to that where the door takes this machine for a proxy. */
async function wayTo(
  config: Places,
  url: string | undefined,
  port: number,
): Promise<{ readonly url: string; close(): void }> {
  const own = url ?? doorUrl(config, port);
  if (url !== undefined || config.proxyHeader !== 'proxy-protocol') return { url: own, close: () => {} };
  const { protocol, hostname } = new URL(own);
  const door = { host: hostname.replace(/^\[|\]$/g, ''), port };
  const relay = await openRelay(door, clientAddressesOf(config));
  return { url: `${protocol}//127.0.0.1:${relay.port}`, close: () => relay.close() };
}

/** Where a door is reached from this machine: one that listens everywhere, at loopback. */
export function doorUrl({ host, tls }: Pick<Config, 'host' | 'tls'>, port: number): string {
  const address = host === '0.0.0.0' ? '127.0.0.1' : host === '::' ? '::1' : host;
  return `${tls === undefined ? 'http' : 'https'}://${authorityOf({ host: address, port })}`;
}

/**
 * TLS with a door of one's own: what counts is that it shows the very certificate of the configuration, whoever signed it
 * and whatever name is on it.
 */
function ownTls({ tls }: Pick<Config, 'tls'>): ConnectionOptions | undefined {
  if (tls === undefined) return undefined;
  const chain = readFileSync(tls.certificateFile);
  const { raw } = new X509Certificate(chain);
  return {
    secureContext: createSecureContext({ ca: [chain, ...rootCertificates], allowPartialTrustChain: true }),
    checkServerIdentity: (_name: string, { raw: shown }: PeerCertificate) =>
      raw.equals(shown) ? undefined : new Error('the door shows another certificate than the configured one'),
  };
}

/** What /readyz answers, read as JSON; an empty object where it is none. Rejects where nobody answers. */
export async function readinessOf(
  config: Places,
  url: string | undefined,
): Promise<{ status: number; body: Readonly<Record<string, unknown>> }> {
  const { status, body } = await getFromDoor(config, url, '/readyz');
  try {
    const parsed: unknown = JSON.parse(body);
    return { status, body: typeof parsed === 'object' && parsed !== null ? { ...parsed } : {} };
  } catch {
    return { status, body: {} };
  }
}
