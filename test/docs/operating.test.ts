import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { mkdtemp, readFile, rename, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { expect } from 'chai';
import { createConnectTransport, logIn, registerUser } from '../../src/client/node.ts';
import { DEFAULT_CONFIG_FILE, readConfig } from '../../src/server/config_sources.ts';
import { COMPILE_CACHE } from '../support/compile_cache.ts';
import { freePort } from '../support/free_port.ts';
import { createTestDatabase, type TestDatabase } from '../support/test_database.ts';
import { databaseUrl } from '../support/test_server.ts';

const root = fileURLToPath(new URL('../../', import.meta.url));
const CODE = /([0-9A-Z]{4}-){8}[0-9A-Z*~$=]/;
const ACCOUNT = { username: 'alice@example.com', password: 'correct horse battery staple' };

interface Step {
  readonly section: string;
  readonly command: string;
}

const text = await readFile(join(root, 'docs/operating.md'), 'utf8');

/** The commands of the document, in order, by their sections. */
const steps: readonly Step[] = text.split(/^## /m).flatMap((section) =>
  [...section.matchAll(/^```sh\n([\s\S]*?)^```$/gm)].flatMap(([, block]) =>
    block!
      .trim()
      .split('\n')
      .map((command) => ({ section: section.slice(0, section.indexOf('\n')), command })),
  ),
);

describe('docs/operating.md, typed from top to bottom', function () {
  this.timeout(60_000);
  let directory: string;
  let target: TestDatabase;
  let server: ChildProcess | undefined;
  let recoveryCode = '';
  const ports = { grpc: 0, http: 0 };
  let url: string;

  before(async () => {
    directory = await mkdtemp(join(tmpdir(), 'pm-operating-'));
    for (const name of ['package.json', 'node_modules', 'src', 'gen', 'proto'])
      await symlink(join(root, name), join(directory, name));
    target = await createTestDatabase({ migrated: false });
    ports.grpc = await freePort();
    ports.http = await freePort();
    url = `http://127.0.0.1:${ports.http}`;
  });

  after(async () => {
    await stop();
    await target.drop();
    await rm(directory, { recursive: true, force: true });
  });

  const environment = (): Record<string, string> => ({
    PATH: `${root}node_modules/.bin:${process.env.PATH}`,
    ...COMPILE_CACHE,
    HOME: directory,
    PASSMANAGER_GRPC_PORT: String(ports.grpc),
    PASSMANAGER_HTTP_PORT: String(ports.http),
    NEW_DATABASE_URL: databaseUrl(target),
  });

  async function start(): Promise<void> {
    const child = spawn('node', ['src/server/main.ts'], { cwd: directory, env: environment() });
    server = child;
    await new Promise<void>((resolve, reject) => {
      let said = '';
      child.stdout.on('data', (piece) => {
        said += piece;
        if (said.includes('passmanager is ready')) resolve();
      });
      child.stderr.on('data', (piece) => {
        said += piece;
      });
      child.on('exit', () => reject(new Error(said)));
    });
  }

  async function stop(): Promise<void> {
    const child = server;
    server = undefined;
    if (child === undefined || child.exitCode !== null) return;
    const ended = new Promise((resolve) => child.on('exit', resolve));
    child.kill('SIGTERM');
    await ended;
  }

  /** What a command said, typed in the directory; `input` is what the person answers. */
  async function typed(command: string, input = ''): Promise<{ code: number; said: string }> {
    const running = promisify(execFile)(
      '/bin/sh',
      ['-ec', command.replaceAll('npx passmanager', 'node src/cli/main.ts')],
      { cwd: directory, env: environment(), timeout: 50_000 },
    );
    running.child.stdin?.end(input);
    return running.then(
      ({ stdout, stderr }) => ({ code: 0, said: stdout + stderr }),
      (error: { code: number; stdout: string; stderr: string }) => ({
        code: error.code,
        said: error.stdout + error.stderr,
      }),
    );
  }

  const done = async (command: string, input?: string): Promise<string> => {
    const { code, said } = await typed(command, input);
    expect(code, said).to.equal(0);
    return said;
  };

  /** The names in the vault of the account, read through the server. */
  async function names(): Promise<string[]> {
    const vault = await logIn(createConnectTransport({ url }), ACCOUNT);
    try {
      return (await vault.list()).entries.map(({ name }) => name).sort();
    } finally {
      vault.close();
    }
  }

  async function add(name: string): Promise<void> {
    const vault = await logIn(createConnectTransport({ url }), ACCOUNT);
    await vault.create({ name });
    vault.close();
  }

  /** What is to come of each command, and what goes before it; by section. */
  const stories: Readonly<Record<string, (command: string) => Promise<void>>> = {
    Install: async (command) => {
      if (command.startsWith('npm ci')) {
        await start();
        await registerUser(createConnectTransport({ url }), ACCOUNT);
        await add('before the backup');
        return;
      }
      recoveryCode = CODE.exec(await done(command))![0];
    },
    'Look after it': async (command) => {
      const { code, said } = await typed(command);
      expect(code, said).to.be.a('number');
      if (!command.endsWith('doctor')) expect(code, said).to.equal(0);
      // Of this machine's disk and memory nobody knows; of the server itself nothing is wrong.
      else expect(said.match(/FAILURE .*/g) ?? [], said).to.deep.equal([]);
      expect(said).to.match(/connect_round_trip +http|accounts +1|ENTRIES/);
    },
    'Back up': async (command) => {
      const said = await done(command);
      if (command.includes('passmanager')) expect(said).to.match(/secure_data +1/);
    },
    Restore: async (command) => {
      await add('after the backup');
      expect(await names()).to.have.length(2);
      expect((await typed(command)).said).to.contain('in use by another server');
      await stop();
      await done(command);
      await start();
      expect(await names()).to.deep.equal(['before the backup']);
    },
    'Lose a disk': async (command) => {
      await stop();
      await done(command);
      await rename(join(directory, 'data'), join(directory, 'lost-data'));
      await rename(join(directory, 'new-data'), join(directory, 'data'));
      await start();
      expect(await names()).to.deep.equal(['before the backup']);
    },
    'Lose the key file': async (command) => {
      await stop();
      await rename(join(directory, 'data/key'), join(directory, 'lost-key'));
      const refused = await start().then(
        () => '',
        (error: Error) => error.message,
      );
      expect(refused).to.contain('keys recover');
      await done(command, `${recoveryCode}\n`);
      await start();
      expect(await names()).to.deep.equal(['before the backup']);
    },
    'Rotate the sealing key': async (command) => {
      const said = await done(command);
      if (command.includes('rotate')) expect(CODE.exec(said)![0]).not.to.equal(recoveryCode);
      else expect(said).to.match(/3 +sealing +active/);
      expect(await names()).to.deep.equal(['before the backup']);
    },
    Move: async (command) => {
      await stop();
      expect(await done(command)).to.contain('All rows are there');
      expect(await target.query('select from secure_data')).to.have.length(1);
      await start();
      expect(await names()).to.deep.equal(['before the backup']);
    },
    Upgrade: async (command) => {
      // The document stops the server first; the files of the new version come while it is down.
      await stop();
      if (command.startsWith('git pull')) {
        expect(command).to.equal('git pull && npm ci');
        return;
      }
      await done(command);
      if (!command.endsWith('migrate')) return;
      await start();
      expect(await names()).to.deep.equal(['before the backup']);
    },
  };

  it('has a story for every section with commands', () => {
    expect(new Set(steps.map(({ section }) => section))).to.deep.equal(new Set(Object.keys(stories)));
  });

  for (const { section, command } of steps) {
    it(`${section}: ${command.slice(0, 70)}`, () => stories[section]!(command));
  }

  it('has the server stopped before it is upgraded, as the README has', async () => {
    const upgrade = text.slice(text.indexOf('## Upgrade'));
    expect(upgrade.indexOf('Stop the server')).to.be.within(0, upgrade.indexOf('git pull'));
    expect(await readFile(join(root, 'README.md'), 'utf8')).to.include(
      '**Upgrade.** Stop the server, back up',
    );
  });

  it('shows settings for scheduled backups that are settings', async () => {
    const [, block] = /^```toml\n([\s\S]*?)^```$/m.exec(text)!;
    const place = await mkdtemp(join(tmpdir(), 'pm-operating-toml-'));
    try {
      // The file of the document is nowhere but on the machines of those who read it.
      const passphrase = join(place, 'passphrase');
      await writeFile(passphrase, 'correct horse battery staple\n');
      await writeFile(
        join(place, DEFAULT_CONFIG_FILE),
        block!.replace('/etc/passmanager/backup-passphrase', passphrase),
      );
      expect(readConfig({}, place).backup).to.deep.equal({
        directory: '/var/lib/passmanager/backups',
        passphrase: 'correct horse battery staple',
        intervalHours: 24,
        keep: 7,
        command: '/usr/local/bin/copy-backup',
      });
    } finally {
      await rm(place, { recursive: true });
    }
  });
});
