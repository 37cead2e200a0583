/** Keeps the server's sealing keys those of the database, which another process may have rotated. */
import type { ColumnSealer } from '../database/column_sealer.ts';
import type { Database } from '../database/database.ts';
import { KEY_REFRESH_MS } from '../database/key_rotation.ts';
import { refreshSealer } from '../database/server_keys.ts';
import type { Logger } from './log.ts';
import { Rounds } from './rounds.ts';

/** Looks for new keys at an interval. */
export class KeyRefresh {
  readonly #parts: {
    readonly database: Database;
    readonly keyFile: string;
    readonly sealer: ColumnSealer;
    readonly log: Logger;
  };
  readonly #intervalMs: number;
  readonly #looks: Rounds;

  constructor(
    parts: { database: Database; keyFile: string; sealer: ColumnSealer; log: Logger },
    intervalMs = KEY_REFRESH_MS,
  ) {
    this.#parts = parts;
    this.#intervalMs = intervalMs;
    this.#looks = new Rounds(() => this.run(), intervalMs);
  }

  /** Looks at every interval. */
  start(): void {
    this.#looks.start(this.#intervalMs);
  }

  /** Ends the looks, after the one that runs. */
  stop(): Promise<void> {
    return this.#looks.stop();
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
