/** Keeps the server's sealing keys those of the database, which another process may have rotated. */
import type { ColumnSealer } from '../database/column_sealer.ts';
import type { Database } from '../database/database.ts';
import { KEY_REFRESH_MS } from '../database/key_rotation.ts';
import { refreshSealer } from '../database/server_keys.ts';
import type { Logger } from './log.ts';

export class KeyRefresh {
  readonly #parts: {
    readonly database: Database;
    readonly keyFile: string;
    readonly sealer: ColumnSealer;
    readonly log: Logger;
  };
  readonly #intervalMs: number;
  #timer: NodeJS.Timeout | undefined;
  #running: Promise<void> = Promise.resolve();

  constructor(
    parts: { database: Database; keyFile: string; sealer: ColumnSealer; log: Logger },
    intervalMs = KEY_REFRESH_MS,
  ) {
    this.#parts = parts;
    this.#intervalMs = intervalMs;
  }

  /** Looks at every interval. */
  start(): void {
    this.#timer = setTimeout(() => {
      this.#running = this.run().then(() => {
        if (this.#timer !== undefined) this.start();
      });
    }, this.#intervalMs);
    this.#timer.unref();
  }

  /** Ends the looks, after the one that runs. */
  async stop(): Promise<void> {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    await this.#running;
  }

  /** Looks once. Never rejects: the keys stay as they are where the database or the key file do not answer. */
  async run(): Promise<void> {
    const { sealer, log } = this.#parts;
    try {
      if (await refreshSealer(this.#parts)) {
        log.info({ keyId: sealer.currentId }, 'the server keys changed; this one seals now');
      }
    } catch (error) {
      log.warn({ err: error }, 'new server keys could not be read; the next look tries again');
    }
  }
}
