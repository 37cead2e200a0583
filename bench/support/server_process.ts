/** The server in a process of its own, built and started as `npm start` does it, on the embedded database. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import pg from 'pg';
import { cpuMs, descendants, descendantsCpuMs, proportionalMb, residentMb } from './process_figures.ts';

const ROOT = new URL('../../', import.meta.url).pathname;

export class ServerProcess {
  readonly pid: number;
  readonly grpcPort: number;
  readonly httpPort: number;
  /** From the start of the process until /readyz said so, in milliseconds. */
  readonly startMs: number;
  readonly #child: ChildProcess;
  readonly #directory: string;

  private constructor(child: ChildProcess, ports: [number, number], startMs: number, directory: string) {
    this.#child = child;
    this.pid = child.pid!;
    [this.grpcPort, this.httpPort] = ports;
    this.startMs = startMs;
    this.#directory = directory;
  }

  /** Starts on `directory`, or on a new one. `settings` are environment variables, `flags` come before the module. */
  static async start(
    options: { directory?: string; settings?: Record<string, string>; flags?: readonly string[] } = {},
  ): Promise<ServerProcess> {
    const directory = options.directory ?? (await mkdtemp(join(tmpdir(), 'pm-bench-')));
    const { scripts } = JSON.parse(await readFile(join(ROOT, 'package.json'), 'utf8'));
    const [, flags, main] = /^exec node (.*) (\S+)$/.exec(scripts.start)!;
    const begun = performance.now();
    const child = spawn(process.execPath, [...flags!.split(' '), ...(options.flags ?? []), main!], {
      cwd: ROOT,
      env: {
        PATH: process.env.PATH,
        PASSMANAGER_DATA_DIR: join(directory, 'data'),
        PASSMANAGER_GRPC_PORT: '0',
        PASSMANAGER_HTTP_PORT: '0',
        PASSMANAGER_RATE_LIMIT: 'off',
        ...options.settings,
      },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    let output = '';
    for (const stream of [child.stdout, child.stderr])
      stream!.on('data', (chunk: Buffer) => {
        output += chunk;
      });
    for (;;) {
      const ports = [...output.matchAll(/https?:\/\/[\d.]+:(\d+)/g)].map(([, port]) => Number(port));
      if (ports.length >= 2) {
        const ready = await fetch(`http://127.0.0.1:${ports[1]}/readyz`).catch(() => undefined);
        if (ready?.status === 200) {
          const startMs = performance.now() - begun;
          return new ServerProcess(child, [ports[0]!, ports[1]!], startMs, directory);
        }
      }
      if (child.exitCode !== null) throw new Error(`the server did not start: ${output}`);
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
  }

  /** How PostgreSQL is reached, by the role that owns the tables. */
  get connection(): pg.ClientConfig {
    const host = join(this.#directory, 'data/postgres/socket');
    return { host, user: 'passmanager', database: 'passmanager' };
  }

  /** A connection to the server's database. */
  async query<T>(work: (client: pg.Client) => Promise<T>): Promise<T> {
    const client = new pg.Client(this.connection);
    await client.connect();
    try {
      return await work(client);
    } finally {
      await client.end();
    }
  }

  get httpUrl(): string {
    return `http://127.0.0.1:${this.httpPort}`;
  }

  /** Processor time of the server process, in milliseconds. */
  cpuMs(): number {
    return cpuMs(this.pid);
  }

  /** Processor time of PostgreSQL, in milliseconds. */
  postgresCpuMs(): number {
    return descendantsCpuMs(this.pid);
  }

  /** Resident memory of the server process, in MB. */
  residentMb(): number {
    return residentMb(this.pid);
  }

  /** Proportional memory of PostgreSQL, in MB. */
  postgresMb(): number {
    return proportionalMb(descendants(this.pid));
  }

  /** What the timer probe has seen since it was last asked, in milliseconds. */
  async timerP99(): Promise<number> {
    const answer = once(this.#child.stdout!, 'data') as Promise<[Buffer]>;
    this.#child.kill('SIGWINCH');
    return Number(/timer p99 (\S+)/.exec(String((await answer)[0]))![1]);
  }

  /** Stops the server; deletes its directory unless it is kept. Answers the directory. */
  async stop(options: { keep?: boolean } = {}): Promise<string> {
    const ended = once(this.#child, 'exit');
    this.#child.kill('SIGTERM');
    await ended;
    if (options.keep !== true) await rm(this.#directory, { recursive: true, force: true });
    return this.#directory;
  }
}
