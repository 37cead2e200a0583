/** The floor of sealed calls in a process of its own, on the database of a running server. */
import { type ChildProcess, spawn } from 'node:child_process';
import { randomBytes, randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { SERVER_FLAGS } from '../../src/cli/commands/serve.ts';
import { deriveSessionKeys } from '../../src/protocol/keys.ts';
import { BARE_TABLES, type BareServerOptions } from '../floors/bare_tables.ts';
import { cpuMs } from './process_figures.ts';
import { newEntry, SealedSession } from './sealed_session.ts';
import type { ServerProcess } from './server_process.ts';

const PROGRAM = new URL('../floors/bare_server.ts', import.meta.url).pathname;
const hex = (bytes: Uint8Array) => Buffer.from(bytes).toString('hex');

export class BareProcess {
  readonly sessions: SealedSession[];
  readonly entryIds: string[];
  readonly grpcPort: number;
  readonly httpPort: number;
  readonly pid: number;
  readonly #child: ChildProcess;

  private constructor(child: ChildProcess, ports: number[], sessions: SealedSession[], entryIds: string[]) {
    this.#child = child;
    this.pid = child.pid!;
    [this.grpcPort, this.httpPort] = ports as [number, number];
    this.sessions = sessions;
    this.entryIds = entryIds;
  }

  /** With `lanes` sessions and 100 entries. */
  static async start(server: ServerProcess, lanes: number): Promise<BareProcess> {
    const keys = Array.from({ length: lanes }, () => new Uint8Array(randomBytes(32)));
    const ids = keys.map(() => randomUUID() as string);
    const entryIds: string[] = [];
    await server.query(async (client) => {
      await client.query(BARE_TABLES);
      for (const id of ids) {
        await client.query('insert into bare_sessions values ($1, -1, 0, 0, clock_timestamp())', [id]);
        await client.query('insert into bare_users values ($1, 0, 0)', [id]);
      }
      for (let count = 0; count < 100; count += 1) {
        const { entryId, entryName, entryData } = newEntry();
        entryIds.push(entryId);
        await client.query(
          'insert into bare_entries select id, $1, $2, $3, 1, now(), now() from bare_users where id = any($4)',
          [entryId, entryName, entryData, ids],
        );
      }
    });
    const options: BareServerOptions = {
      connection: server.connection,
      sessions: Object.fromEntries(
        ids.map((id, index) => {
          const { clientToServer, serverToClient } = deriveSessionKeys(keys[index]!);
          return [id, { clientToServer: hex(clientToServer), serverToClient: hex(serverToClient) }];
        }),
      ),
    };
    // The same flags as the server's: how often garbage is collected is part of the stack.
    const child = spawn(process.execPath, [...SERVER_FLAGS, PROGRAM], {
      env: { PATH: process.env.PATH, BARE_SERVER: JSON.stringify(options) },
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    const [line] = (await once(child.stdout!, 'data')) as [Buffer];
    const sessions = ids.map((id, index) => new SealedSession(id, keys[index]!));
    return new BareProcess(child, String(line).trim().split(' ').map(Number), sessions, entryIds);
  }

  /** Processor time, in milliseconds. */
  cpuMs(): number {
    return cpuMs(this.pid);
  }

  async stop(): Promise<void> {
    const ended = once(this.#child, 'exit');
    this.#child.kill('SIGTERM');
    await ended;
  }
}
