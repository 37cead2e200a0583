/**
 * Where a client keeps its copy of a vault. Everything in it is sealed or public, so a caller may persist it as it is; its
 * integrity is what finding a rollback rests on.
 */

/** An entry's bytes as the server stored them, and what it said about them. */
export interface SealedCopy {
  readonly entryName: Uint8Array;
  readonly entryData: Uint8Array;
  readonly revision: bigint;
  /** Milliseconds since 1970 by the server's clock; undefined until read back. */
  readonly createTimeMs?: number | undefined;
  readonly updateTimeMs?: number | undefined;
}

/** What the client knows of one entry. */
export interface StoredEntry {
  readonly entryId: string;
  /** 'missing': the server did not list it after a reset. */
  readonly state: 'live' | 'deleted' | 'missing';
  /** The copy that the client trusts; undefined when it has none. */
  readonly copy?: SealedCopy | undefined;
  /** The highest version seen under the vault key; a deletion counts as one. */
  readonly highestVersion: bigint;
  /** The state's `listing` at which the server last showed this entry. */
  readonly listing: number;
  /** The server's copy that the client refused, until the person has decided. */
  readonly refused?:
    | { readonly reason: 'unreadable' | 'mixed' | 'older'; readonly copy: SealedCopy }
    | undefined;
}

/** What the client knows of the vault as a whole. */
export interface StoreState {
  /** Which vault key the copies are sealed under; names it, tells nothing about it. */
  readonly vaultKeyId: string;
  /** The highest version of the vault header that was seen. */
  readonly headerVersion: bigint;
  /** 16 bytes from the server; empty before the first sync. */
  readonly historyId: Uint8Array;
  /** Up to where the copy follows the server. */
  readonly revision: bigint;
  /** Raised by every reset: what was not shown since is missing. */
  readonly listing: number;
  /** Whether a listing that began with a reset is still under way. */
  readonly isRelisting: boolean;
}

/** One change of a store, applied whole or not at all. */
export interface StoreChange {
  /** Removes everything first. */
  readonly clear?: boolean;
  readonly state?: StoreState;
  readonly put?: readonly StoredEntry[];
  readonly remove?: readonly string[];
}

/** A store. Callers may bring their own: a file, IndexedDB, SQLite. */
export interface VaultStore {
  /** Undefined for a store that is new. */
  readState(): Promise<StoreState | undefined>;
  readEntry(entryId: string): Promise<StoredEntry | undefined>;
  /** Every entry, in any order; what is put meanwhile may or may not be among them. */
  entries(): AsyncIterable<StoredEntry>;
  /** Applies the change: all of it or none, also when the process dies. */
  apply(change: StoreChange): Promise<void>;
}

/** A store that lives as long as its process. */
export class MemoryStore implements VaultStore {
  #state: StoreState | undefined;
  readonly #entries = new Map<string, StoredEntry>();

  async readState(): Promise<StoreState | undefined> {
    return this.#state;
  }

  async readEntry(entryId: string): Promise<StoredEntry | undefined> {
    return this.#entries.get(entryId);
  }

  async *entries(): AsyncGenerator<StoredEntry> {
    yield* [...this.#entries.values()];
  }

  async apply({ clear, state, put = [], remove = [] }: StoreChange): Promise<void> {
    if (clear) {
      this.#entries.clear();
      this.#state = undefined;
    }
    if (state !== undefined) this.#state = state;
    for (const entry of put) this.#entries.set(entry.entryId, entry);
    for (const entryId of remove) this.#entries.delete(entryId);
  }
}
