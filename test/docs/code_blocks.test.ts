import { execFile, spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { mkdir, mkdtemp, readdir, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { expect } from 'chai';
import { createConnectTransport, logIn, registerUser } from '../../src/client/node.ts';
import { loadConfig } from '../../src/server/config.ts';
import { COMPILE_CACHE } from '../support/compile_cache.ts';
import { databaseUrl, startTestServer, type TestServer } from '../support/test_server.ts';

const root = fileURLToPath(new URL('../../', import.meta.url));
const run = promisify(execFile);

interface Block {
  readonly file: string;
  readonly line: number;
  readonly language: string;
  readonly text: string;
}

/** Fenced blocks of a Markdown file. */
function blocksOf(file: string, text: string): Block[] {
  const blocks: Block[] = [];
  const lines = text.split('\n');
  for (let index = 0; index < lines.length; index += 1) {
    const language = /^```(\w*)$/.exec(lines[index]!)?.[1];
    if (language === undefined) continue;
    const end = lines.indexOf('```', index + 1);
    blocks.push({ file, line: index + 1, language, text: lines.slice(index + 1, end).join('\n') });
    index = end;
  }
  return blocks;
}

async function documents(): Promise<string[]> {
  const below = await readdir(join(root, 'docs'), { recursive: true });
  const top = ['README.md', 'SECURITY.md', 'CONTRIBUTING.md', 'CHANGELOG.md'];
  return [...top, ...below.filter((name) => name.endsWith('.md')).map((name) => join('docs', name))];
}

/** Its commands are run as one story: test/docs/operating.test.ts. */
const OPERATING = 'docs/operating.md';

const blocks = (
  await Promise.all(
    (
      await documents()
    )
      .filter((file) => file !== OPERATING)
      .map(async (file) => blocksOf(file, await readFile(join(root, file), 'utf8'))),
  )
).flat();

/** What changes the machine or the checkout; each is looked at below, or run by a test of its own. */
const SETUP =
  /^(npm (ci && npm start|cit)|git pull && npm ci|sudo (apt-get install [\w -]+|(useradd|mkdir|cp|npx passmanager) .+))$/;

/** A start of the server with settings before it. */
const START = /^((?:PASSMANAGER_\w+=\S+ )+)npm start$/;

const DIAGRAMS = /^(sequenceDiagram|flowchart (LR|TD)|stateDiagram-v2|classDiagram|erDiagram)\n/;

const blocksIn = (wanted: string) => blocks.filter(({ language }) => language === wanted);

/** What the system's Python wants, without anything of this process. */
const PYTHON_ENVIRONMENT = { PATH: '/usr/bin:/bin', PYTHONDONTWRITEBYTECODE: '1' };

const hasPython =
  spawnSync('/usr/bin/python3', ['-c', 'import grpc, google.protobuf, cryptography, argon2'], {
    env: PYTHON_ENVIRONMENT,
  }).status === 0 && existsSync('/usr/include/google/protobuf/descriptor.proto');

describe('the code blocks of the documents', function () {
  this.timeout(60_000);
  let server: TestServer;
  /** A checkout of its own, with the files of this one: where a reader would type the commands and save the examples. */
  let checkout: string;
  /** The server of the section on TLS, once its command was looked at. */
  let overTls: TestServer | undefined;

  before(async () => {
    server = await startTestServer();
    checkout = await mkdtemp(join(tmpdir(), 'pm-docs-'));
    for (const name of ['package.json', 'node_modules', 'src', 'gen', 'proto']) {
      await symlink(join(root, name), join(checkout, name));
    }
    await mkdir(join(checkout, 'examples/python'), { recursive: true });
    for (const name of ['client.py', 'protocol.py']) {
      await symlink(join(root, 'examples/python', name), join(checkout, 'examples/python', name));
    }
    // The account that the browser's example logs in to.
    const transport = createConnectTransport({ url: server.httpUrl });
    const account = { username: 'alice@example.com', password: 'correct horse battery staple' };
    await registerUser(transport, account);
    const vault = await logIn(transport, account);
    await vault.create({ name: 'An entry to list' });
    vault.close();
  });

  after(async () => {
    await overTls?.stop();
    await server.stop();
    await rm(checkout, { recursive: true, force: true });
  });

  /** A block as it reaches the server of this test. The examples register accounts of their own. */
  const here = (text: string) =>
    text
      .replaceAll('127.0.0.1:50051', server.grpcAddress)
      .replaceAll('http://127.0.0.1:8080', server.httpUrl)
      .replaceAll('vault.home.arpa', 'localhost')
      .replace(/\[username, password\] = \['alice@/, "[username, password] = ['carol@");

  /** What a command said, typed in the checkout. */
  async function typed(command: string, more: Record<string, string> = {}): Promise<string> {
    const { stdout, stderr } = await run('/bin/sh', ['-ec', command], {
      cwd: checkout,
      timeout: 30_000,
      // Nothing of this process's environment: it may name certificate authorities of its own.
      env: {
        PATH: `${root}node_modules/.bin:${process.env.PATH}`,
        ...COMPILE_CACHE,
        HOME: checkout,
        ...more,
      },
    });
    return stdout + stderr;
  }

  it('are of languages that this test knows', () => {
    expect(new Set(blocks.map(({ language }) => language))).to.deep.equal(
      new Set(['sh', 'ts', 'python', 'text', 'mermaid']),
    );
  });

  for (const { file, line, text } of blocksIn('mermaid')) {
    it(`${file}:${line} is a diagram of a kind that forges draw, its brackets in pairs`, () => {
      expect(text).to.match(DIAGRAMS);
      // In an entity diagram braces are the feet of arrows.
      const pairs = text.startsWith('erDiagram') ? ['()', '[]'] : ['{}', '()', '[]'];
      for (const [open, close] of pairs) {
        expect(text.split(open!).length, `${open}${close}`).to.equal(text.split(close!).length);
      }
    });
  }

  for (const { file, line, text } of blocksIn('ts')) {
    it(`${file}:${line} runs against a server`, async () => {
      const example = join(
        checkout,
        text.includes('createGrpcTransport') ? 'example.ts' : `block_${line}.ts`,
      );
      await writeFile(example, here(text));
      const { stdout } = await run(process.execPath, [example], { timeout: 30_000 });
      expect([
        'Example Bank jJ5!xQ0-long-and-random\nthe username or the password is wrong\n',
        'An entry to list\n',
      ]).to.include(stdout);
    });
  }

  for (const { file, line, text } of blocksIn('python')) {
    it(`${file}:${line} is Python that uses what the example offers`, async () => {
      const client = await readFile(join(root, 'examples/python/client.py'), 'utf8');
      const imported = /from client import ([\w, ]+)/.exec(text)![1]!.split(', ');
      for (const name of imported) expect(client).to.match(new RegExp(`^(def|class) ${name}\\b`, 'm'));
      await writeFile(join(checkout, 'examples/python/example.py'), here(text));
    });
  }

  const hasPrinted = async (command: string, expected: RegExp) => {
    expect(await typed(here(command))).to.match(expected);
  };

  const isBackedUp = async (command: string) => {
    const settings = {
      PASSMANAGER_DATABASE_URL: databaseUrl(server.database),
      PASSMANAGER_KEY_FILE: join(server.config.dataDir, 'key'),
    };
    expect(await typed(command.replace('npx passmanager', 'node src/cli/main.ts'), settings)).to.match(
      /secure_data +1/,
    );
  };

  const isServed = async (command: string) => {
    const settings = Object.fromEntries(
      START.exec(command)![1]!
        .trim()
        .split(' ')
        .map((setting) => setting.split('=')),
    );
    expect(loadConfig(settings).registration).to.equal('invite');
    const file = (name: string) => join(checkout, settings[name]);
    overTls = await startTestServer({
      settings: {
        PASSMANAGER_TLS_CERT_FILE: file('PASSMANAGER_TLS_CERT_FILE'),
        PASSMANAGER_TLS_KEY_FILE: file('PASSMANAGER_TLS_KEY_FILE'),
      },
    });
  };

  const isTrusted = async (command: string) => {
    const port = (url: string) => new URL(url).port;
    const [http, grpc] = [port(overTls!.httpUrl), port(`http://${overTls!.grpcAddress}`)];
    expect(await typed(here(command).replace(':8080', `:${http}`))).to.match(/ready|ok/);

    const client = JSON.stringify(`${root}src/client/node.ts`);
    const program = join(checkout, 'over_tls.ts');
    await writeFile(
      program,
      `import { createConnectTransport, createGrpcTransport, registerUser } from ${client};
      const account = { username: 'erin', password: 'correct horse battery staple' };
      await registerUser(createConnectTransport({ url: 'https://localhost:${http}' }), account);
      await registerUser(createGrpcTransport({ url: 'https://localhost:${grpc}' }), { ...account, username: 'frank' });
      console.log('registered');
      process.exit(0);`,
    );
    expect(await typed('node over_tls.ts', { NODE_EXTRA_CA_CERTS: 'ca.pem' })).to.include('registered');
    const refused = await typed('node over_tls.ts').catch((error) => error.stderr);
    expect(refused).to.include('UnavailableError');

    if (!hasPython) return;
    const python = `from client import connect, register
with connect("localhost:${grpc}", open("../../ca.pem", "rb").read()) as channel:
    register(channel, "grace", "correct horse battery staple")
print("registered")`;
    await writeFile(join(checkout, 'examples/python/over_tls.py'), python);
    const said = await typed('cd examples/python && python3 over_tls.py', PYTHON_ENVIRONMENT);
    expect(said).to.include('registered');
  };

  /** What is to come of a command, by its beginning. */
  const outcomes: readonly (readonly [RegExp, (command: string) => Promise<void>])[] = [
    [START, isServed],
    [/^curl .*--cacert/, isTrusted],
    [/^(curl|npx buf curl) /, (command) => hasPrinted(command, /ephemeralId|SERVING|ready|serving|ok/i)],
    [/^npx node example\.ts$/, (command) => hasPrinted(command, /^Example Bank jJ5!xQ0-long-and-random$/m)],
    [
      /^cd examples\/python && /,
      async (command) => {
        if (!hasPython) return;
        const said = await typed(command, PYTHON_ENVIRONMENT);
        expect(said).to.equal('Example Bank jJ5!xQ0\nthe username or the password is wrong\n');
      },
    ],
    [/^\(umask 077; /, (command) => hasPrinted(command, /^$/)],
    [/^npx passmanager backup /, isBackedUp],
    [/^cat ca\.pem /, (command) => hasPrinted(command, /^$/)],
    [/^openssl req /, (command) => hasPrinted(command, /^(?!.*error)/is)],
  ];

  for (const { file, line, text } of blocksIn('sh')) {
    for (const command of text.split('\n')) {
      if (SETUP.test(command)) continue;
      it(`${file}:${line} runs: ${command.slice(0, 60)}…`, async () => {
        const outcome = outcomes.find(([pattern]) => pattern.test(command));
        expect(outcome, 'what is to come of it').not.to.equal(undefined);
        await outcome![1](command);
      });
    }
  }

  it('install for Python what the example says that it needs', async () => {
    const command = blocksIn('sh').find(({ text }) => text.startsWith('sudo apt-get install '))!.text;
    const said = (await readFile(join(root, 'examples/python/client.py'), 'utf8')).match(
      /Debian: ([^)]*)\)/,
    )![1]!;
    expect(command.split(' ').slice(3)).to.have.members(said.split(/\s+/));
  });
});
