import { copyFile, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect } from 'chai';
import { readTlsFiles, TlsFilesError } from '../../src/server/tls.ts';

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
