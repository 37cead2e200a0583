import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect } from 'chai';
import { parse } from 'yaml';
import { SERVER_FLAGS } from '../../src/cli/commands/serve.ts';
import { loadConfig, SETTINGS } from '../../src/server/config.ts';
import { remove, temporaryDirectory } from '../support/embedded.ts';
import { startTestServer } from '../support/test_server.ts';

const root = join(import.meta.dirname, '../..');
const directory = join(root, 'deploy/docker');
const read = (name: string): string => readFileSync(join(directory, name), 'utf8');

interface Service {
  readonly image?: string;
  readonly build?: { context: string; dockerfile: string };
  readonly stop_grace_period?: string;
  readonly tmpfs?: string[];
  readonly depends_on?: string[] | Record<string, { condition: string }>;
  readonly healthcheck?: { test: string[] };
  readonly read_only?: boolean;
  readonly cap_drop?: string[];
  readonly security_opt?: string[];
  readonly ports?: string[];
  readonly networks?: string[];
  readonly volumes?: string[];
  readonly secrets?: string[];
  readonly environment?: Record<string, string>;
}

interface Compose {
  readonly services: Record<string, Service>;
  readonly networks: Record<string, { internal?: boolean; ipam?: { config: { subnet: string }[] } }>;
  readonly volumes: Record<string, unknown>;
  readonly secrets?: Record<string, { file: string }>;
}

const FILES = readdirSync(directory).filter((name) => /^compose.*\.yaml$/.test(name));

describe('the container', () => {
  const dockerfile = read('Dockerfile');
  /** Instructions with their continued lines as one. */
  const instructions = dockerfile
    .replace(/\\\n\s*/g, ' ')
    .split('\n')
    .filter((line) => /^[A-Z]+ /.test(line.trim()))
    .map((line) => line.trim());

  const health = JSON.parse(
    /CMD (\[.*\])$/.exec(instructions.find((line) => line.startsWith('HEALTHCHECK '))!)![1]!,
  ) as string[];

  it('runs what npm start runs, not as root, and tells whether it is well', () => {
    expect(instructions.filter((line) => line.startsWith('USER '))).to.deep.equal(['USER 10001:10001']);
    const last = instructions.at(-1)!;
    expect(JSON.parse(last.slice('ENTRYPOINT '.length))).to.deep.equal([
      'node',
      ...SERVER_FLAGS,
      'dist/src/server/main.js',
    ]);
  });

  it('is well while a server is ready at the port that it exposes, and not without one', async () => {
    const { grpcPort, httpPort } = loadConfig({});
    expect(instructions).to.include(`EXPOSE ${grpcPort} ${httpPort}`);
    const [command, ...parameters] = health;
    expect([command, parameters[0]]).to.deep.equal(['node', '-e']);
    const server = await startTestServer();
    const at = parameters[1]!.replace(`127.0.0.1:${httpPort}`, `127.0.0.1:${new URL(server.httpUrl).port}`);
    expect(at).not.to.equal(parameters[1]);
    const checked = async () => (await once(spawn(process.execPath, ['-e', at]), 'exit'))[0];
    try {
      expect(await checked()).to.equal(0);
    } finally {
      await server.stop();
    }
    expect(await checked()).to.equal(1);
  });

  it('has no shell between Docker and the server, no secret and nothing from elsewhere in its layers', () => {
    for (const line of instructions) {
      expect(line).not.to.match(/^(ADD|ARG|CMD|SHELL|ONBUILD) /);
      if (line.startsWith('RUN ')) expect(line).not.to.match(/curl|wget|git |sudo|apt/);
    }
    expect(instructions.filter((line) => line.startsWith('ENTRYPOINT '))).to.have.length(1);
    const base = instructions.filter((line) => line.startsWith('FROM ')).map((line) => line.split(' ')[1]!);
    for (const image of base)
      expect(image)
        .to.match(/:[\w.-]+$/)
        .and.not.to.include('latest');
    const environment = instructions.filter((line) => line.startsWith('ENV ')).join(' ');
    for (const { name, secret } of Object.values(SETTINGS))
      if (secret) expect(environment).not.to.include(name);
    // What is read by the server is root's; what it writes to is one volume.
    const [user, writable] = ['USER ', 'VOLUME '].map((start) =>
      instructions.findIndex((line) => line.startsWith(start)),
    );
    expect(instructions.findLastIndex((line) => line.startsWith('COPY '))).to.be.below(user!);
    expect(instructions[writable!]).to.equal('VOLUME /var/lib/passmanager');
    expect(environment).to.include('PASSMANAGER_DATA_DIR=/var/lib/passmanager');
  });

  it('lets install scripts run, which link the libraries of PostgreSQL, and gives a long start its time', () => {
    const installs = instructions.filter((line) => line.startsWith('RUN npm '));
    expect(installs).to.have.length(1);
    expect(installs[0]).not.to.include('--ignore-scripts');
    expect(dockerfile).to.match(/--start-period=\d+m /);
  });

  it('copies files that there are, all of which the build may see, and has users of PostgreSQL a name', () => {
    const ignored = readFileSync(join(root, '.dockerignore'), 'utf8');
    for (const line of instructions.filter((each) => each.startsWith('COPY ') && !each.includes('--from='))) {
      for (const name of line.split(' ').slice(1, -1)) {
        expect(existsSync(join(root, name)), name).to.equal(true);
        expect(ignored.split('\n'), name).to.include(`!${name}`);
      }
    }
    expect(dockerfile).to.match(/useradd .*--uid 10001/);
  });

  it('does not start in clear text on the network without being told to', () => {
    expect(dockerfile).to.include('PASSMANAGER_HOST=0.0.0.0');
    expect(() => loadConfig({ PASSMANAGER_HOST: '0.0.0.0' })).to.throw('PASSMANAGER_INSECURE');
  });

  for (const file of FILES) {
    describe(`of ${file}`, () => {
      const compose = parse(read(file), { merge: true }) as Compose;
      const servers = Object.entries(compose.services).filter(([, { build }]) => build !== undefined);

      it('has a root file system that is read-only and no privileges, and publishes nothing but the proxy', () => {
        expect(servers.length).to.be.greaterThan(0);
        for (const [name, service] of servers) {
          expect(service, name).to.deep.include({
            read_only: true,
            cap_drop: ['ALL'],
            security_opt: ['no-new-privileges:true'],
            networks: ['inside'],
          });
          expect(service.ports, name).to.equal(undefined);
        }
        const published = Object.entries(compose.services).filter(([, { ports }]) => ports !== undefined);
        expect(published).to.have.length(1);
        expect(published[0]![0]).to.be.oneOf(['caddy', 'haproxy']);
        for (const [name, { networks }] of Object.entries(compose.services))
          expect(networks, name).to.deep.equal(
            name === published[0]![0] ? ['inside', 'outside'] : ['inside'],
          );
        expect(compose.networks.inside?.internal).to.equal(true);
      });

      it('builds servers from the Dockerfile, which write to a volume, /tmp or nowhere and have time to stop', () => {
        for (const [name, { build, tmpfs, volumes = [], stop_grace_period: grace }] of servers) {
          expect(existsSync(join(directory, build!.context, build!.dockerfile)), name).to.equal(true);
          expect(tmpfs, name).to.deep.equal(['/tmp']);
          // A server takes eight seconds at most, and the embedded PostgreSQL its time after that.
          expect(Number.parseInt(grace!, 10), name).to.be.at.least(20);
          for (const volume of volumes) expect(volume).to.match(/^data:\/var\/lib\/passmanager$/);
        }
      });

      it('names versions of images, starts what others need before them, and has no shell in its checks', () => {
        for (const [name, service] of Object.entries(compose.services)) {
          if (service.build === undefined) expect(service.image, name).to.match(/:\d/);
          const needed = Array.isArray(service.depends_on)
            ? service.depends_on
            : Object.keys(service.depends_on ?? {});
          for (const other of needed) expect(Object.keys(compose.services)).to.include(other);
          if (service.healthcheck !== undefined) expect(service.healthcheck.test[0]).to.equal('CMD');
          // A database that is not there yet is waited for.
          if (service.environment?.PASSMANAGER_DATABASE_URL_FILE !== undefined)
            expect(service.depends_on).to.deep.equal({ postgres: { condition: 'service_healthy' } });
        }
      });

      it('keeps secrets in files that its head tells how to make, readable by whom they are for', () => {
        const head = read(file).split('services:')[0]!;
        for (const [name, { file: path }] of Object.entries(compose.secrets ?? {})) {
          expect(path).to.equal(`./${name}`);
          expect(head).to.match(new RegExp(`^# ${name} +\\S`, 'm'));
        }
        for (const [, { environment = {}, secrets = [] }] of Object.entries(compose.services))
          for (const [name, value] of Object.entries(environment)) {
            if (name.endsWith('_FILE')) expect(secrets).to.include(value.replace('/run/secrets/', ''));
            else expect(name).not.to.match(/PASSWORD|PASSPHRASE|SECRET|_URL$/);
          }
      });

      it('has settings that exist and go together, and trusts the proxy’s network', () => {
        const secrets = Object.values(SETTINGS).flatMap(({ name, secret }) =>
          secret ? [`${name}_FILE`] : [],
        );
        for (const [, { environment = {} }] of servers) {
          const settings = Object.fromEntries(
            Object.entries(environment).filter(([name]) => !secrets.includes(name as never)),
          );
          const config = loadConfig({ ...settings, PASSMANAGER_HOST: '0.0.0.0' });
          expect(config.registration).to.equal('invite');
          expect(config.trustedProxies).to.deep.equal([compose.networks.inside!.ipam!.config[0]!.subnet]);
        }
      });

      it('names volumes, networks, secrets and files that there are', () => {
        for (const { volumes = [], networks = [], secrets = [] } of Object.values(compose.services)) {
          for (const volume of volumes) {
            const [source] = volume.split(':');
            if (source!.startsWith('./')) expect(existsSync(join(directory, source!)), source).to.equal(true);
            else expect(Object.keys(compose.volumes)).to.include(source);
          }
          for (const network of networks) expect(Object.keys(compose.networks)).to.include(network);
          for (const secret of secrets) expect(Object.keys(compose.secrets ?? {})).to.include(secret);
        }
      });
    });
  }

  it('has configurations of Caddy that name the servers, and that Caddy takes where it is installed', () => {
    for (const [file, names] of [
      ['Caddyfile', ['passmanager:50051', 'passmanager:8080']],
      ['Caddyfile.replicas', ['one:50051', 'two:50051', 'one:8080', 'two:8080']],
    ] as const) {
      for (const name of names) expect(read(file)).to.include(name);
      if (!existsSync('/usr/bin/caddy')) continue;
      const adapted = spawnSync(
        '/usr/bin/caddy',
        ['adapt', '--config', join(directory, file), '--adapter', 'caddyfile'],
        {
          encoding: 'utf8',
        },
      );
      expect(adapted.status, adapted.stderr).to.equal(0);
    }
  });

  it('has a configuration of HAProxy that is the one which is run in tests, but for where its servers are', () => {
    const inContainers = read('haproxy.replicas.cfg');
    const plain = readFileSync(join(root, 'deploy/proxies/haproxy.cfg'), 'utf8');
    const sameAs = inContainers
      .replace(/\n# The DNS server[\s\S]*?\n\n/, '\n')
      .replace(
        'bind :8443 ssl crt /run/secrets/certificate.pem',
        'bind :443 ssl crt /etc/haproxy/certs/vault.example.org.pem',
      )
      .replaceAll(' resolvers docker init-addr none', '')
      .replaceAll(/ {2}server two .*\n/g, '')
      .replaceAll(/server one one:/g, 'server one 127.0.0.1:');
    const body = (text: string) => text.replace(/^(#.*\n)+/, '');
    expect(body(sameAs)).to.equal(body(plain));
    for (const name of ['one', 'two'])
      for (const port of [50051, 8080]) expect(inContainers).to.include(`  server ${name} ${name}:${port} `);
    if (!existsSync('/usr/sbin/haproxy')) return;
    const temporary = temporaryDirectory();
    const pem = join(temporary, 'certificate.pem');
    const [certificate, key] = ['certificate.pem', 'key.pem'].map((name) =>
      readFileSync(join(root, 'test/fixtures/tls', name), 'utf8'),
    );
    writeFileSync(pem, `${certificate}${key}`);
    writeFileSync(join(temporary, 'haproxy.cfg'), inContainers.replace('/run/secrets/certificate.pem', pem));
    const checked = spawnSync('/usr/sbin/haproxy', ['-c', '-f', join(temporary, 'haproxy.cfg')], {
      encoding: 'utf8',
    });
    expect(checked.status, checked.stderr).to.equal(0);
    remove(temporary);
  });
});
