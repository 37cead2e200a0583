/** Writing entries: sealed once, sent until it is known what became of it. */
import { batchesOf } from './batches.ts';
import {
  changeMessages,
  type EntryChanges,
  type EntryMessages,
  kindOf,
  type NewEntry,
  newMessages,
  toEntry,
  type VaultEntry,
} from './entry.ts';
import { type EntryReader, type ProgressOptions, requireId } from './entry_reader.ts';
import type { SealedEntry } from './entry_seal.ts';
import {
  BatchInterruptedError,
  EntryProblemError,
  RevisionConflictError,
  ServerRefusalError,
  UntrustedAnswerError,
} from './errors.ts';
import type { LocalVault } from './local_vault.ts';
import { RPC } from './sealed_rpcs.ts';
import type { SessionKeeper } from './session_keeper.ts';

/** An entry, or its id alone. With the entry, a change is refused when the entry is no longer at that revision. */
export type EntryRef = string | Pick<VaultEntry, 'id' | 'revision'>;

/** A change of one entry among several. */
export interface EntryUpdate {
  readonly entry: EntryRef;
  readonly changes: EntryChanges;
}

/** A sealed write that has not been sent. */
export interface Draft {
  readonly entryId: string;
  readonly messages: EntryMessages;
  readonly sealed: SealedEntry;
  /** Undefined for a new entry. */
  readonly expectedRevision?: bigint;
}

/** A deletion that has not been sent. */
interface Deletion {
  readonly entryId: string;
  readonly expectedRevision?: bigint;
}

/** What an id and a revision take in a message, about. */
const DELETION_BYTES = 64;

/** Writes over a session, and notes in the local copy what the server took. Throws what SessionKeeper.call does. */
export class EntryWriter {
  readonly #keeper: SessionKeeper;
  readonly #local: LocalVault;
  readonly #reader: EntryReader;

  constructor(keeper: SessionKeeper, local: LocalVault, reader: EntryReader) {
    this.#keeper = keeper;
    this.#local = local;
    this.#reader = reader;
  }

  async create(fields: NewEntry, signal?: AbortSignal): Promise<VaultEntry> {
    return this.sendNew(await this.#draftNew(fields), signal);
  }

  async createMany(fields: readonly NewEntry[], options: ProgressOptions = {}): Promise<VaultEntry[]> {
    const drafts: Draft[] = [];
    for (const entry of fields) drafts.push(await this.#draftNew(entry));
    return this.#writeMany(drafts, RPC.batchCreateEntries, options);
  }

  async update(entry: EntryRef, changes: EntryChanges, signal?: AbortSignal): Promise<VaultEntry> {
    return this.sendChange(await this.#draftChange(entry, changes, signal), signal);
  }

  async updateMany(updates: readonly EntryUpdate[], options: ProgressOptions = {}): Promise<VaultEntry[]> {
    const drafts: Draft[] = [];
    for (const { entry, changes } of updates) {
      drafts.push(await this.#draftChange(entry, changes, options.signal));
    }
    return this.#writeMany(drafts, RPC.batchUpdateEntries, options);
  }

  async delete(entry: EntryRef, signal?: AbortSignal): Promise<void> {
    const deletion = await this.#deletion(entry);
    try {
      await this.#keeper.call(RPC.deleteEntry, deletion, { signal });
    } catch (error) {
      throw await this.#conflict(error, deletion.entryId, undefined);
    }
    await this.#local.follow({ deleted: [deletion.entryId] });
  }

  async deleteMany(
    entries: readonly EntryRef[],
    { signal, onProgress }: ProgressOptions = {},
  ): Promise<void> {
    const deletions: Deletion[] = [];
    for (const entry of entries) deletions.push(await this.#deletion(entry));
    const done: string[] = [];
    for (const batch of batchesOf(deletions, () => DELETION_BYTES)) {
      await this.#keeper
        .call(RPC.batchDeleteEntries, { entries: batch }, { signal })
        .catch((error) => throwInterrupted(done, error));
      const ids = batch.map(({ entryId }) => entryId);
      await this.#local.follow({ deleted: ids });
      done.push(...ids);
      onProgress?.(done.length, deletions.length);
    }
  }

  /** Sends a new entry. */
  async sendNew(draft: Draft, signal?: AbortSignal): Promise<VaultEntry> {
    const { revision } = await this.#keeper.call(RPC.createEntry, payloadOf(draft), { signal });
    return this.#written(draft, revision);
  }

  /** Sends a change. Throws RevisionConflictError with both sides. */
  async sendChange(draft: Draft, signal?: AbortSignal): Promise<VaultEntry> {
    try {
      const { revision } = await this.#keeper.call(RPC.updateEntry, payloadOf(draft), { signal });
      return await this.#written(draft, revision);
    } catch (error) {
      throw await this.#conflict(error, draft.entryId, draft.messages);
    }
  }

  async #draftNew(fields: NewEntry): Promise<Draft> {
    const entryId = fields.id === undefined ? crypto.randomUUID() : requireId(fields.id);
    const messages = newMessages(fields);
    return { entryId, messages, sealed: await this.#local.seal(entryId, messages) };
  }

  /** A change is made to the copy that the client trusts, and refused by the server when that is not the latest. */
  async #draftChange(
    entry: EntryRef,
    changes: EntryChanges,
    signal: AbortSignal | undefined,
  ): Promise<Draft> {
    const entryId = requireId(typeof entry === 'string' ? entry : entry.id);
    let stored = await this.#local.read(entryId);
    if (stored?.copy === undefined || stored.state !== 'live') {
      stored = await this.#reader.fetch(entryId, signal);
    }
    const problem = await this.#local.problemOf(stored);
    if (problem !== undefined) throw new EntryProblemError(problem);
    const messages = await this.#local.open(entryId, stored.copy!);
    if (messages === undefined) throw new UntrustedAnswerError('the copy of the store does not open');
    const changed = changeMessages(messages, changes, stored.highestVersion + 1n);
    if (typeof entry !== 'string' && entry.revision !== stored.copy!.revision) {
      throw new RevisionConflictError({
        ours: messagesEntry(entryId, changed, entry.revision),
        theirs: await this.#local.toEntry(stored),
        currentRevision: stored.copy!.revision,
      });
    }
    return {
      entryId,
      messages: changed,
      sealed: await this.#local.seal(entryId, changed),
      expectedRevision: stored.copy!.revision,
    };
  }

  async #deletion(entry: EntryRef): Promise<Deletion> {
    const entryId = requireId(typeof entry === 'string' ? entry : entry.id);
    if (typeof entry !== 'string') return { entryId, expectedRevision: entry.revision };
    const stored = await this.#local.read(entryId);
    const seen = stored?.refused?.copy.revision ?? stored?.copy?.revision;
    return seen === undefined ? { entryId } : { entryId, expectedRevision: seen };
  }

  async #writeMany(
    drafts: readonly Draft[],
    rpc: typeof RPC.batchCreateEntries | typeof RPC.batchUpdateEntries,
    { signal, onProgress }: ProgressOptions,
  ): Promise<VaultEntry[]> {
    const written: VaultEntry[] = [];
    const sizeOf = ({ sealed }: Draft) => sealed.entryName.length + sealed.entryData.length;
    for (const batch of batchesOf(drafts, sizeOf)) {
      // Both take entries of this shape; what a creation does not know of it is not written.
      const { entries } = await this.#keeper
        .call(rpc as typeof RPC.batchUpdateEntries, { entries: batch.map(payloadOf) }, { signal })
        .catch((error) =>
          throwInterrupted(
            written.map(({ id }) => id),
            error,
          ),
        );
      const revisions = new Map(entries.map(({ entryId, revision }) => [entryId, revision]));
      for (const draft of batch) {
        const revision = revisions.get(draft.entryId);
        if (revision === undefined) throw new UntrustedAnswerError('a batch that leaves an entry out');
        written.push(await this.#written(draft, revision));
      }
      onProgress?.(written.length, drafts.length);
    }
    return written;
  }

  async #written({ entryId, sealed, messages }: Draft, revision: bigint): Promise<VaultEntry> {
    await this.#local.wrote(entryId, sealed, messages, revision);
    return messagesEntry(entryId, messages, revision);
  }

  /** A conflict becomes an error with both sides; anything else stays what it is. */
  async #conflict(error: unknown, entryId: string, ours: EntryMessages | undefined): Promise<unknown> {
    if (!(error instanceof ServerRefusalError) || error.code !== 'revision_conflict') return error;
    const theirs = await this.#reader.get(entryId).catch(() => undefined);
    const { currentRevision } = error;
    return new RevisionConflictError({
      ours: ours && messagesEntry(entryId, ours, currentRevision ?? 0n),
      theirs,
      currentRevision,
      cause: error,
    });
  }
}

function payloadOf({ entryId, sealed, expectedRevision }: Draft) {
  return { entryId, ...sealed, ...(expectedRevision === undefined ? {} : { expectedRevision }) };
}

function messagesEntry(entryId: string, messages: EntryMessages, revision: bigint): VaultEntry {
  return toEntry(entryId, messages, kindOf(messages.name) ?? 'login', { revision });
}

function throwInterrupted(done: readonly string[], error: unknown): never {
  throw done.length > 0 ? new BatchInterruptedError(done, error) : error;
}
