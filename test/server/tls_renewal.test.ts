import { copyFile, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect } from 'chai';
import { createLogger } from '../../src/server/log.ts';
import { readTlsFiles, type TlsIdentity } from '../../src/server/tls.ts';
import { TlsRenewal } from '../../src/server/tls_renewal.ts';
import { eventually } from '../support/eventually.ts';

const fixtures = join(import.meta.dirname, '../fixtures/tls');

describe('the renewal of the certificate', () => {
  let directory: string;
  let files: { certificateFile: string; keyFile: string };
  let shown: TlsIdentity[];
  let renewal: TlsRenewal;
  const lines: string[] = [];
  const log = createLogger('info', { write: (line: string) => void lines.push(line) });
  const errors = () =>
    lines.filter((line) => JSON.parse(line).level === 50 || JSON.parse(line).level === 'error');

  const put = async (certificate: string, key: string) => {
    await copyFile(join(fixtures, certificate), files.certificateFile);
    await copyFile(join(fixtures, key), files.keyFile);
  };

  beforeEach(async () => {
    directory = await mkdtemp(join(tmpdir(), 'pm-renewal-'));
    files = { certificateFile: join(directory, 'certificate.pem'), keyFile: join(directory, 'key.pem') };
    lines.length = 0;
    shown = [];
    await put('certificate.pem', 'key.pem');
    renewal = new TlsRenewal(files, {
      shown: await readTlsFiles(files.certificateFile, files.keyFile),
      show: (identity) => void shown.push(identity),
      log,
    });
  });

  afterEach(() => rm(directory, { recursive: true }));

  it('keeps what is shown while the files are away, broken or of two pairs, and says each once', async () => {
    await copyFile(join(fixtures, 'chain.pem'), files.certificateFile);
    await renewal.run();
    await renewal.run();
    expect(errors()).to.have.length(1);
    await writeFile(files.certificateFile, 'nothing');
    await renewal.run();
    await rm(files.keyFile);
    await renewal.run();
    await renewal.run();
    expect(errors()).to.have.length(3);
    expect(shown).to.deep.equal([]);
  });

  it('tries again what a door refused', async () => {
    let refuses = true;
    const refused = new TlsRenewal(files, {
      shown: await readTlsFiles(files.certificateFile, files.keyFile),
      show: (identity) => {
        if (refuses) throw new Error('no');
        shown.push(identity);
      },
      log,
    });
    await put('chain.pem', 'chain_key.pem');
    await refused.run();
    expect(shown).to.deep.equal([]);
    refuses = false;
    await refused.run();
    expect(shown).to.have.length(1);
  });

  it('shows a new pair once, and nothing where nothing changed', async () => {
    await renewal.run();
    expect(shown).to.deep.equal([]);
    await put('chain.pem', 'chain_key.pem');
    await Promise.all([renewal.run(), renewal.run()]);
    expect(shown.map(({ certificateChain }) => certificateChain)).to.deep.equal([
      await readFile(join(fixtures, 'chain.pem')),
    ]);
    expect(errors()).to.deep.equal([]);
  });

  it('looks by itself until it is stopped', async () => {
    renewal.start(5);
    await put('chain.pem', 'chain_key.pem');
    await eventually(() => shown.length === 1);
    renewal.stop();
  });
});
