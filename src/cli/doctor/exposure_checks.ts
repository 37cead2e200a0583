/** What the configuration opens to the network. */
import { X509Certificate } from 'node:crypto';
import { readFile, stat } from 'node:fs/promises';
import { availableParallelism } from 'node:os';
import { parseNetwork } from '../../server/client_address.ts';
import { isLoopback, isReached } from '../../server/config.ts';
import { readTlsFiles } from '../../server/tls.ts';
import { type Check, type Finding, failure, good, skipped, warning } from './check.ts';
import { certificateShownAt } from './shown_certificate.ts';

/** Days before its end at which a certificate is worth a look: those of Let's Encrypt are renewed 30 days before. */
const CERTIFICATE_WARNING_DAYS = 21;

const DAY_MS = 86_400_000;

/** They go by the settings, and look at files and certificates. */
export const EXPOSURE_CHECKS: readonly Check[] = [
  {
    name: 'tls_files',
    look: async ({ config: { tls } }) => {
      if (tls === undefined) return skipped('no TLS of its own');
      await readTlsFiles(tls.certificateFile, tls.keyFile);
      const { mode } = await stat(tls.keyFile);
      return (mode & 0o007) === 0
        ? good('certificate and key belong together')
        : failure(`${tls.keyFile} is open to everybody`, `Run chmod 640 ${tls.keyFile}, or 600`);
    },
  },
  {
    name: 'tls_chain',
    look: async ({ config: { tls }, url }) => {
      const findings: Finding[] = [];
      if (tls !== undefined)
        findings.push(chainOf(certificatesOf(await readFile(tls.certificateFile, 'utf8'))));
      if (isHttps(url)) findings.push(await chainAt(url));
      return worstOf(findings);
    },
  },
  {
    name: 'tls_days_left',
    look: async ({ config: { tls }, url, now }) => {
      const findings: Finding[] = [];
      if (tls !== undefined)
        findings.push(
          daysLeft(certificatesOf(await readFile(tls.certificateFile, 'utf8')), now, OWN_RENEWAL),
        );
      if (isHttps(url)) findings.push(daysLeft((await certificateShownAt(url)).chain, now, PROXY_RENEWAL));
      return worstOf(findings);
    },
  },
  {
    name: 'secret_files',
    look: async ({ secretFiles }) => {
      if (secretFiles.length === 0) return skipped('no setting that is secret comes from a file');
      const open: string[] = [];
      for (const file of secretFiles) if (((await stat(file)).mode & 0o007) !== 0) open.push(file);
      return open.length === 0
        ? good(`${secretFiles.join(', ')}: closed to others`)
        : warning(
            `a secret is in a file that everybody on this machine may read: ${open.join(', ')}`,
            `Run chmod o= ${open.join(' ')}, and change the secret if others are on this machine.`,
          );
    },
  },
  {
    name: 'clear_text',
    look: ({ config }) => {
      if (config.tls !== undefined) return good('TLS on both doors');
      return isLoopback(config.host)
        ? good('clear text on loopback alone')
        : warning(
            `clear text on ${config.host}, by PASSMANAGER_INSECURE=on`,
            'Let nothing but your proxy reach these ports: who reads along sees when which session is used.',
          );
    },
  },
  {
    name: 'registration',
    look: ({ config }) =>
      config.registration === 'open' && isReached(config)
        ? warning(
            'anybody who reaches the server may make an account',
            'Set PASSMANAGER_REGISTRATION=invite, unless that is what you want.',
          )
        : good(config.registration),
  },
  {
    name: 'cors',
    look: ({ config: { corsOrigins } }) => {
      if (corsOrigins.length === 0) return good('no page of another origin may call');
      const clear = corsOrigins.filter(
        (origin) => origin.startsWith('http:') && !isLoopback(new URL(origin).hostname),
      );
      return clear.length === 0
        ? good(corsOrigins.join(', '))
        : warning(
            `pages in clear text may call: ${clear.join(', ')}`,
            'Who changes such a page on its way gets the password. Use https origins.',
          );
    },
  },
  {
    name: 'reflection',
    look: ({ config }) =>
      config.reflection && !isLoopback(config.host)
        ? warning('on: strangers may list the RPCs', 'Set PASSMANAGER_REFLECTION=off where nobody needs it.')
        : good(config.reflection ? 'on, on loopback' : 'off'),
  },
  {
    name: 'rate_limit',
    look: ({ config }) =>
      config.rateLimit
        ? good('on')
        : warning('off', 'Remove PASSMANAGER_RATE_LIMIT=off, which is for tests and benchmarks.'),
  },
  {
    name: 'proxy_trust',
    look: ({ config: { trustedProxies, proxyHeader, host } }) => {
      const wide = trustedProxies.filter((text) => {
        const [address, bits] = parseNetwork(text)!;
        return bits < (address.kind() === 'ipv4' ? 8 : 16);
      });
      if (wide.length > 0)
        return warning(
          `half the world is trusted: ${wide.join(', ')}`,
          'Name the proxies’ own addresses in PASSMANAGER_TRUSTED_PROXIES: who is trusted may say that it is anybody.',
        );
      return trustedProxies.length > 0
        ? good(`${trustedProxies.join(', ')}, by ${proxyHeader}`)
        : good(
            isLoopback(host)
              ? 'no proxy: if there is one, all its clients count as one network until PASSMANAGER_TRUSTED_PROXIES names it'
              : 'no proxy',
          );
    },
  },
  {
    name: 'login_threads',
    look: ({ config: { srpWorkers, srpQueueLimit } }) => {
      const cores = availableParallelism();
      const text = `${srpWorkers} threads on ${cores} cores, ${srpQueueLimit} log-ins may wait`;
      return srpWorkers <= cores
        ? good(text)
        : warning(text, 'Lower PASSMANAGER_SRP_WORKERS: more threads than cores only take memory.');
    },
  },
  {
    name: 'session_caps',
    look: ({ config: { limits } }) =>
      limits.capExpirySeconds === undefined && limits.capMaximumRequests === undefined
        ? good('clients choose how long a session lives')
        : good(
            `at most ${limits.capExpirySeconds ?? 'any number of'} s and ${limits.capMaximumRequests ?? 'any number of'} requests`,
          ),
  },
];

const OWN_RENEWAL =
  'Renew it: the server shows the new one within a minute. Its log says why where it does not.';
const PROXY_RENEWAL = 'Renew it where TLS ends, and see why that did not happen by itself.';

const isHttps = (url: string | undefined): url is string => url?.startsWith('https:') === true;

/** A chain as the file has it, leaf first. */
function chainOf(chain: readonly X509Certificate[]): Finding {
  const [leaf] = chain;
  if (leaf === undefined)
    return failure('there is no certificate in the file', 'Put the chain in, leaf first.');
  if (leaf.issuer === leaf.subject)
    return warning(
      'the certificate is signed by itself',
      'Clients need it as an authority of their own. A certificate of a public or private authority is easier.',
    );
  for (const [index, certificate] of chain.slice(0, -1).entries()) {
    if (!certificate.verify(chain[index + 1]!.publicKey))
      return failure(
        `certificate ${index + 1} of the file is not signed by the next`,
        'Put the leaf first, then each issuer in turn, without the root.',
      );
  }
  return chain.length > 1
    ? good(`${chain.length} certificates in order, for ${leaf.subjectAltName ?? leaf.subject}`)
    : warning(
        `one certificate, for ${leaf.subjectAltName ?? leaf.subject}, and none of its issuer`,
        'Unless the issuer is a root, clients cannot check it: use the full chain (fullchain.pem).',
      );
}

/** What this machine, as a client, thinks of the certificate at a URL. */
async function chainAt(url: string): Promise<Finding> {
  const { chain, refusal } = await certificateShownAt(url);
  const name = chain[0]?.subjectAltName ?? chain[0]?.subject ?? 'nobody';
  return refusal === undefined
    ? good(`${url} shows one for ${name} that this machine accepts`)
    : failure(
        `${url} shows one for ${name} that this machine does not accept (${refusal})`,
        'Have the proxy show the full chain of a certificate for this name. An authority of your own is made known by NODE_EXTRA_CA_CERTS.',
      );
}

function daysLeft(chain: readonly X509Certificate[], now: number, advice: string): Finding {
  const begins = Math.max(...chain.map(({ validFromDate }) => validFromDate.getTime()));
  const ends = Math.min(...chain.map(({ validToDate }) => validToDate.getTime()));
  const days = Math.floor((ends - now) / DAY_MS);
  const text = `until ${new Date(ends).toISOString().slice(0, 10)}, ${days} days left`;
  if (begins > now) return failure('the certificate is not valid yet', 'See the clock of this machine.');
  if (days < 0) return failure(text, advice);
  return days < CERTIFICATE_WARNING_DAYS ? warning(text, advice) : good(text);
}

/** The worst of what was found of the server's own certificate and of that at its clients' address. */
function worstOf(findings: readonly Finding[]): Finding {
  for (const state of ['failure', 'warning'] as const) {
    const found = findings.find((each) => each.state === state);
    if (found !== undefined) return found;
  }
  return findings.length === 0
    ? skipped('no TLS of its own; --url https://… looks at the certificate of a proxy')
    : good(findings.map(({ detail }) => detail).join('; '));
}

/** The certificates of a PEM file, in its order. */
function certificatesOf(pem: string): X509Certificate[] {
  const blocks = pem.match(/-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/g) ?? [];
  return blocks.map((block) => new X509Certificate(block));
}
