import { once } from 'node:events';
import { readFile } from 'node:fs/promises';
import { createServer as createClearServer, type Server } from 'node:http';
import { createSecureServer } from 'node:http2';
import type { AddressInfo } from 'node:net';
import { expect } from 'chai';
import { SessionService } from '../../gen/passmanager/session/v1/session_service_pb.ts';
import { connectionHint } from '../../src/client/connection_hint.ts';
import { createConnectTransport, createGrpcTransport, type VaultTransport } from '../../src/client/node.ts';
import { rejection } from '../support/rejection.ts';

describe('the hint of a connection that was not made', () => {
  let tls: Server;
  let clear: Server;
  let ca: string;
  const portOf = (server: Server) => (server.address() as AddressInfo).port;

  before(async () => {
    const read = (name: string) => readFile(new URL(`../fixtures/tls/${name}`, import.meta.url), 'utf8');
    ca = await read('certificate.pem');
    tls = createSecureServer({ cert: ca, key: await read('key.pem'), allowHTTP1: true }) as unknown as Server;
    clear = createClearServer();
    for (const server of [tls, clear]) {
      server.listen(0, '127.0.0.1');
      await once(server, 'listening');
    }
  });

  after(() => {
    tls.close();
    clear.close();
  });

  /** What is said of the error of a call. */
  async function hintOf(transport: VaultTransport & { close?(): void }): Promise<string | undefined> {
    const { startSession } = SessionService.method;
    const error = await rejection(transport.unary(startSession, undefined, 5_000, undefined, {}, undefined));
    transport.close?.();
    return connectionHint(error);
  }

  for (const [name, make] of [
    ['gRPC', createGrpcTransport],
    ['Connect', createConnectTransport],
  ] as const) {
    it(`tells over ${name} that a certificate is not trusted, and that nobody speaks TLS`, async () => {
      expect(await hintOf(make({ url: `https://127.0.0.1:${portOf(tls)}` }))).to.include('not trusted');
      expect(await hintOf(make({ url: `https://127.0.0.1:${portOf(clear)}`, ca }))).to.include('no TLS');
    });
  }

  it('tells that a certificate is for another name', () => {
    const cause = Object.assign(new Error('Hostname/IP does not match'), {
      code: 'ERR_TLS_CERT_ALTNAME_INVALID',
    });
    expect(connectionHint(new Error('unavailable', { cause }))).to.include('another name');
  });

  it('is silent about everything else', async () => {
    expect(connectionHint(new Error('connect ECONNREFUSED 127.0.0.1:1'))).to.equal(undefined);
    expect(connectionHint('text')).to.equal(undefined);
    expect(await hintOf(createGrpcTransport({ url: 'http://127.0.0.1:1' }))).to.equal(undefined);
  });
});
