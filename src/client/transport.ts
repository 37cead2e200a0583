/** How the library reaches a server: Connect's Transport, and whether somebody on the way could read along. */
import type { Transport } from '@connectrpc/connect';

/** A transport over which a vault is used. Any Connect transport is one; without `confidential` it counts as readable. */
export interface VaultTransport extends Transport {
  /** True when it goes over TLS or does not leave the machine. */
  readonly confidential?: boolean;
}

/** The largest message of the contract: 4 MiB. */
export const MAXIMUM_MESSAGE_BYTES = 4 * 1024 * 1024;

/** The transport, marked by its URL. */
export function markConfidential(transport: Transport, url: string): VaultTransport {
  return {
    confidential: isConfidentialUrl(url),
    unary: transport.unary.bind(transport),
    stream: transport.stream.bind(transport),
  };
}

/** Whether a URL is https, or names a loopback address: localhost and below, 127.0.0.0/8, ::1. */
export function isConfidentialUrl(url: string): boolean {
  const { protocol, hostname } = new URL(url);
  if (protocol === 'https:') return true;
  return /^(localhost|.+\.localhost|127(\.\d{1,3}){3}|\[::1\])$/.test(hostname);
}
