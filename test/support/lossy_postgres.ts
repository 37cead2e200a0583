/** Stands between a server and the tests' PostgreSQL, and loses connections at chosen moments. */
import { mkdtemp, rm } from 'node:fs/promises';
import { createConnection, createServer, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { TestDatabase } from './test_database.ts';

const SOCKET = '.s.PGSQL.5432';

/** ReadyForQuery outside a transaction: what was sent is committed. */
const COMMITTED = Buffer.from([0x5a, 0, 0, 0, 5, 0x49]);

export interface LossyPostgres {
  /** The database through here, as a setting. */
  readonly url: string;
  /** Loses the connection that next sends `marker`, with PostgreSQL's word that its transaction is committed; `passing` of them go through before. */
  loseCommitOf(marker: string, onLost?: () => void, passing?: number): void;
  /**
   * Keeps the commit of the transaction that next sends `marker` from PostgreSQL, which rolls it back then; the client loses
   * its connection when `meanwhile` is done.
   */
  keepCommitOf(marker: string, meanwhile: () => Promise<void>): void;
  /** Ends every connection and takes no other until `restore`. */
  cut(): void;
  restore(): void;
  close(): Promise<void>;
}

export async function startLossyPostgres({ connection }: TestDatabase): Promise<LossyPostgres> {
  const directory = await mkdtemp(join(tmpdir(), 'pm-lossy-'));
  const sockets = new Set<Socket>();
  let open = true;
  let kept: { marker: Buffer; meanwhile: () => Promise<void> } | undefined;
  let chosen: { marker: Buffer; onLost: () => void; passing: number } | undefined;

  const server = createServer((client) => {
    if (!open) return void client.destroy();
    const postgres = createConnection(join(connection.host, SOCKET));
    const end = () => {
      client.destroy();
      postgres.destroy();
    };
    let doomed: (() => void) | undefined;
    let keeping: (() => Promise<void>) | undefined;
    client.on('data', (sent: Buffer) => {
      if (kept !== undefined && sent.includes(kept.marker)) {
        keeping = kept.meanwhile;
        kept = undefined;
      } else if (keeping !== undefined && /commit/i.test(sent.toString('latin1'))) {
        postgres.off('close', end).destroy();
        void keeping().finally(end);
        return;
      }
      if (chosen !== undefined && sent.includes(chosen.marker) && chosen.passing-- === 0) {
        doomed = chosen.onLost;
        chosen = undefined;
      }
      postgres.write(sent);
    });
    postgres.on('data', (answer: Buffer) => {
      if (doomed !== undefined && answer.subarray(-COMMITTED.length).equals(COMMITTED)) {
        end();
        doomed();
      } else client.write(answer);
    });
    for (const socket of [client, postgres]) {
      sockets.add(socket);
      socket.on('error', end);
      socket.on('close', () => sockets.delete(socket));
      socket.on('close', end);
    }
  });
  await new Promise<void>((resolve) => server.listen(join(directory, SOCKET), resolve));

  const cut = () => {
    open = false;
    for (const socket of sockets) socket.destroy();
  };
  return {
    url: `postgres://${connection.user}@localhost/${connection.database}?host=${encodeURIComponent(directory)}`,
    loseCommitOf: (marker, onLost = () => {}, passing = 0) => {
      chosen = { marker: Buffer.from(marker), onLost, passing };
    },
    keepCommitOf: (marker, meanwhile) => {
      kept = { marker: Buffer.from(marker), meanwhile };
    },
    cut,
    restore: () => {
      open = true;
    },
    close: async () => {
      cut();
      await new Promise((resolve) => server.close(resolve));
      await rm(directory, { recursive: true, force: true });
    },
  };
}
