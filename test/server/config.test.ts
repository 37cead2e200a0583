import { join } from 'node:path';
import { expect } from 'chai';
import { ConfigError, isLoopback, keyFileOf, loadConfig, SETTINGS } from '../../src/server/config.ts';

const problemsOf = (environment: Record<string, string>): readonly string[] => {
  try {
    loadConfig(environment);
  } catch (error) {
    if (error instanceof ConfigError) return error.problems;
    throw error;
  }
  return [];
};

describe('the configuration', () => {
  it('names every bad setting at once and what is allowed instead, never the value', () => {
    const problems = problemsOf({
      PASSMANAGER_GRPC_PORT: '65536',
      PASSMANAGER_LOG_LEVEL: 'loud',
      PASSMANAGER_REFLECTION: 'yes',
      PASSMANAGER_CORS_ORIGINS: 'https://a.example/path',
      PASSMANAGER_DATABASE_URL: 'mysql://user:hunter2@host/db',
    });
    expect(problems).to.have.length(5);
    expect(problems.join('\n')).to.include('PASSMANAGER_GRPC_PORT takes a whole number from 0 to 65535');
    expect(problems.join('\n')).not.to.include('hunter2');
  });

  it('refuses names with its prefix that it does not know', () => {
    expect(problemsOf({ PASSMANAGER_GRCP_PORT: '1' })).to.have.length(1);
    expect(problemsOf({ OTHER: '1' })).to.deep.equal([]);
  });

  it('ignores the settings of its own tests, and takes an empty value for none', () => {
    expect(problemsOf({ PASSMANAGER_TEST_SOMETHING: '1' })).to.deep.equal([]);
    expect(loadConfig({ PASSMANAGER_GRPC_PORT: '', PASSMANAGER_KEY_FILE: '' })).to.deep.include({
      grpcPort: 50_051,
      keyFile: undefined,
    });
  });

  it('refuses what is no address, no number of its range and no origin', () => {
    for (const [name, ...values] of [
      ['HOST', 'two words', '127.0.0.1:80', 'http://host', '-', '[::1]'],
      ['GRPC_PORT', '-1', '1.5', '1e3', '0x10', ' 1', '99999999999999999999'],
      ['MAX_MESSAGE_BYTES', '4194303', '67108865'],
      [
        'CORS_ORIGINS',
        '*',
        'null',
        'https://a.example/',
        'https://a.example,,https://b.example',
        'a.example',
      ],
      ['DATABASE_URL', 'localhost', 'http://localhost/db'],
      ['REGISTRATION', 'Open', 'no'],
      ['RATE_LIMIT', 'true', '1'],
      ['OTLP_ENDPOINT', 'localhost:4318', 'grpc://localhost:4317', 'http://h/?q', 'http://h/#f'],
      ['TRACE_SAMPLE_RATIO', '-0.1', '1.1', '2', '.5', '1e-3', '50%'],
    ] as const) {
      for (const value of values) {
        expect(problemsOf({ [`PASSMANAGER_${name}`]: value }), `${name} ${value}`).to.have.length(1);
      }
    }
  });

  it('refuses one port for both doors, unless each takes a free one', () => {
    expect(problemsOf({ PASSMANAGER_GRPC_PORT: '8080' })).to.have.length(1);
    expect(problemsOf({ PASSMANAGER_GRPC_PORT: '0', PASSMANAGER_HTTP_PORT: '0' })).to.deep.equal([]);
  });

  it('refuses the port of a door for the metrics', () => {
    expect(problemsOf({ PASSMANAGER_METRICS_ADDRESS: '127.0.0.1:8080' })).to.have.length(1);
    expect(problemsOf({ PASSMANAGER_METRICS_ADDRESS: '127.0.0.2:8080' })).to.deep.equal([]);
    const free = { PASSMANAGER_HTTP_PORT: '0', PASSMANAGER_METRICS_ADDRESS: '127.0.0.1:0' };
    expect(problemsOf(free)).to.deep.equal([]);
  });

  it('refuses the PROXY protocol of nobody', () => {
    expect(problemsOf({ PASSMANAGER_PROXY_HEADER: 'proxy-protocol' })).to.have.length(1);
    const settings = {
      PASSMANAGER_PROXY_HEADER: 'proxy-protocol',
      PASSMANAGER_TRUSTED_PROXIES: '10.0.0.0/8',
    };
    expect(loadConfig(settings)).to.deep.include({
      proxyHeader: 'proxy-protocol',
      trustedProxies: ['10.0.0.0/8'],
    });
  });

  it('refuses clear text on another address than loopback unless a proxy does TLS', () => {
    expect(problemsOf({ PASSMANAGER_HOST: '0.0.0.0' })).to.have.length(1);
    expect(problemsOf({ PASSMANAGER_HOST: '0.0.0.0', PASSMANAGER_INSECURE: 'on' })).to.deep.equal([]);
    expect(
      problemsOf({ PASSMANAGER_HOST: '::', PASSMANAGER_TLS_CERT_FILE: 'c', PASSMANAGER_TLS_KEY_FILE: 'k' }),
    ).to.deep.equal([]);
    expect(problemsOf({ PASSMANAGER_TLS_CERT_FILE: 'c' })).to.have.length(1);
  });

  it('has the contract’s defaults', () => {
    const config = loadConfig({});
    expect(config).to.deep.include({
      host: '127.0.0.1',
      grpcPort: 50_051,
      httpPort: 8_080,
      dataDir: './data',
      databaseUrl: undefined,
      registration: 'open',
      reflection: false,
      corsOrigins: [],
    });
    expect(config.limits).to.deep.equal({
      maxEntryNameBytes: 1_024,
      maxEntryDataBytes: 65_536,
      maxEntriesPerUser: 10_000,
      maxSessionsPerUser: 64,
      maxMessageBytes: 4_194_304,
      maxBatchEntries: 500,
      maxPageSize: 1_000,
      defaultPageSize: 100,
      defaultMaximumRequests: 100,
      defaultExpirySeconds: 3_600,
      capMaximumRequests: undefined,
      capExpirySeconds: undefined,
    });
  });

  it('lets in by invite alone where others than this machine can come', () => {
    expect(loadConfig({ PASSMANAGER_HOST: '0.0.0.0', PASSMANAGER_INSECURE: 'on' }).registration).to.equal(
      'invite',
    );
    expect(loadConfig({ PASSMANAGER_TRUSTED_PROXIES: '127.0.0.1' }).registration).to.equal('invite');
    for (const host of ['127.0.0.1', '127.1.2.3', '::1', 'localhost'])
      expect(isLoopback(host)).to.equal(true);
    for (const host of ['0.0.0.0', '::', '10.0.0.1', '127.example']) expect(isLoopback(host)).to.equal(false);
  });

  it('takes what is allowed', () => {
    expect(
      loadConfig({
        PASSMANAGER_HOST: '::1',
        PASSMANAGER_CORS_ORIGINS: 'https://a.example, http://localhost:3000',
        PASSMANAGER_DATABASE_URL: 'postgresql://u:p@db.example/passmanager',
        PASSMANAGER_REFLECTION: 'on',
        PASSMANAGER_CAP_EXPIRY_SECONDS: '600',
        PASSMANAGER_TLS_CERT_FILE: 'c.pem',
        PASSMANAGER_TLS_KEY_FILE: 'k.pem',
      }),
    ).to.deep.include({
      host: '::1',
      corsOrigins: ['https://a.example', 'http://localhost:3000'],
      databaseUrl: 'postgresql://u:p@db.example/passmanager',
      reflection: true,
      tls: { certificateFile: 'c.pem', keyFile: 'k.pem' },
    });
    expect(loadConfig({ PASSMANAGER_CAP_EXPIRY_SECONDS: '600' }).limits.capExpirySeconds).to.equal(600);
    expect(loadConfig({ PASSMANAGER_MAX_PAGE_SIZE: '50' }).limits.defaultPageSize).to.equal(50);
    expect(loadConfig({ PASSMANAGER_HOST: 'localhost' }).registration).to.equal('open');
  });

  it('traces nothing without an endpoint, and every call with one unless it is told otherwise', () => {
    const endpoint = 'https://me:secret@collector.example/otlp';
    expect(loadConfig({ PASSMANAGER_TRACE_SAMPLE_RATIO: '0.5' }).tracing).to.equal(undefined);
    expect(
      loadConfig({ PASSMANAGER_OTLP_ENDPOINT: `${endpoint.replace('https', 'HTTPS')}/` }).tracing,
    ).to.deep.equal({
      endpoint,
      sampleRatio: 1,
    });
    for (const [text, sampleRatio] of [
      ['0', 0],
      ['0.05', 0.05],
      ['1.0', 1],
    ] as const)
      expect(
        loadConfig({ PASSMANAGER_OTLP_ENDPOINT: endpoint, PASSMANAGER_TRACE_SAMPLE_RATIO: text }).tracing,
      ).to.deep.equal({ endpoint, sampleRatio });
  });

  it('has the key file in the data directory, or where its setting says', () => {
    expect(keyFileOf({ dataDir: '/data', keyFile: undefined })).to.equal(join('/data', 'key'));
    expect(keyFileOf({ dataDir: '/data', keyFile: '/keys/k' })).to.equal('/keys/k');
  });

  it('reads every setting that it documents', () => {
    const read = new Set<string>();
    const environment = new Proxy({} as Record<string, string>, {
      get: (_, name) => {
        read.add(String(name));
        return undefined;
      },
    });
    loadConfig(environment);
    expect([...read]).to.have.members(Object.values(SETTINGS).map(({ name }) => name));
  });
});
