/** The certificate that is shown at an address of clients, by a proxy perhaps, and what this machine thinks of it. */
import type { X509Certificate } from 'node:crypto';
import { isIP } from 'node:net';
import { connect } from 'node:tls';

/** How long a handshake may take, in milliseconds. */
const PATIENCE_MS = 5_000;

/** What is shown at an address. */
export interface ShownCertificate {
  /** Leaf first. Its end may be of this machine's own store of authorities. */
  readonly chain: readonly X509Certificate[];
  /** Why this machine does not accept it for that name: OpenSSL's or Node's code. None: it does. */
  readonly refusal: string | undefined;
}

/** The certificate at a URL of https, accepted or not. Rejects where there is no handshake. */
export function certificateShownAt(url: string): Promise<ShownCertificate> {
  const { hostname, port } = new URL(url);
  const host = hostname.replace(/^\[|\]$/g, '');
  return new Promise((resolve, reject) => {
    const socket = connect({
      host,
      port: port === '' ? 443 : Number(port),
      ...(isIP(host) === 0 ? { servername: host } : {}),
      ALPNProtocols: ['h2', 'http/1.1'],
      // What is refused is what is to be told.
      rejectUnauthorized: false,
      timeout: PATIENCE_MS,
    });
    socket.once('timeout', () => socket.destroy(new Error(`no handshake within ${PATIENCE_MS / 1_000} s`)));
    socket.once('error', reject);
    socket.once('secureConnect', () => {
      const chain: X509Certificate[] = [];
      let next = socket.getPeerX509Certificate();
      while (
        next !== undefined &&
        !chain.some(({ fingerprint256 }) => fingerprint256 === next!.fingerprint256)
      ) {
        chain.push(next);
        next = next.issuerCertificate;
      }
      const refusal = socket.authorized ? undefined : String(socket.authorizationError);
      socket.destroy();
      resolve({ chain, refusal });
    });
  });
}
