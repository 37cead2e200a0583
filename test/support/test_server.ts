/** A whole server for a test: both doors on free ports, a database of its own, every limit as by default. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type Config, loadConfig } from '../../src/server/config.ts';
import { createLogger } from '../../src/server/log.ts';
import { type RunningServer, type ServerParts, startServer } from '../../src/server/server.ts';
import { createTestDatabase, type TestDatabase } from './test_database.ts';

export interface TestServer {
  readonly running: RunningServer;
  readonly config: Config;
  /** What `config` was read from, for commands beside the server. */
  readonly settings: Readonly<Record<string, string>>;
  readonly database: TestDatabase;
  /** `127.0.0.1:port` of the gRPC door. */
  readonly grpcAddress: string;
  /** `http://127.0.0.1:port` of the HTTP door. */
  readonly httpUrl: string;
  /** Everything that was logged. */
  readonly logged: string[];
  /** Stops the server and deletes its database. */
  stop(): Promise<void>;
}

export interface TestServerOptions {
  /** PASSMANAGER_ settings. */
  readonly settings?: Record<string, string>;
  readonly parts?: Partial<ServerParts>;
  /** A database to share with another server of the test, and its key file. */
  readonly shared?: { database: TestDatabase; keyFile: string };
}

/** The address of a test database as a setting. */
export function databaseUrl({ connection }: TestDatabase): string {
  return `postgres://${connection.user}@localhost/${connection.database}?host=${encodeURIComponent(connection.host)}`;
}

export async function startTestServer(options: TestServerOptions = {}): Promise<TestServer> {
  const directory = await mkdtemp(join(tmpdir(), 'pm-server-'));
  const database = options.shared?.database ?? (await createTestDatabase());
  const settings = {
    PASSMANAGER_GRPC_PORT: '0',
    PASSMANAGER_HTTP_PORT: '0',
    PASSMANAGER_DATA_DIR: directory,
    PASSMANAGER_DATABASE_URL: databaseUrl(database),
    PASSMANAGER_DATABASE_POOL_SIZE: '6',
    PASSMANAGER_RATE_LIMIT: 'off',
    PASSMANAGER_REGISTRATION: 'open',
    ...(options.shared === undefined ? {} : { PASSMANAGER_KEY_FILE: options.shared.keyFile }),
    ...options.settings,
  };
  const config = loadConfig(settings);
  const logged: string[] = [];
  const log = createLogger('debug', { write: (line: string) => void logged.push(line) });
  const running = await startServer(config, { log, ...options.parts });
  return {
    running,
    config,
    settings,
    database,
    grpcAddress: `127.0.0.1:${running.grpcAddress.port}`,
    httpUrl: `http://127.0.0.1:${running.httpAddress.port}`,
    logged,
    stop: async () => {
      await running.stop();
      if (options.shared === undefined) await database.drop();
      await rm(directory, { recursive: true, force: true });
    },
  };
}
