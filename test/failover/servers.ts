/** Two servers on one database as processes, and HAProxy in front of their doors as deploy/proxies configures it. */
import { type ChildProcess, spawn } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { freePort } from '../support/free_port.ts';

const root = join(import.meta.dirname, '../..');
const tls = join(root, 'test/fixtures/tls');

/** Where clients go. */
export interface Door {
  readonly url: string;
  readonly ca: string;
}

export class Servers {
  readonly #directory: string;
  readonly #children: ChildProcess[] = [];
  #proxy: ChildProcess | undefined;
  /** Lines of level error and above, without their times. */
  readonly errors = new Map<string, number>();

  constructor(directory: string) {
    this.#directory = directory;
  }

  async start(databaseUrl: string): Promise<Door> {
    const ports: { grpc: number; http: number }[] = [];
    for (const index of [0, 1]) {
      const [grpc, http] = [await freePort(), await freePort()];
      ports.push({ grpc, http });
      await this.#startOne({
        PASSMANAGER_DATABASE_URL: databaseUrl,
        PASSMANAGER_KEY_FILE: join(this.#directory, 'key'),
        PASSMANAGER_DATA_DIR: join(this.#directory, `server-${index}`),
        PASSMANAGER_GRPC_PORT: String(grpc),
        PASSMANAGER_HTTP_PORT: String(http),
        PASSMANAGER_TRUSTED_PROXIES: '127.0.0.1',
        PASSMANAGER_REGISTRATION: 'open',
        // What is recorded is sent again a hundred times within a second.
        PASSMANAGER_RATE_LIMIT: 'off',
      });
    }
    const port = await freePort();
    const ca = readFileSync(join(tls, 'certificate.pem'), 'utf8');
    const both = join(this.#directory, 'both.pem');
    writeFileSync(both, `${ca}${readFileSync(join(tls, 'key.pem'), 'utf8')}`);
    const lines = (line: (of: (typeof ports)[0]) => string): string =>
      ports.map((of, index) => `  server s${index} ${line(of)}`).join('\n');
    const file = join(this.#directory, 'haproxy-doors.cfg');
    writeFileSync(
      file,
      readFileSync(join(root, 'deploy/proxies/haproxy.cfg'), 'utf8')
        .replace('bind :443', `bind 127.0.0.1:${port}`)
        .replace('/etc/haproxy/certs/vault.example.org.pem', both)
        .replace(
          /^ {2}server one 127\.0\.0\.1:50051.*$/m,
          lines(({ grpc, http }) => `127.0.0.1:${grpc} proto h2 check port ${http} check-proto h1`),
        )
        .replace(
          /^ {2}server one 127\.0\.0\.1:8080.*$/m,
          lines(({ http }) => `127.0.0.1:${http} check`),
        ),
    );
    this.#proxy = spawn('haproxy', ['-db', '-f', file], { stdio: 'ignore', detached: true });
    await sleep(1_000);
    return { url: `https://localhost:${port}`, ca };
  }

  async stop(): Promise<void> {
    for (const child of [...this.#children, this.#proxy]) {
      if (child === undefined || child.exitCode !== null || child.signalCode !== null) continue;
      const ended = new Promise((resolve) => child.once('exit', resolve));
      child.kill('SIGTERM');
      await ended;
    }
  }

  async #startOne(settings: Record<string, string>): Promise<void> {
    const child = spawn(process.execPath, [join(root, 'src/server/main.ts')], {
      env: { PATH: process.env.PATH, ...settings },
      stdio: ['ignore', 'pipe', 'pipe'],
      detached: true,
    });
    this.#children.push(child);
    await new Promise<void>((resolve, reject) => {
      let said = '';
      for (const stream of [child.stdout, child.stderr])
        stream.on('data', (piece: Buffer) => {
          said = `${said}${piece}`.slice(-20_000);
          this.#note(piece.toString());
          if (said.includes('passmanager is ready')) resolve();
        });
      child.on('exit', () => reject(new Error(said)));
    });
  }

  #note(text: string): void {
    for (const line of text.split('\n')) {
      if (!/"level":[56]0/.test(line)) continue;
      const { msg, err } = JSON.parse(line) as { msg: string; err?: { message: string } };
      const what = err === undefined ? msg : `${msg}: ${err.message}`;
      this.errors.set(what, (this.errors.get(what) ?? 0) + 1);
    }
  }
}
