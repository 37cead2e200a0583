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
import type { Config } from '../../server/config.ts';

/** A way to a server. */
export interface DoorClient {
  readonly url: string;
  /** A transport of its own for each use. */
  transport(): { readonly transport: VaultTransport; close(): void };
}

type Places = Pick<Config, 'host' | 'grpcPort' | 'httpPort' | 'tls'>;

/** The gRPC door, or the server behind `url`. */
export function grpcDoor(config: Places, url: string | undefined): DoorClient {
  const own = url ?? doorUrl(config, config.grpcPort);
  const tls = url === undefined ? ownTls(config) : undefined;
  return {
    url: own,
    transport: () => {
      const transport = createGrpcTransport({
        url: own,
        ...(tls === undefined
          ? {}
          : {
              channelCredentials: credentials.createFromSecureContext(tls.secureContext!, {
                checkServerIdentity: tls.checkServerIdentity!,
              }),
            }),
      });
      return { transport, close: () => transport.close() };
    },
  };
}

/** The HTTP door, or the server behind `url`, by Connect. */
export function httpDoor(config: Places, url: string | undefined): DoorClient {
  const own = url ?? doorUrl(config, config.httpPort);
  const tls = url === undefined ? ownTls(config) : undefined;
  return {
    url: own,
    transport: () => {
      // Connections of its own, which do not outlive it.
      const agent = own.startsWith('https:') ? new HttpsAgent(tls) : new HttpAgent();
      const nodeOptions = { ...tls, agent };
      const transport = makeConnectTransport({
        baseUrl: own,
        httpVersion: '1.1',
        acceptCompression: [],
        nodeOptions,
      });
      return { transport: markConfidential(transport, own), close: () => agent.destroy() };
    },
  };
}

/** What a door answers to a GET. Rejects when nobody answers within five seconds. */
export function getFromDoor(
  config: Places,
  url: string | undefined,
  path: string,
): Promise<{ status: number; body: string }> {
  const base = url ?? doorUrl(config, config.httpPort);
  const options = {
    agent: false as const,
    timeout: 5_000,
    ...(url === undefined ? ownTls(config) : undefined),
  };
  const get = base.startsWith('https:') ? httpsGet : httpGet;
  return new Promise((resolve, reject) => {
    const request = get(new URL(path, base), options, (response) => {
      const parts: Buffer[] = [];
      response.on('data', (part: Buffer) => parts.push(part));
      response.on('end', () =>
        resolve({ status: response.statusCode ?? 0, body: Buffer.concat(parts).toString('utf8') }),
      );
    });
    request.on('timeout', () => request.destroy(new Error('no answer within 5 s')));
    request.on('error', reject);
  });
}

/** Where a door is reached from this machine: one that listens everywhere, at loopback. */
export function doorUrl({ host, tls }: Pick<Config, 'host' | 'tls'>, port: number): string {
  const address = host === '0.0.0.0' ? '127.0.0.1' : host === '::' ? '::1' : host;
  const name = address.includes(':') ? `[${address}]` : address;
  return `${tls === undefined ? 'http' : 'https'}://${name}:${port}`;
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
