import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { copyFile, mkdir, mkdtemp, readdir, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { expect } from 'chai';
import { build } from 'esbuild';
import { eventually } from './support/eventually.ts';

const run = promisify(execFile);
const ROOT = fileURLToPath(new URL('../', import.meta.url));
const TSC = join(ROOT, 'node_modules/.bin/tsc');

const CONSUMER = `
import { createGrpcTransport, logIn, MemoryStore, registerUser, type Vault, VaultError } from 'passmanager/client';
import { common, data } from 'passmanager/contract';

export async function play(url: string): Promise<string> {
  const transport = createGrpcTransport({ url });
  await registerUser(transport, { username: 'alice', password: 'correct horse' });
  const vault: Vault = await logIn(transport, { username: 'alice', password: 'correct horse', store: new MemoryStore() });
  const entry = await vault.create({ name: 'Bank', website: 'https://bank.example' });
  const found = await vault.search('bank');
  const changed = await vault.update(entry, { password: undefined });
  try {
    await vault.logOut();
  } catch (error) {
    if (error instanceof VaultError && error.code === 'unavailable') return error.code;
  }
  // @ts-expect-error: a name is a text
  await vault.create({ name: 1 });
  return \`\${found.length} \${changed.revision + 1n} \${data.DataService.typeName} \${common.ErrorCode.NOT_DECRYPTED}\`;
}
`;

describe('the built package', function () {
  this.timeout(60_000);
  let directory: string;

  /** A project that has the package among its modules, and of this repository nothing but what was built. */
  before(async () => {
    directory = await mkdtemp(join(tmpdir(), 'pm-build-'));
    const installed = join(directory, 'node_modules/passmanager');
    await mkdir(installed, { recursive: true });
    await run(TSC, ['-p', join(ROOT, 'tsconfig.build.json'), '--outDir', join(installed, 'dist')]);
    await copyFile(join(ROOT, 'package.json'), join(installed, 'package.json'));
    await symlink(join(ROOT, 'node_modules'), join(installed, 'node_modules'));
    await writeFile(join(directory, 'package.json'), '{ "type": "module" }');
  });
  after(() => rm(directory, { recursive: true, force: true }));

  it('is built by npm run build from the same project file', async () => {
    const { scripts } = JSON.parse(await readFile(join(ROOT, 'package.json'), 'utf8'));
    expect(scripts.build).to.equal(
      'rm -rf dist && tsc -p tsconfig.build.json && chmod +x dist/src/cli/main.js',
    );
  });

  it('is built by npm ci, and left alone by npx, which prepares a checkout for each user that calls it first', async () => {
    const { scripts } = JSON.parse(await readFile(join(ROOT, 'package.json'), 'utf8'));
    const checkout = join(directory, 'checkout');
    await mkdir(join(checkout, 'dist'), { recursive: true });
    await writeFile(
      join(checkout, 'package.json'),
      '{ "scripts": { "build": "mkdir -p dist && touch dist/built" } }',
    );
    const prepare = async (command: string) => {
      await run('/bin/sh', ['-c', scripts.prepare], {
        cwd: checkout,
        env: { ...process.env, npm_command: command },
      });
      return readdir(join(checkout, 'dist'));
    };
    // A server may be running on what is there.
    expect(await prepare('exec')).to.deep.equal([]);
    expect(await prepare('ci')).to.deep.equal(['built']);
    await rm(join(checkout, 'dist'), { recursive: true });
    expect(await prepare('exec')).to.deep.equal(['built']);
  });

  it('exports nothing else', async () => {
    await writeFile(join(directory, 'deep.js'), `import 'passmanager/dist/src/client/vault.js';`);
    const failed = await run(process.execPath, ['deep.js'], { cwd: directory }).catch(
      (error) => error.stderr,
    );
    expect(failed).to.include('ERR_PACKAGE_PATH_NOT_EXPORTED');
  });

  it('is imported by plain Node from another directory', async () => {
    const program = `
      import * as client from 'passmanager/client';
      import * as contract from 'passmanager/contract';
      const kdf = { ...client.DEFAULT_KDF_PARAMETERS, memoryKib: 19456, iterations: 2 };
      const root = await client.argon2idInNode(new Uint8Array(3), new Uint8Array(32), kdf);
      console.log(JSON.stringify([typeof client.logIn, typeof client.createGrpcTransport, root.length,
        contract.user.UserService.typeName, client.parsePasswordCsv('url,username,password\\na,b,c').length]));
    `;
    await writeFile(join(directory, 'program.js'), program);
    const { stdout } = await run(process.execPath, ['--no-strip-types', 'program.js'], { cwd: directory });
    expect(JSON.parse(stdout)).to.deep.equal([
      'function',
      'function',
      32,
      'passmanager.user.v1.UserService',
      1,
    ]);
  });

  it('is bundled for browsers, without any module of Node', async () => {
    const { metafile, outputFiles } = await build({
      stdin: {
        contents: `export { logIn, registerUser } from 'passmanager/client';`,
        resolveDir: directory,
      },
      bundle: true,
      platform: 'browser',
      format: 'esm',
      write: false,
      metafile: true,
      logLevel: 'silent',
    });
    const inputs = Object.keys(metafile.inputs);
    expect(inputs.some((path) => path.endsWith('dist/src/client/browser.js'))).to.equal(true);
    expect(inputs.filter((path) => /grpc-js|connect-node|\/argon2\//.test(path))).to.deep.equal([]);
    expect(outputFiles[0]!.text).to.include('logIn');
  });

  it('serves as npm start runs it: without type stripping, log-in threads included', async () => {
    const { scripts } = JSON.parse(await readFile(join(ROOT, 'package.json'), 'utf8'));
    const [, flags, main] = /^exec node (.*) (\S+)$/.exec(scripts.start)!;
    const server = spawn(
      process.execPath,
      ['--no-strip-types', ...flags!.split(' '), join(directory, 'node_modules/passmanager', main!)],
      {
        env: {
          PASSMANAGER_DATA_DIR: join(directory, 'data'),
          PASSMANAGER_GRPC_PORT: '0',
          PASSMANAGER_HTTP_PORT: '0',
        },
        stdio: ['ignore', 'pipe', 'pipe'],
      },
    );
    try {
      let output = '';
      for (const stream of [server.stdout, server.stderr])
        stream.on('data', (chunk: Buffer) => {
          output += chunk;
        });
      const url = () => /gRPC-Web +(http:\S+)/.exec(output)?.[1];
      await eventually(() => url() !== undefined || server.exitCode !== null, 20_000);
      const answer = await fetch(`${url()}/passmanager.session.v1.SessionService/StartSession`, {
        method: 'POST',
        headers: { 'content-type': 'application/json' },
        body: JSON.stringify({ usernameHash: Buffer.alloc(32).toString('base64'), clientProtocol: 1 }),
      });
      expect(Buffer.from((await answer.json()).ephPublicB, 'base64')).to.have.length(512);
    } finally {
      server.kill('SIGTERM');
      await once(server, 'exit');
    }
    expect(server.exitCode).to.equal(0);
  });

  for (const moduleResolution of ['nodenext', 'bundler']) {
    it(`type-checks a consumer under ${moduleResolution}, declarations included`, async () => {
      await writeFile(join(directory, 'consumer.ts'), CONSUMER);
      const options = {
        strict: true,
        noEmit: true,
        target: 'es2022',
        lib: ['esnext', 'dom'],
        types: [],
        module: moduleResolution === 'bundler' ? 'esnext' : 'nodenext',
        moduleResolution,
        customConditions: ['node'],
        skipLibCheck: false,
      };
      const config = { compilerOptions: options, files: ['consumer.ts'] };
      await writeFile(join(directory, 'tsconfig.json'), JSON.stringify(config));
      const { stdout } = await run(TSC, ['-p', directory], { cwd: directory }).catch((error) => error);
      expect(stdout).to.equal('');
    });
  }
});
