/** The certificate and key that a door shows, read from two PEM files. */
import { createPrivateKey, X509Certificate } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { Server as TlsServer } from 'node:tls';

/** A certificate chain, leaf first, and the private key of its leaf, both PEM. */
export interface TlsIdentity {
  readonly certificateChain: Buffer;
  readonly privateKey: Buffer;
}

/** Has a server show another certificate from the next handshake on. Throws what OpenSSL refuses; does nothing in clear. */
export function showTls(server: object, { certificateChain, privateKey }: TlsIdentity): void {
  // The secure server of node:http2 is one of node:tls.
  if (server instanceof TlsServer) server.setSecureContext({ cert: certificateChain, key: privateKey });
}

/** The two files cannot be used; the message says which and why. */
export class TlsFilesError extends Error {
  constructor(message: string, cause?: unknown) {
    super(message, cause === undefined ? undefined : { cause });
    this.name = 'TlsFilesError';
  }
}

/**
 * Reads a certificate chain and a private key and checks that they belong together, so that a wrong pair ends the start
 * and not every handshake. Throws a TlsFilesError.
 */
export async function readTlsFiles(certificateFile: string, keyFile: string): Promise<TlsIdentity> {
  const certificateChain = await read(certificateFile, 'certificate');
  const privateKey = await read(keyFile, 'private key');
  const leaf = parse(certificateFile, 'a PEM certificate', () => new X509Certificate(certificateChain));
  const key = parse(keyFile, 'a PEM private key without a passphrase', () => createPrivateKey(privateKey));
  if (!leaf.checkPrivateKey(key)) {
    throw new TlsFilesError(
      `The private key in ${keyFile} is not the one of the first certificate in ${certificateFile}.`,
    );
  }
  return { certificateChain, privateKey };
}

async function read(file: string, what: string): Promise<Buffer> {
  try {
    return await readFile(file);
  } catch (error) {
    throw new TlsFilesError(
      `The TLS ${what} ${file} cannot be read: ${(error as NodeJS.ErrnoException).code ?? error}.`,
      error,
    );
  }
}

function parse<T>(file: string, what: string, parser: () => T): T {
  try {
    return parser();
  } catch (error) {
    throw new TlsFilesError(`${file} does not hold ${what}.`, error);
  }
}
