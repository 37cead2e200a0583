import { execFile, spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { expect } from 'chai';
import { createConnectTransport, logIn, registerUser } from '../../src/client/node.ts';
import { startTestServer, type TestServer } from '../support/test_server.ts';

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

const blocks = (
  await Promise.all(
    (await documents()).map(async (file) => blocksOf(file, await readFile(join(root, file), 'utf8'))),
  )
).flat();

/** What a shell block may start with; each is run or looked at below. */
const SETUP = /^npm (ci && npm start|cit)$/;

const DIAGRAMS = /^(sequenceDiagram|flowchart (LR|TD)|stateDiagram-v2|classDiagram|erDiagram)\n/;

describe('the code blocks of the documents', function () {
  this.timeout(60_000);
  let server: TestServer;
  let directory: string;

  before(async () => {
    server = await startTestServer();
    directory = await mkdtemp(join(tmpdir(), 'pm-docs-'));
    // The account that the browser's example logs in to.
    const transport = createConnectTransport({ url: server.httpUrl });
    const account = { username: 'alice@example.com', password: 'correct horse battery staple' };
    await registerUser(transport, account);
    const vault = await logIn(transport, account);
    await vault.create({ name: 'An entry to list' });
    vault.close();
  });

  after(async () => {
    await rm(directory, { recursive: true, force: true });
    await server.stop();
  });

  /** A block as it reaches the server of this test. */
  const here = (text: string) =>
    text
      .replaceAll('127.0.0.1:50051', server.grpcAddress)
      .replaceAll('http://127.0.0.1:8080', server.httpUrl);

  it('are of languages that this test knows', () => {
    expect(new Set(blocks.map(({ language }) => language))).to.deep.equal(
      new Set(['sh', 'ts', 'python', 'text', 'mermaid', 'sql']),
    );
  });

  for (const { file, line, text } of blocks.filter(({ language }) => language === 'mermaid')) {
    it(`${file}:${line} is a diagram of a kind that forges draw, its brackets in pairs`, () => {
      expect(text).to.match(DIAGRAMS);
      // In an entity diagram braces are the feet of arrows.
      const pairs = text.startsWith('erDiagram') ? ['()', '[]'] : ['{}', '()', '[]'];
      for (const [open, close] of pairs) {
        expect(text.split(open!).length, `${open}${close}`).to.equal(text.split(close!).length);
      }
    });
  }

  for (const { file, line, text } of blocks.filter(({ language }) => language === 'sql')) {
    it(`${file}:${line} runs on the schema`, async () => {
      await server.database.query(text);
    });
  }

  for (const { file, line, text } of blocks.filter(({ language }) => language === 'ts')) {
    it(`${file}:${line} runs against a server`, async () => {
      // The example registers the account that this test made: it takes another name.
      const own = here(text)
        .replaceAll(/from '\.\/src\//g, `from '${root}src/`)
        .replace(/\[username, password\] = \['alice@/, "[username, password] = ['carol@");
      const script = join(directory, `block_${line}.ts`);
      await writeFile(script, own);
      const { stdout } = await run(process.execPath, [script], { timeout: 30_000 });
      expect(stdout).to.match(/Example Bank jJ5!xQ0-long-and-random|An entry to list/);
    });
  }

  for (const { file, line, text } of blocks.filter(({ language }) => language === 'python')) {
    it(`${file}:${line} is Python that uses what the example offers, and runs where its packages are`, async () => {
      const client = await readFile(join(root, 'examples/python/client.py'), 'utf8');
      const imported = /from client import ([\w, ]+)/.exec(text)![1]!.split(', ');
      for (const name of imported) expect(client).to.match(new RegExp(`^(def|class) ${name}\\b`, 'm'));
      const env = {
        PATH: '/usr/bin:/bin',
        PYTHONPATH: join(root, 'examples/python'),
        PYTHONDONTWRITEBYTECODE: '1',
      };
      const probe = spawnSync(
        '/usr/bin/python3',
        ['-c', 'import grpc, google.protobuf, cryptography, argon2'],
        { env },
      );
      if (probe.status !== 0 || !existsSync('/usr/include/google/protobuf/descriptor.proto')) return;
      const { stdout } = await run('/usr/bin/python3', ['-c', here(text)], { env, timeout: 30_000 });
      expect(stdout).to.equal('Example Bank jJ5!xQ0\n');
    });
  }

  for (const { file, line, text } of blocks.filter(({ language }) => language === 'sh')) {
    for (const command of text.split('\n')) {
      if (SETUP.test(command)) continue;
      it(`${file}:${line} runs: ${command.slice(0, 60)}…`, async () => {
        const { stdout } = await run('/bin/sh', ['-ec', here(command)], {
          cwd: root,
          timeout: 30_000,
          env: { ...process.env, PATH: `${root}node_modules/.bin:${process.env.PATH}` },
        });
        expect(stdout).to.match(/ephemeralId|SERVING|ready|serving|ok/i);
      });
    }
  }
});
