import { X509Certificate } from 'node:crypto';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { copyFile, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { connect, type SecureVersion } from 'node:tls';
import { expect } from 'chai';
import { NO_PROXIES } from '../../src/server/client_address.ts';
import { DEFAULT_DOOR_LIMITS, type Door } from '../../src/server/door.ts';
import { createGrpcDoor } from '../../src/server/grpc_door.ts';
import { createHttpDoor } from '../../src/server/http_door.ts';
import { createLogger } from '../../src/server/log.ts';
import { readTlsFiles, TlsFilesError } from '../../src/server/tls.ts';
import { FakeReadiness } from '../support/fake_rpcs.ts';

const fixtures = join(import.meta.dirname, '../fixtures/tls');
const certificate = join(fixtures, 'certificate.pem');
const key = join(fixtures, 'key.pem');

async function refusal(certificateFile: string, keyFile: string): Promise<TlsFilesError> {
  try {
    await readTlsFiles(certificateFile, keyFile);
  } catch (error) {
    expect(error).to.be.instanceOf(TlsFilesError);
    return error as TlsFilesError;
  }
  throw new Error('the pair was accepted');
}

describe('readTlsFiles', () => {
  let directory: string;

  before(async () => {
    directory = await mkdtemp(join(tmpdir(), 'passmanager-tls-'));
  });

  after(() => rm(directory, { recursive: true }));

  it('refuses a file that is not there, and names it', async () => {
    const missing = join(directory, 'missing.pem');
    expect((await refusal(missing, key)).message).to.include(missing);
    expect((await refusal(certificate, missing)).message).to.include(missing);
  });

  it('refuses a file that holds something else, and names it', async () => {
    const other = join(directory, 'other.pem');
    await writeFile(other, 'not a PEM file');
    expect((await refusal(other, key)).message).to.include(other);
    expect((await refusal(certificate, other)).message).to.include(other);
  });

  it('refuses the two files in the wrong order', async () => {
    expect((await refusal(key, certificate)).message).to.include(key);
  });

  it('refuses a key of another certificate', async () => {
    const other = join(fixtures, 'other_key.pem');
    expect((await refusal(certificate, other)).message).to.include(other);
  });

  it('never repeats what a file holds', async () => {
    const secret = join(directory, 'secret.pem');
    await writeFile(secret, 'hunter2');
    const { message, cause } = await refusal(certificate, secret);
    expect(message + String(cause)).to.not.include('hunter2');
  });

  it('reads a pair that belongs together', async () => {
    const copy = join(directory, 'certificate.pem');
    await copyFile(certificate, copy);
    const identity = await readTlsFiles(copy, key);
    expect(identity.certificateChain.toString()).to.include('BEGIN CERTIFICATE');
    expect(identity.privateKey.toString()).to.include('PRIVATE KEY');
  });
});

describe('a door under TLS', () => {
  const doors: Record<string, Door> = {};

  before(async () => {
    const options = {
      rpcs: [],
      readiness: new FakeReadiness(),
      clients: NO_PROXIES,
      host: '127.0.0.1',
      port: 0,
      tls: await readTlsFiles(certificate, key),
      limits: DEFAULT_DOOR_LIMITS,
      log: createLogger('silent'),
    };
    doors.gRPC = await createGrpcDoor({ ...options, reflection: false });
    doors.HTTP = await createHttpDoor({ ...options, corsOrigins: [] });
  });

  after(() => Promise.all(Object.values(doors).map((door) => door.stop(0))));

  /** The version that was agreed on, or the alert that ended the handshake. */
  const handshake = (name: string, maxVersion: SecureVersion): Promise<string> =>
    new Promise((resolve) => {
      const socket = connect({
        host: '127.0.0.1',
        port: doors[name]!.address.port,
        ca: readFileSync(certificate),
        servername: 'localhost',
        ALPNProtocols: ['h2'],
        minVersion: 'TLSv1',
        maxVersion,
        // Without it this side would refuse the old versions by itself.
        ciphers: 'DEFAULT@SECLEVEL=0',
      });
      socket.on('error', (error: NodeJS.ErrnoException) => resolve(error.code ?? error.message));
      socket.on('secureConnect', () => {
        resolve(socket.getProtocol() ?? 'none');
        socket.destroy();
      });
    });

  for (const name of ['gRPC', 'HTTP']) {
    it(`speaks no version below 1.2 and takes the highest, on the ${name} door`, async () => {
      expect(await handshake(name, 'TLSv1.1')).to.equal('ERR_SSL_TLSV1_ALERT_PROTOCOL_VERSION');
      expect(await handshake(name, 'TLSv1.2')).to.equal('TLSv1.2');
      expect(await handshake(name, 'TLSv1.3')).to.equal('TLSv1.3');
    });
  }

  for (const name of ['gRPC', 'HTTP']) {
    it(`shows another certificate from the next handshake on, and refuses a broken one, on the ${name} door`, async () => {
      const door = doors[name]!;
      const before = connect({ ...shown(name), ALPNProtocols: ['h2'] });
      await once(before, 'secureConnect');
      const pem = readFileSync(join(fixtures, 'chain.pem'));
      expect(() =>
        door.renewTls({ certificateChain: pem, privateKey: readFileSync(join(fixtures, 'other_key.pem')) }),
      ).to.throw();
      expect(await subjectOf(name)).to.include('localhost');
      door.renewTls({ certificateChain: pem, privateKey: readFileSync(join(fixtures, 'chain_key.pem')) });
      expect(await subjectOf(name)).to.equal(new X509Certificate(pem).subject);
      expect(await handshake(name, 'TLSv1.1')).to.equal('ERR_SSL_TLSV1_ALERT_PROTOCOL_VERSION');
      // Connections that are open stay.
      expect(before.destroyed).to.equal(false);
      before.destroy();
    });
  }

  const shown = (name: string) => ({
    host: '127.0.0.1',
    port: doors[name]!.address.port,
    servername: 'localhost',
    rejectUnauthorized: false,
  });

  /** Whose certificate a new connection sees. */
  async function subjectOf(name: string): Promise<string> {
    const socket = connect(shown(name));
    await once(socket, 'secureConnect');
    const { subject } = socket.getPeerX509Certificate()!;
    socket.destroy();
    return subject;
  }
});
