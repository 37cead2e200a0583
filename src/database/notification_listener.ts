/** A connection that listens to a channel and comes back when it dies. */
import pg from 'pg';
import { type ConnectionOptions, clientConfig } from './connection_pool.ts';

/** Back-off between attempts to connect, in milliseconds. */
const FIRST_DELAY_MS = 100;
const LONGEST_DELAY_MS = 5_000;

/** Listens from `start` until `stop` or `abandon`. */
export class NotificationListener {
  readonly #connection: ConnectionOptions;
  readonly #channel: string;
  readonly #onNotify: (payload: string) => void;
  readonly #onReconnect: () => void;
  #client: pg.Client | undefined;
  #retry: NodeJS.Timeout | undefined;
  #delayMs = FIRST_DELAY_MS;
  #stopped = false;

  constructor(
    connection: ConnectionOptions,
    channel: string,
    handlers: { onNotify: (payload: string) => void; onReconnect: () => void },
  ) {
    this.#connection = connection;
    this.#channel = channel;
    this.#onNotify = handlers.onNotify;
    this.#onReconnect = handlers.onReconnect;
  }

  /** Connects once and goes on trying in the background when that fails. */
  async start(): Promise<void> {
    await this.#connect(false);
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    clearTimeout(this.#retry);
    await this.#client?.end().catch(() => {});
  }

  /** Ends the connection at once, where the database does not answer a farewell; `stop` has nothing to wait for then. */
  abandon(): void {
    this.#stopped = true;
    this.#client?.connection.stream.destroy();
  }

  async #connect(again: boolean): Promise<void> {
    const client = new pg.Client({
      ...clientConfig(this.#connection),
      connectionTimeoutMillis: 5_000,
      keepAlive: true,
      keepAliveInitialDelayMillis: 10_000,
    });
    let dead = false;
    const onDeath = (): void => {
      if (dead) return;
      dead = true;
      void client.end().catch(() => {});
      this.#reconnectLater();
    };
    client.on('error', onDeath);
    client.on('end', onDeath);
    client.on('notification', ({ payload }) => this.#onNotify(payload ?? ''));
    try {
      await client.connect();
      await client.query(`listen ${client.escapeIdentifier(this.#channel)}`);
      this.#client = client;
      this.#delayMs = FIRST_DELAY_MS;
      if (this.#stopped) await client.end();
      else if (again) this.#onReconnect();
    } catch {
      onDeath();
    }
  }

  #reconnectLater(): void {
    if (this.#stopped) return;
    this.#retry = setTimeout(() => void this.#connect(true), this.#delayMs);
    this.#retry.unref();
    this.#delayMs = Math.min(2 * this.#delayMs, LONGEST_DELAY_MS);
  }
}
