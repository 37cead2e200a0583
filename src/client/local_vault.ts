/**
 * The client's own copy of a vault: what it believes of what a server shows, and what it keeps when it does not. All rules
 * against mixed, older and unreadable entries are here (docs/cryptographic_implementation.md, "Entries").
 */

import { type Timestamp, timestampMs } from '@bufbuild/protobuf/wkt';
import type { EntryName } from '../../gen/passmanager/common/v1/vault_pb.ts';
import type { RandomBytes } from '../protocol/bytes.ts';
import type { SealKey } from '../protocol/seal.ts';
import {
  type EntryMessages,
  type EntryProblem,
  type EntryProblemReason,
  kindOf,
  toEntry,
  type VaultEntry,
} from './entry.ts';
import { openEntry, openName, type SealedEntry, sealEntry } from './entry_seal.ts';
import { ClosedError, VaultRolledBackError } from './errors.ts';
import { NameIndex } from './name_index.ts';
import type { SealedCopy, StoreChange, StoredEntry, StoreState, VaultStore } from './vault_store.ts';

/** An entry as the contract carries it. */
export interface ServerEntry extends SealedEntry {
  readonly entryId: string;
  readonly revision: bigint;
  readonly createTime?: Timestamp | undefined;
  readonly updateTime?: Timestamp | undefined;
}

/** What a client makes of a server's copy: take it, or why not. */
export function judge(
  highestVersion: bigint,
  opened: EntryMessages | undefined,
): 'take' | 'unreadable' | 'mixed' | 'older' {
  if (opened === undefined) return 'unreadable';
  if (opened.name.version !== opened.data.version) return 'mixed';
  return opened.name.version < highestVersion ? 'older' : 'take';
}

/** Opens a store for a vault. Throws VaultRolledBackError when it has seen a later header, unless that is accepted. */
export async function openLocalVault(parts: {
  store: VaultStore;
  vaultKey: SealKey;
  vaultKeyId: string;
  headerVersion: bigint;
  acceptOlderHeader: boolean;
  random: RandomBytes;
}): Promise<LocalVault> {
  const { store, vaultKey, vaultKeyId, headerVersion, random } = parts;
  const known = await store.readState();
  if (known !== undefined && headerVersion < known.headerVersion && !parts.acceptOlderHeader) {
    throw new VaultRolledBackError(known.headerVersion, headerVersion);
  }
  // Copies under another vault key no longer open, and versions count under one key: the listing begins anew.
  const state =
    known?.vaultKeyId === vaultKeyId ? { ...known, headerVersion } : emptyState(vaultKeyId, headerVersion);
  await store.apply({ clear: known?.vaultKeyId !== vaultKeyId, state });
  return new LocalVault(store, vaultKey, state, random);
}

function emptyState(vaultKeyId: string, headerVersion: bigint): StoreState {
  return {
    vaultKeyId,
    headerVersion,
    historyId: new Uint8Array(),
    revision: 0n,
    listing: 0,
    isRelisting: false,
  };
}

/** How many copies are sealed again before the store is written. */
const REKEY_GROUP = 200;

/** A store, opened with its vault key. Changes are made one after another. */
export class LocalVault {
  readonly names = new NameIndex();
  readonly #store: VaultStore;
  readonly #random: RandomBytes;
  #vaultKey: SealKey | undefined;
  #state: StoreState;
  #queue: Promise<unknown> = Promise.resolve();

  constructor(store: VaultStore, vaultKey: SealKey, state: StoreState, random: RandomBytes) {
    this.#store = store;
    this.#vaultKey = vaultKey;
    this.#state = state;
    this.#random = random;
  }

  get state(): StoreState {
    return this.#state;
  }

  /** Throws ClosedError after close(). */
  get vaultKey(): SealKey {
    if (this.#vaultKey === undefined) throw new ClosedError();
    return this.#vaultKey;
  }

  /** Lets go of the vault key and of every name. */
  close(): void {
    this.#vaultKey = undefined;
    this.names.clear();
  }

  /** Whether the store has followed the server at least once. */
  get wasSynced(): boolean {
    return this.#state.historyId.length > 0;
  }

  read(entryId: string): Promise<StoredEntry | undefined> {
    return this.#store.readEntry(entryId);
  }

  entries(): AsyncIterable<StoredEntry> {
    return this.#store.entries();
  }

  /** Seals messages under the vault key. */
  async seal(entryId: string, messages: EntryMessages): Promise<SealedEntry> {
    return sealEntry(this.vaultKey, entryId, messages, this.#random);
  }

  /** Opens a copy; undefined when it does not open. */
  async open(entryId: string, copy: SealedEntry): Promise<EntryMessages | undefined> {
    return openEntry(this.vaultKey, entryId, copy).catch(() => undefined);
  }

  /** Opens a name; undefined when it does not open. */
  async openName(entryId: string, entryName: Uint8Array): Promise<EntryName | undefined> {
    return openName(this.vaultKey, entryId, entryName).catch(() => undefined);
  }

  /** Follows what the server shows, each entry by the rules, in one change of the store. Answers what was stored. */
  async follow(
    shown: { entries?: readonly ServerEntry[]; deleted?: readonly string[] },
    state?: StoreState,
  ): Promise<StoredEntry[]> {
    return this.#exclusively(async () => {
      const { listing } = state ?? this.#state;
      const followed: StoredEntry[] = [];
      for (const entry of shown.entries ?? []) {
        followed.push(await this.#followEntry(entry, listing));
      }
      for (const entryId of shown.deleted ?? []) {
        const tombstone = await this.#followDeletion(entryId, listing);
        if (tombstone !== undefined) followed.push(tombstone);
      }
      await this.#apply({ put: followed, ...(state === undefined ? {} : { state }) });
      return followed;
    });
  }

  /** Notes what this client wrote and the server took. */
  async wrote(
    entryId: string,
    sealed: SealedEntry,
    messages: EntryMessages,
    revision: bigint,
  ): Promise<void> {
    await this.#exclusively(async () => {
      const held = await this.read(entryId);
      const copy: SealedCopy = { ...sealed, revision, createTimeMs: held?.copy?.createTimeMs };
      await this.#apply({ put: [this.#taken(entryId, copy, messages, this.#state.listing)] });
    });
  }

  /** Takes a refused copy after all: the person has decided. */
  async adopt(entryId: string, copy: SealedCopy, messages: EntryMessages): Promise<void> {
    await this.#exclusively(() =>
      this.#apply({ put: [this.#taken(entryId, copy, messages, this.#state.listing)] }),
    );
  }

  /** Forgets an entry. */
  async forget(entryId: string): Promise<void> {
    this.names.remove(entryId);
    await this.#exclusively(() => this.#apply({ remove: [entryId] }));
  }

  /** A listing after a reset is over: what it did not show is set aside. Answers the ids. */
  async setMissingAside(): Promise<string[]> {
    return this.#exclusively(async () => {
      const missing: StoredEntry[] = [];
      for await (const entry of this.entries()) {
        if (entry.state === 'live' && entry.listing < this.#state.listing) {
          missing.push({ ...entry, state: 'missing', refused: undefined });
          this.names.remove(entry.entryId);
        }
      }
      await this.#apply({ put: missing, state: { ...this.#state, isRelisting: false } });
      return missing.map(({ entryId }) => entryId);
    });
  }

  /**
   * Goes over to another vault key. The copies are sealed again one group after the other; the store keeps the old key's name
   * until all are, so that a death in between only means a new listing.
   */
  async rekey(
    vaultKey: SealKey,
    state: Pick<StoreState, 'vaultKeyId' | 'headerVersion'>,
    reseal: (entryId: string, copy: SealedEntry) => Promise<SealedEntry | undefined>,
  ): Promise<void> {
    await this.#exclusively(async () => {
      const again = async (entryId: string, copy: SealedCopy): Promise<SealedCopy> => ({
        ...copy,
        ...(await reseal(entryId, copy)),
      });
      let group: StoredEntry[] = [];
      for await (const stored of this.entries()) {
        const { entryId, copy, refused, state: entryState } = stored;
        // Every revision moves with the change: a copy that no sync follows would only be stale.
        const isKept = this.wasSynced || entryState === 'missing' || refused !== undefined;
        group.push({
          ...stored,
          copy: isKept ? copy && (await again(entryId, copy)) : undefined,
          refused: refused && { ...refused, copy: await again(entryId, refused.copy) },
        });
        if (group.length === REKEY_GROUP) {
          await this.#apply({ put: group });
          group = [];
        }
      }
      this.#vaultKey = vaultKey;
      if (!this.wasSynced) this.names.clear();
      await this.#apply({ put: group, state: { ...this.#state, ...state } });
    });
  }

  /** The trusted copy as an entry; undefined when there is none, or it is of a kind that this version does not know. */
  async toEntry({ entryId, copy }: StoredEntry): Promise<VaultEntry | undefined> {
    return copy === undefined ? undefined : this.#entryOf(entryId, copy);
  }

  /** Why the server's copy is refused, with both sides; undefined when it is not. */
  async problemOf(stored: StoredEntry): Promise<EntryProblem | undefined> {
    const reason: EntryProblemReason | undefined =
      stored.state === 'missing' ? 'missing' : stored.refused?.reason;
    if (reason === undefined) return undefined;
    return {
      entryId: stored.entryId,
      reason,
      ours: await this.toEntry(stored),
      theirs: stored.refused && (await this.#entryOf(stored.entryId, stored.refused.copy)),
    };
  }

  /** Puts every name of the store into the index. */
  async loadNames(): Promise<void> {
    for await (const { entryId, state, copy } of this.entries()) {
      if (state !== 'live' || copy === undefined) continue;
      const name = await this.openName(entryId, copy.entryName);
      if (name !== undefined) this.#index(entryId, name, copy.revision);
    }
    this.names.isComplete = true;
  }

  async #entryOf(entryId: string, copy: SealedCopy): Promise<VaultEntry | undefined> {
    const messages = await this.open(entryId, copy);
    const kind = messages && kindOf(messages.name);
    return messages && kind && toEntry(entryId, messages, kind, { revision: copy.revision, ...times(copy) });
  }

  async #followEntry(entry: ServerEntry, listing: number): Promise<StoredEntry> {
    const { entryId } = entry;
    const held = await this.read(entryId);
    // A page that was asked for before this client's own write came back after it.
    if (held !== undefined && held.listing === listing && (held.copy?.revision ?? -1n) > entry.revision)
      return held;
    const copy: SealedCopy = {
      entryName: entry.entryName,
      entryData: entry.entryData,
      revision: entry.revision,
      createTimeMs: entry.createTime && timestampMs(entry.createTime),
      updateTimeMs: entry.updateTime && timestampMs(entry.updateTime),
    };
    const messages = await this.open(entryId, entry);
    const verdict = judge(held?.highestVersion ?? 0n, messages);
    if (verdict === 'take') return this.#taken(entryId, copy, messages!, listing);
    return {
      entryId,
      state: held?.state === 'deleted' ? 'deleted' : 'live',
      copy: held?.copy,
      highestVersion: held?.highestVersion ?? 0n,
      listing,
      refused: { reason: verdict, copy },
    };
  }

  async #followDeletion(entryId: string, listing: number): Promise<StoredEntry | undefined> {
    this.names.remove(entryId);
    const held = await this.read(entryId);
    if (held === undefined) return undefined;
    const highestVersion = held.highestVersion + (held.state === 'deleted' ? 0n : 1n);
    return { entryId, state: 'deleted', highestVersion, listing };
  }

  #taken(entryId: string, copy: SealedCopy, { name }: EntryMessages, listing: number): StoredEntry {
    this.#index(entryId, name, copy.revision);
    return { entryId, state: 'live', copy, highestVersion: name.version, listing };
  }

  #index(entryId: string, name: EntryMessages['name'], revision: bigint): void {
    const kind = kindOf(name);
    if (kind === undefined) this.names.remove(entryId);
    else this.names.put({ id: entryId, name: name.name, kind, revision });
  }

  async #apply(change: StoreChange): Promise<void> {
    await this.#store.apply(change);
    if (change.state !== undefined) this.#state = change.state;
  }

  /** One after the other: each reads what the one before has written. */
  #exclusively<T>(work: () => Promise<T>): Promise<T> {
    const done = this.#queue.then(work);
    this.#queue = done.catch(() => undefined);
    return done;
  }
}

function times({ createTimeMs, updateTimeMs }: SealedCopy) {
  return {
    createTime: createTimeMs === undefined ? undefined : new Date(createTimeMs),
    updateTime: updateTimeMs === undefined ? undefined : new Date(updateTimeMs),
  };
}
