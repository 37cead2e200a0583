import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { type AddressInfo, createServer as createTcpServer } from 'node:net';
import { join } from 'node:path';
import { createServer, getCACertificates, setDefaultCACertificates } from 'node:tls';
import { expect } from 'chai';
import { certificateShownAt } from '../../../src/cli/doctor/shown_certificate.ts';
import { rejection } from '../../support/rejection.ts';

const fixture = (name: string) => readFileSync(join(import.meta.dirname, '../../fixtures/tls', name), 'utf8');

describe('the certificate that is shown at an address', () => {
  const server = createServer({ cert: fixture('certificate.pem'), key: fixture('key.pem') });
  let port: number;

  before(async () => {
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    port = (server.address() as AddressInfo).port;
  });

  after(() => server.close());

  it('is not seen where nobody listens, or nobody speaks TLS', async () => {
    const clear = createTcpServer((socket) => socket.end('no TLS\r\n')).listen(0, '127.0.0.1');
    await once(clear, 'listening');
    const { port: clearPort } = clear.address() as AddressInfo;
    expect(await rejection(certificateShownAt(`https://127.0.0.1:${clearPort}`))).to.be.instanceOf(Error);
    clear.close();
    expect(await rejection(certificateShownAt('https://127.0.0.1:1'))).to.be.instanceOf(Error);
  });

  it('is told with why it is not accepted', async () => {
    const { chain, refusal } = await certificateShownAt(`https://localhost:${port}`);
    expect(chain).to.have.length(1);
    expect(chain[0]!.subject).to.contain('localhost');
    expect(refusal).to.equal('DEPTH_ZERO_SELF_SIGNED_CERT');
  });

  it('is accepted where its authority is known and its name is that of the address', async () => {
    const before = getCACertificates('default');
    setDefaultCACertificates([...before, fixture('certificate.pem')]);
    try {
      expect((await certificateShownAt(`https://localhost:${port}`)).refusal).to.equal(undefined);
    } finally {
      setDefaultCACertificates(before);
    }
  });
});
