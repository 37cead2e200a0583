import { spawnSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect } from 'chai';
import { parse } from 'yaml';
import { SERVER_FLAGS } from '../../src/cli/commands/serve.ts';
import { loadConfig, SETTINGS } from '../../src/server/config.ts';

const root = join(import.meta.dirname, '../..');
const directory = join(root, 'deploy/docker');
const read = (name: string): string => readFileSync(join(directory, name), 'utf8');

interface Service {
  readonly image?: string;
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

const FILES = ['compose.yaml', 'compose.replicas.yaml'];

describe('the container', () => {
  const dockerfile = read('Dockerfile');
  /** Instructions with their continued lines as one. */
  const instructions = dockerfile
    .replace(/\\\n\s*/g, ' ')
    .split('\n')
    .filter((line) => /^[A-Z]+ /.test(line.trim()))
    .map((line) => line.trim());

  it('runs what npm start runs, not as root, and tells whether it is well', () => {
    expect(instructions.filter((line) => line.startsWith('USER '))).to.deep.equal(['USER 10001:10001']);
    const last = instructions.at(-1)!;
    expect(JSON.parse(last.slice('ENTRYPOINT '.length))).to.deep.equal([
      'node',
      ...SERVER_FLAGS,
      'dist/src/server/main.js',
    ]);
    const health = JSON.parse(
      /CMD (\[.*\])$/.exec(instructions.find((line) => line.startsWith('HEALTHCHECK '))!)![1]!,
    );
    expect(health[2]).to.contain('/readyz');
    expect(() => new Function(health[2])).not.to.throw();
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
      const servers = Object.entries(compose.services).filter(([, { read_only }]) => read_only !== undefined);

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
        expect(published.map(([name]) => name)).to.deep.equal(['caddy']);
        expect(compose.networks.inside?.internal).to.equal(true);
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
});
