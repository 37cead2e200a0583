import { join } from 'node:path';
import { expect } from 'chai';
import { doorUrl, getFromDoor, grpcDoor, httpDoor } from '../../../src/cli/doctor/doors.ts';
import { logIn } from '../../../src/client/node.ts';
import { rejection } from '../../support/rejection.ts';
import { startTestServer, type TestServer } from '../../support/test_server.ts';

const fixtures = join(import.meta.dirname, '../../fixtures/tls');

describe('the doors as the doctor reaches them', () => {
  let server: TestServer;

  before(async () => {
    // A certificate that is for another name and of an authority that nobody knows.
    server = await startTestServer({
      settings: {
        PASSMANAGER_TLS_CERT_FILE: join(fixtures, 'chain.pem'),
        PASSMANAGER_TLS_KEY_FILE: join(fixtures, 'chain_key.pem'),
      },
    });
  });

  after(() => server.stop());

  const places = (certificate = 'chain.pem') => ({
    host: '127.0.0.1',
    grpcPort: server.running.grpcAddress.port,
    httpPort: server.running.httpAddress.port,
    tls: { certificateFile: join(fixtures, certificate), keyFile: join(fixtures, 'chain_key.pem') },
    trustedProxies: [],
    proxyHeader: 'x-forwarded-for' as const,
  });
  /** What a log-in that cannot be is refused with. */
  const refusal = async (door: ReturnType<typeof grpcDoor>): Promise<string> => {
    const { transport, close } = await door.transport();
    try {
      return (await rejection(logIn(transport, { username: 'nobody@example.org', password: 'x' }))).name;
    } finally {
      close();
    }
  };

  it('are not trusted when they show another certificate than the configured one', async () => {
    for (const door of [grpcDoor, httpDoor])
      expect(await refusal(door(places('certificate.pem'), undefined))).not.to.equal('WrongCredentialsError');
    expect(await rejection(getFromDoor(places('certificate.pem'), undefined, '/healthz'))).to.be.instanceOf(
      Error,
    );
  });

  it('are not trusted at the address of clients unless the certificate is for it', async () => {
    const url = `https://127.0.0.1:${server.running.httpAddress.port}`;
    expect(await refusal(httpDoor(places(), url))).not.to.equal('WrongCredentialsError');
    expect(await rejection(getFromDoor(places(), url, '/healthz'))).to.be.instanceOf(Error);
  });

  it('are reached by the configured certificate, whoever signed it and whatever name is on it', async () => {
    for (const door of [grpcDoor, httpDoor])
      expect(await refusal(door(places(), undefined))).to.equal('WrongCredentialsError');
    expect(await getFromDoor(places(), undefined, '/healthz')).to.deep.equal({
      status: 200,
      body: '{"status":"alive"}',
    });
  });

  it('are reached as a proxy reaches them where they take this machine for one, and not otherwise', async () => {
    const announced = await startTestServer({
      settings: { PASSMANAGER_TRUSTED_PROXIES: '127.0.0.1', PASSMANAGER_PROXY_HEADER: 'proxy-protocol' },
    });
    try {
      const { grpcAddress, httpAddress } = announced.running;
      const own = { ...announced.config, grpcPort: grpcAddress.port, httpPort: httpAddress.port };
      const others = { ...own, trustedProxies: ['192.0.2.1'] };
      expect(await rejection(getFromDoor(others, undefined, '/healthz'))).to.be.instanceOf(Error);
      expect(httpDoor(own, undefined).url).to.equal(announced.httpUrl);
      expect((await getFromDoor(own, undefined, '/healthz')).status).to.equal(200);
      for (const door of [grpcDoor, httpDoor])
        expect(await refusal(door(own, undefined))).to.equal('WrongCredentialsError');
    } finally {
      await announced.stop();
    }
  });

  it('are reached by a certificate of their own through that, too', async () => {
    const way = { ...places(), trustedProxies: ['192.0.2.1'], proxyHeader: 'proxy-protocol' as const };
    expect((await getFromDoor(way, undefined, '/healthz')).status).to.equal(200);
    const other = { ...places('certificate.pem'), proxyHeader: 'proxy-protocol' as const };
    expect(await rejection(getFromDoor(other, undefined, '/healthz'))).to.be.instanceOf(Error);
  });

  it('are reached at loopback when they listen everywhere', () => {
    expect(doorUrl({ host: '0.0.0.0', tls: undefined }, 1)).to.equal('http://127.0.0.1:1');
    expect(doorUrl({ host: '::', tls: places().tls }, 1)).to.equal('https://[::1]:1');
    expect(doorUrl({ host: 'vault.example.org', tls: undefined }, 1)).to.equal('http://vault.example.org:1');
  });
});
