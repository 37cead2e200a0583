/** The entry point for Node: Argon2id in native code; native gRPC, Connect and gRPC-Web. */
import {
  createConnectTransport as makeConnectTransport,
  createGrpcWebTransport as makeGrpcWebTransport,
} from '@connectrpc/connect-node';
import { argon2idInNode } from './argon2id_node.ts';
import { createVaultClient } from './index.ts';
import { MAXIMUM_MESSAGE_BYTES, markConfidential, type VaultTransport } from './transport.ts';

export { argon2idInNode } from './argon2id_node.ts';
export { createGrpcTransport, type GrpcTransport, type GrpcTransportOptions } from './grpc_transport.ts';
export * from './index.ts';

/** Where and how to connect over HTTP. */
export interface HttpTransportOptions {
  /** `https://host:port`, or `http://127.0.0.1:port`. */
  readonly url: string;
  /** HTTP/2 needs TLS here. Default: 1.1. */
  readonly httpVersion?: '1.1' | '2';
  /** A certificate authority of one's own, PEM. Default: those that Node trusts. */
  readonly ca?: string;
}

/** A transport that speaks Connect. */
export function createConnectTransport(options: HttpTransportOptions): VaultTransport {
  return markConfidential(makeConnectTransport(transportOptions(options)), options.url);
}

/** A transport that speaks gRPC-Web. */
export function createGrpcWebTransport(options: HttpTransportOptions): VaultTransport {
  return markConfidential(makeGrpcWebTransport(transportOptions(options)), options.url);
}

function transportOptions({ url, httpVersion = '1.1', ca }: HttpTransportOptions) {
  return {
    baseUrl: url,
    httpVersion,
    // Ciphertext does not compress.
    acceptCompression: [],
    readMaxBytes: MAXIMUM_MESSAGE_BYTES,
    writeMaxBytes: MAXIMUM_MESSAGE_BYTES,
    ...(ca === undefined ? {} : { nodeOptions: { ca } }),
  };
}

/** Registering, logging in and settling a password change, in Node. See VaultClient. */
export const { registerUser, logIn, settlePasswordChange } = createVaultClient({ argon2id: argon2idInNode });
