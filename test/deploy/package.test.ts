import { execFileSync, spawn, spawnSync } from 'node:child_process';
import { mkdirSync, symlinkSync } from 'node:fs';
import { join } from 'node:path';
import { expect } from 'chai';
import { remove, temporaryDirectory } from '../support/embedded.ts';

const root = join(import.meta.dirname, '../..');

describe('the package', function () {
  this.timeout(60_000);
  const directory = temporaryDirectory();
  let files: string[];
  let installed: string;

  before(() => {
    const packed = execFileSync(
      'npm',
      ['pack', '--json', '--ignore-scripts', '--pack-destination', directory],
      {
        cwd: root,
        encoding: 'utf8',
        stdio: ['ignore', 'pipe', 'ignore'],
      },
    );
    const report = JSON.parse(packed);
    const [entry] = Array.isArray(report) ? report : Object.values(report);
    files = entry.files.map(({ path }: { path: string }) => path);
    mkdirSync(join(directory, 'node_modules'));
    execFileSync('tar', ['--extract', '--file', join(directory, entry.filename), '--directory', directory]);
    installed = join(directory, 'package');
    symlinkSync(join(root, 'node_modules'), join(installed, 'node_modules'));
  });

  after(() => remove(directory));

  it('holds what runs and what is read, and no source, test, key or data', () => {
    for (const name of [
      'dist/src/cli/main.js',
      'dist/src/client/node.js',
      'dist/src/client/node.d.ts',
      'README.md',
      'LICENSE',
      'CHANGELOG.md',
      'examples/passwords.csv',
      'proto/passmanager/data/v1/data_service.proto',
      'docs/operating.md',
      'deploy/systemd/passmanager.service',
    ])
      expect(files, name).to.include(name);
    const foreign = files.filter(
      (name) =>
        !/^(dist|proto|docs|deploy|examples)\/|^(README|CHANGELOG|SECURITY)\.md$|^(LICENSE|package\.json)$/.test(
          name,
        ),
    );
    expect(foreign).to.deep.equal([]);
    expect(files.filter((name) => /\.(pem|key|log|pmbackup)$|__pycache__/.test(name))).to.deep.equal([]);
  });

  it('runs from another directory: its command, and the server, which answers and ends', async () => {
    const main = join(installed, 'dist/src/cli/main.js');
    const data = join(directory, 'data');
    const environment = {
      PATH: process.env.PATH,
      PASSMANAGER_DATA_DIR: data,
      PASSMANAGER_GRPC_PORT: '0',
      PASSMANAGER_HTTP_PORT: '0',
    };
    const version = spawnSync(process.execPath, [main, '--version'], {
      cwd: '/',
      encoding: 'utf8',
      env: environment,
    });
    expect(version.stdout).to.match(/^\d+\.\d+\.\d+\n$/);
    // The demonstration has its sample; what it lacks is the server.
    const demonstration = spawnSync(process.execPath, [main, 'demo'], {
      cwd: '/',
      encoding: 'utf8',
      env: { ...environment, PASSMANAGER_GRPC_PORT: '1' },
    });
    expect(demonstration.status).to.equal(1);
    expect(demonstration.stdout).to.include('registering');
    expect(demonstration.stderr).to.include('npm start').and.not.to.include('    at ');
    const server = spawn(process.execPath, [main, 'serve'], {
      cwd: '/',
      env: environment,
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    let said = '';
    const address = await new Promise<string>((resolve, reject) => {
      for (const stream of [server.stdout, server.stderr])
        stream.on('data', (piece) => {
          said += piece;
          const [, url] = /gRPC-Web +(http:\S+)/.exec(said) ?? [];
          if (url !== undefined && said.includes('data  ')) resolve(url);
        });
      server.on('exit', () => reject(new Error(said)));
    });
    expect((await fetch(`${address}/readyz`)).status).to.equal(200);
    const ended = new Promise<number | null>((resolve) => server.on('exit', resolve));
    server.kill('SIGTERM');
    expect(await ended).to.equal(0);
  });
});
