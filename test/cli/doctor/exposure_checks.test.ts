import { once } from 'node:events';
import { chmod, copyFile, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createServer } from 'node:tls';
import { expect } from 'chai';
import type { Subject } from '../../../src/cli/doctor/check.ts';
import { EXPOSURE_CHECKS } from '../../../src/cli/doctor/exposure_checks.ts';
import { look, subjectOf } from '../../support/doctor.ts';

const fixtures = join(import.meta.dirname, '../../fixtures/tls');
const DAY_MS = 86_400_000;

describe('the checks of what is open to the network', () => {
  let directory: string;
  let chain: string;
  let key: string;

  before(async () => {
    directory = await mkdtemp(join(tmpdir(), 'pm-doctor-tls-'));
    [chain, key] = [join(directory, 'chain.pem'), join(directory, 'key.pem')];
    await copyFile(join(fixtures, 'chain.pem'), chain);
    await copyFile(join(fixtures, 'chain_key.pem'), key);
    await chmod(key, 0o600);
  });

  after(() => rm(directory, { recursive: true }));

  const check = (name: string, settings: Record<string, string> = {}, more: Partial<Subject> = {}) =>
    look(EXPOSURE_CHECKS, name, subjectOf(settings, more));
  const tls = (certificateFile = chain) => ({
    PASSMANAGER_TLS_CERT_FILE: certificateFile,
    PASSMANAGER_TLS_KEY_FILE: key,
  });

  it('find a private key of another certificate, and one that everybody may read', async () => {
    const other = join(fixtures, 'certificate.pem');
    expect(await check('tls_files', tls(other))).to.include({ state: 'failure' });
    await chmod(key, 0o644);
    expect((await check('tls_files', tls())).advice).to.contain('chmod');
    await chmod(key, 0o600);
    expect(await check('tls_files', tls())).to.include({ state: 'good' });
  });

  it('find a chain that is out of order, one without its issuer, and a certificate that signed itself', async () => {
    const pem = await readFile(chain, 'utf8');
    const [leaf, issuer] = pem.match(/-----BEGIN[^-]+-----[^-]+-----END CERTIFICATE-----\n/g)!;
    const written = async (name: string, text: string) => {
      const file = join(directory, name);
      await writeFile(file, text);
      return check('tls_chain', tls(file));
    };
    expect(await written('disorder.pem', `${leaf}${leaf}${issuer}`)).to.include({ state: 'failure' });
    expect(await written('empty.pem', 'nothing')).to.include({ state: 'failure' });
    expect((await written('alone.pem', leaf!)).advice).to.contain('fullchain');
    expect((await check('tls_chain', tls(join(fixtures, 'certificate.pem')))).detail).to.contain('itself');
    const whole = await check('tls_chain', tls());
    expect(whole).to.include({ state: 'good' });
    expect(whole.detail).to.contain('vault.example.org');
  });

  it('count the days that a certificate has, and warn before they are over', async () => {
    const ends = Date.parse((await certificateEnd(chain)).validTo);
    const at = (now: number) => check('tls_days_left', tls(), { now });
    expect(await at(ends + DAY_MS)).to.include({ state: 'failure' });
    expect(await at(ends - 20 * DAY_MS)).to.include({ state: 'warning' });
    expect((await at(ends - 20 * DAY_MS)).detail).to.contain('20 days left');
    expect(await at(ends - 40 * DAY_MS)).to.include({ state: 'good' });
    expect((await at(0)).detail).to.contain('not valid yet');
  });

  it('look at the certificate that clients of a proxy see, whatever the server’s own is', async () => {
    const proxy = createServer({
      cert: await readFile(join(fixtures, 'certificate.pem')),
      key: await readFile(join(fixtures, 'key.pem')),
    }).listen(0, '127.0.0.1');
    await once(proxy, 'listening');
    const url = `https://localhost:${(proxy.address() as AddressInfo).port}`;
    try {
      for (const settings of [{}, tls()]) {
        const shown = await check('tls_chain', settings, { url });
        expect(shown).to.include({ state: 'failure' });
        expect(shown.detail).to.contain(url).and.to.contain('SELF_SIGNED');
      }
      expect(await check('tls_days_left', {}, { url })).to.include({ state: 'good' });
      expect(await check('tls_days_left', {}, { url, now: Date.now() + 200 * 365 * DAY_MS })).to.include({
        state: 'failure',
      });
    } finally {
      proxy.close();
    }
    expect(await check('tls_chain', {}, { url })).to.include({ state: 'failure' });
    expect((await check('tls_chain', {}, { url: 'http://localhost' })).state).to.equal('skipped');
  });

  it('warn of a secret in a file that everybody may read', async () => {
    const file = join(directory, 'passphrase');
    await writeFile(file, 'correct horse battery staple');
    const at = async (mode: number) => {
      await chmod(file, mode);
      return check('secret_files', {}, { secretFiles: [file] });
    };
    expect(await at(0o644)).to.include({ state: 'warning' });
    expect((await at(0o644)).advice).to.contain(file);
    expect(await at(0o640)).to.include({ state: 'good' });
    expect(await check('secret_files')).to.include({ state: 'skipped' });
  });

  it('skip TLS where there is none', async () => {
    for (const name of ['tls_files', 'tls_chain', 'tls_days_left'])
      expect((await check(name)).state).to.equal('skipped');
  });

  it('warn of what strangers should not have: clear text, registration, reflection, no rate limit', async () => {
    const outside = { PASSMANAGER_HOST: '192.0.2.1', PASSMANAGER_INSECURE: 'on' };
    expect(await check('clear_text', outside)).to.include({ state: 'warning' });
    expect(await check('clear_text')).to.include({ state: 'good' });
    expect(await check('registration', { ...outside, PASSMANAGER_REGISTRATION: 'open' })).to.include({
      state: 'warning',
    });
    const proxied = { PASSMANAGER_TRUSTED_PROXIES: '127.0.0.1', PASSMANAGER_REGISTRATION: 'open' };
    expect(await check('registration', proxied)).to.include({ state: 'warning' });
    expect(await check('registration', outside)).to.include({ state: 'good', detail: 'invite' });
    expect(await check('reflection', { ...outside, PASSMANAGER_REFLECTION: 'on' })).to.include({
      state: 'warning',
    });
    expect(await check('reflection', { PASSMANAGER_REFLECTION: 'on' })).to.include({ state: 'good' });
    expect(await check('rate_limit', { PASSMANAGER_RATE_LIMIT: 'off' })).to.include({ state: 'warning' });
    expect(await check('rate_limit')).to.include({ state: 'good' });
  });

  it('warn of proxies that are half the world', async () => {
    const trusting = (text: string) => check('proxy_trust', { PASSMANAGER_TRUSTED_PROXIES: text });
    for (const wide of ['0.0.0.0/0', '10.0.0.1,::/0', '0.0.0.0/1'])
      expect(await trusting(wide), wide).to.include({ state: 'warning' });
    expect(await trusting('10.0.0.0/8,127.0.0.1,fd00::/16')).to.include({ state: 'good' });
    expect(await check('proxy_trust')).to.include({ state: 'good' });
    const announced = {
      PASSMANAGER_TRUSTED_PROXIES: '10.0.0.1',
      PASSMANAGER_PROXY_HEADER: 'proxy-protocol',
    };
    expect((await check('proxy_trust', announced)).detail).to.contain('proxy-protocol');
  });

  it('warn of pages in clear text that may call', async () => {
    const origins = (text: string) => check('cors', { PASSMANAGER_CORS_ORIGINS: text });
    expect(await origins('http://vault.example.org')).to.include({ state: 'warning' });
    expect(await origins('https://vault.example.org,http://localhost:5173')).to.include({ state: 'good' });
    expect(await check('cors')).to.include({ state: 'good' });
  });

  it('warn of more threads than cores, and say what sessions may last', async () => {
    expect(await check('login_threads', { PASSMANAGER_SRP_WORKERS: '64' })).to.include({ state: 'warning' });
    expect(await check('login_threads')).to.include({ state: 'good' });
    expect((await check('session_caps', { PASSMANAGER_CAP_EXPIRY_SECONDS: '86400' })).detail).to.contain(
      '86400',
    );
  });
});

async function certificateEnd(file: string): Promise<{ validTo: string }> {
  const { X509Certificate } = await import('node:crypto');
  const { validTo } = new X509Certificate(await readFile(file));
  return { validTo };
}
