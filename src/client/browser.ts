/** The entry point for browsers: Argon2id in WebAssembly; Connect and gRPC-Web over fetch. */
import {
  createConnectTransport as makeConnectTransport,
  createGrpcWebTransport as makeGrpcWebTransport,
} from '@connectrpc/connect-web';
import { argon2idInWasm } from './argon2id_browser.ts';
import { createVaultClient } from './index.ts';
import { markConfidential, type VaultTransport } from './transport.ts';

export { argon2idInWasm, argon2idInWorker, serveArgon2id } from './argon2id_browser.ts';
export * from './index.ts';

/** Where to connect. */
export interface WebTransportOptions {
  /** `https://host:port`, or `http://127.0.0.1:port`. Another origin than the page's must be named in the server's settings. */
  readonly url: string;
}

/** A transport that speaks Connect, in its binary form. */
export function createConnectTransport({ url }: WebTransportOptions): VaultTransport {
  return markConfidential(makeConnectTransport({ baseUrl: url, useBinaryFormat: true }), url);
}

/** A transport that speaks gRPC-Web. */
export function createGrpcWebTransport({ url }: WebTransportOptions): VaultTransport {
  return markConfidential(makeGrpcWebTransport({ baseUrl: url }), url);
}

/** Registering, logging in and settling a password change, in a browser. See VaultClient. */
export const { registerUser, logIn, settlePasswordChange } = createVaultClient({ argon2id: argon2idInWasm });
