/** The entries of a vault: each operation in one call, or in as few as a batch needs. */
import { isUuid } from '../protocol/uuid.ts';
import { batchesOf, MAXIMUM_BATCH_ENTRIES } from './batches.ts';
import {
  changeMessages,
  type EntryChanges,
  type EntryMessages,
  type EntryProblem,
  type EntrySummary,
  kindOf,
  type NewEntry,
  newMessages,
  toEntry,
  type VaultEntry,
} from './entry.ts';
import type { SealedEntry } from './entry_seal.ts';
import {
  BatchInterruptedError,
  EntryProblemError,
  InvalidInputError,
  RevisionConflictError,
  ServerRefusalError,
  UntrustedAnswerError,
  VaultError,
} from './errors.ts';
import type { LocalVault, ServerEntry } from './local_vault.ts';
import { RPC } from './sealed_rpcs.ts';
import type { SessionKeeper } from './session_keeper.ts';
import type { StoredEntry } from './vault_store.ts';
import { syncVault } from './vault_sync.ts';

/** An entry, or its id alone. With the entry, a change is refused when the entry is no longer at that revision. */
export type EntryRef = string | Pick<VaultEntry, 'id' | 'revision'>;

/** Which side of a refused copy to take. */
export type Side = 'ours' | 'theirs';

/** Names, and entries whose server's copy was refused. */
export interface EntryList {
  readonly entries: readonly EntrySummary[];
  readonly problems: readonly EntryProblem[];
}

/** What getMany found. */
export interface FoundEntries {
  readonly entries: readonly VaultEntry[];
  readonly missing: readonly string[];
  readonly problems: readonly EntryProblem[];
}

/** Options of calls that may take long. */
export interface ProgressOptions {
  readonly signal?: AbortSignal;
  /** Called after every call with how many entries are done. */
  readonly onProgress?: (done: number, total: number) => void;
}

/** A sealed write that has not been sent. */
interface Draft {
  readonly entryId: string;
  readonly sealed: SealedEntry;
  readonly messages: EntryMessages;
  readonly expectedRevision?: bigint;
}

/** The most names a page. */
const PAGE_SIZE = 1000;

export class VaultEntries {
  readonly #keeper: SessionKeeper;
  readonly #local: LocalVault;

  constructor(keeper: SessionKeeper, local: LocalVault) {
    this.#keeper = keeper;
    this.#local = local;
  }

  async create(fields: NewEntry, signal?: AbortSignal): Promise<VaultEntry> {
    const draft = await this.#draftNew(fields);
    const { revision } = await this.#keeper.call(RPC.createEntry, payloadOf(draft), { signal });
    return this.#written(draft, revision);
  }

  async createMany(fields: readonly NewEntry[], options: ProgressOptions = {}): Promise<VaultEntry[]> {
    return this.#writeMany(fields, (entry) => this.#draftNew(entry), RPC.batchCreateEntries, options);
  }

  async get(entryId: string, signal?: AbortSignal): Promise<VaultEntry> {
    const entry = await this.#keeper.call(RPC.getEntry, { entryId: requireId(entryId) }, { signal });
    return this.#shown(await this.#follow(entryId, entry));
  }

  async getMany(
    entryIds: readonly string[],
    { signal, onProgress }: ProgressOptions = {},
  ): Promise<FoundEntries> {
    const found: { entries: VaultEntry[]; missing: string[]; problems: EntryProblem[] } = {
      entries: [],
      missing: [],
      problems: [],
    };
    let waiting = [...new Set(entryIds.map(requireId))];
    const total = waiting.length;
    while (waiting.length > 0) {
      const asked = waiting.slice(0, MAXIMUM_BATCH_ENTRIES);
      const answer = await this.#keeper.call(RPC.batchGetEntries, { entryIds: asked }, { signal });
      requireProgress(asked, answer.remainingEntryIds);
      for (const stored of await this.#local.follow({ entries: requireAsked(asked, answer.entries) })) {
        const problem = await this.#local.problemOf(stored);
        const entry = await this.#local.toEntry(stored);
        if (problem !== undefined) found.problems.push(problem);
        else if (entry !== undefined) found.entries.push(entry);
      }
      found.missing.push(...answer.missingEntryIds);
      waiting = [...answer.remainingEntryIds, ...waiting.slice(asked.length)];
      onProgress?.(total - waiting.length, total);
    }
    return found;
  }

  async update(entry: EntryRef, changes: EntryChanges, signal?: AbortSignal): Promise<VaultEntry> {
    const draft = await this.#draftChange(entry, changes, signal);
    try {
      const { revision } = await this.#keeper.call(RPC.updateEntry, payloadOf(draft), { signal });
      return await this.#written(draft, revision);
    } catch (error) {
      throw await this.#conflict(error, draft.entryId, draft.messages);
    }
  }

  async updateMany(
    updates: readonly { readonly entry: EntryRef; readonly changes: EntryChanges }[],
    options: ProgressOptions = {},
  ): Promise<VaultEntry[]> {
    return this.#writeMany(
      updates,
      ({ entry, changes }) => this.#draftChange(entry, changes, options.signal),
      RPC.batchUpdateEntries,
      options,
    );
  }

  async delete(entry: EntryRef, signal?: AbortSignal): Promise<void> {
    const payload = await this.#deletion(entry);
    try {
      await this.#keeper.call(RPC.deleteEntry, payload, { signal });
    } catch (error) {
      throw await this.#conflict(error, payload.entryId, undefined);
    }
    await this.#local.follow({ deleted: [payload.entryId] });
  }

  async deleteMany(
    entries: readonly EntryRef[],
    { signal, onProgress }: ProgressOptions = {},
  ): Promise<void> {
    const payloads = await Promise.all(entries.map((entry) => this.#deletion(entry)));
    const done: string[] = [];
    for (const batch of batchesOf(payloads, () => 64)) {
      await this.#keeper
        .call(RPC.batchDeleteEntries, { entries: batch }, { signal })
        .catch((error) => throwInterrupted(done, error));
      const ids = batch.map(({ entryId }) => entryId);
      await this.#local.follow({ deleted: ids });
      done.push(...ids);
      onProgress?.(done.length, payloads.length);
    }
  }

  /** All names: by a sync where the store follows the server, else by names alone. */
  async list(signal?: AbortSignal): Promise<EntryList> {
    const { names } = this.#local;
    if (this.#local.wasSynced) {
      await syncVault(this.#keeper, this.#local, signal);
      if (!names.isComplete) await this.#local.loadNames();
    } else {
      await this.#listNames(signal);
    }
    return { entries: names.all(), problems: await this.problems() };
  }

  /** Searches names; asks the server only when none are known yet. */
  async search(query: string, signal?: AbortSignal): Promise<EntrySummary[]> {
    const { names } = this.#local;
    if (!names.isComplete) {
      if (this.#local.wasSynced) await this.#local.loadNames();
      else await this.#listNames(signal);
    }
    return names.search(query);
  }

  async problems(): Promise<EntryProblem[]> {
    const problems: EntryProblem[] = [];
    for await (const stored of this.#local.entries()) {
      const problem = await this.#local.problemOf(stored);
      if (problem !== undefined) problems.push(problem);
    }
    return problems;
  }

  /**
   * Settles a refused copy. 'theirs' takes what the server has, or agrees that it is gone; 'ours' writes the client's own
   * again with a version above both, or deletes again what had been deleted. Answers the entry as it is then.
   */
  async resolve(entryId: string, side: Side, signal?: AbortSignal): Promise<VaultEntry | undefined> {
    const stored = await this.#local.read(requireId(entryId));
    if (stored?.state === 'missing') return this.#resolveMissing(stored, side, signal);
    if (stored?.refused === undefined) throw new InvalidInputError('nothing about this entry is undecided');
    const { copy } = stored.refused;
    const theirs = await this.#local.open(entryId, copy);
    if (side === 'theirs') {
      if (theirs === undefined) throw new InvalidInputError("the server's copy does not open");
      if (stored.refused.reason === 'older') {
        await this.#local.adopt(entryId, copy, theirs);
        return this.#local.toEntry((await this.#local.read(entryId))!);
      }
      return this.#writeAbove(stored, theirs, theirs, signal);
    }
    if (stored.state === 'deleted') {
      await this.#keeper.call(RPC.deleteEntry, { entryId, expectedRevision: copy.revision }, { signal });
      await this.#local.follow({ deleted: [entryId] });
      return undefined;
    }
    const ours = stored.copy && (await this.#local.open(entryId, stored.copy));
    if (ours === undefined) throw new InvalidInputError('there is no copy of our own');
    return this.#writeAbove(stored, ours, theirs, signal);
  }

  async #resolveMissing(
    stored: StoredEntry,
    side: Side,
    signal?: AbortSignal,
  ): Promise<VaultEntry | undefined> {
    const { entryId, copy, highestVersion } = stored;
    if (side === 'theirs') {
      await this.#local.forget(entryId);
      return undefined;
    }
    const ours = copy && (await this.#local.open(entryId, copy));
    if (ours === undefined) throw new InvalidInputError('there is no copy of our own');
    const messages = changeMessages(ours, {}, highestVersion + 1n);
    const again = async (id: string) => {
      const draft = { entryId: id, messages, sealed: await this.#local.seal(id, messages) };
      const { revision } = await this.#keeper.call(RPC.createEntry, payloadOf(draft), { signal });
      return this.#written(draft, revision);
    };
    return again(entryId).catch(async (error) => {
      if (!(error instanceof ServerRefusalError && error.verified) || error.code !== 'entry_exists')
        throw error;
      // The id belongs to an entry that was deleted in between: it cannot come back, its content can.
      const entry = await again(crypto.randomUUID());
      await this.#local.forget(entryId);
      return entry;
    });
  }

  async #writeAbove(
    { entryId, highestVersion, refused }: StoredEntry,
    messages: EntryMessages,
    theirs: EntryMessages | undefined,
    signal: AbortSignal | undefined,
  ): Promise<VaultEntry> {
    const versions = [highestVersion, theirs?.name.version ?? 0n, theirs?.data.version ?? 0n];
    const highest = versions.reduce((one, other) => (one > other ? one : other));
    const above = changeMessages(messages, {}, highest + 1n);
    const draft: Draft = {
      entryId,
      messages: above,
      sealed: await this.#local.seal(entryId, above),
      expectedRevision: refused!.copy.revision,
    };
    try {
      const { revision } = await this.#keeper.call(RPC.updateEntry, payloadOf(draft), { signal });
      return await this.#written(draft, revision);
    } catch (error) {
      throw await this.#conflict(error, entryId, above);
    }
  }

  async #listNames(signal: AbortSignal | undefined): Promise<void> {
    const { names } = this.#local;
    const listed = new Set<string>();
    const doubtful: string[] = [];
    let pageToken = '';
    do {
      const page = await this.#keeper.call(RPC.listEntries, { pageSize: PAGE_SIZE, pageToken }, { signal });
      for (const { entryId, entryName, revision } of page.entries) {
        listed.add(entryId);
        const name = await this.#local.openName(entryId, entryName);
        const seen = (await this.#local.read(entryId))?.highestVersion ?? 0n;
        const kind = name && kindOf(name);
        if (name === undefined || name.version < seen) doubtful.push(entryId);
        else if (kind !== undefined) names.put({ id: entryId, name: name.name, kind, revision });
      }
      if (page.entries.length === 0 && page.nextPageToken !== '') {
        throw new UntrustedAnswerError('a page that leads nowhere');
      }
      pageToken = page.nextPageToken;
    } while (pageToken !== '');
    for (const { id } of names.all()) if (!listed.has(id)) names.remove(id);
    names.isComplete = true;
    // Fetched whole, so that the rules for refused copies apply to them.
    if (doubtful.length > 0) await this.getMany(doubtful, signal === undefined ? {} : { signal });
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
      const shown = await this.#keeper.call(RPC.getEntry, { entryId }, { signal });
      stored = await this.#follow(entryId, shown);
    }
    const problem = await this.#local.problemOf(stored);
    if (problem !== undefined) throw new EntryProblemError(problem);
    const messages = await this.#local.open(entryId, stored.copy!);
    if (messages === undefined) throw new VaultError('entry_problem', 'the local copy does not open');
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

  async #deletion(entry: EntryRef): Promise<{ entryId: string; expectedRevision?: bigint }> {
    const entryId = requireId(typeof entry === 'string' ? entry : entry.id);
    if (typeof entry !== 'string') return { entryId, expectedRevision: entry.revision };
    const stored = await this.#local.read(entryId);
    const seen = stored?.refused?.copy.revision ?? stored?.copy?.revision;
    return seen === undefined ? { entryId } : { entryId, expectedRevision: seen };
  }

  async #writeMany<T>(
    items: readonly T[],
    draft: (item: T) => Promise<Draft>,
    rpc: typeof RPC.batchCreateEntries | typeof RPC.batchUpdateEntries,
    { signal, onProgress }: ProgressOptions,
  ): Promise<VaultEntry[]> {
    const drafts: Draft[] = [];
    for (const item of items) drafts.push(await draft(item));
    const written: VaultEntry[] = [];
    const done: string[] = [];
    for (const batch of batchesOf(
      drafts,
      ({ sealed }) => sealed.entryName.length + sealed.entryData.length,
    )) {
      const { entries } = await this.#keeper
        .call(rpc as typeof RPC.batchUpdateEntries, { entries: batch.map(payloadOf) }, { signal })
        .catch((error) => throwInterrupted(done, error));
      const revisions = new Map(entries.map(({ entryId, revision }) => [entryId, revision]));
      for (const one of batch) {
        written.push(await this.#written(one, revisions.get(one.entryId) ?? 0n));
        done.push(one.entryId);
      }
      onProgress?.(done.length, drafts.length);
    }
    return written;
  }

  async #written({ entryId, sealed, messages }: Draft, revision: bigint): Promise<VaultEntry> {
    await this.#local.wrote(entryId, sealed, messages, revision);
    return messagesEntry(entryId, messages, revision);
  }

  async #follow(entryId: string, entry: ServerEntry): Promise<StoredEntry> {
    const [stored] = await this.#local.follow({ entries: requireAsked([entryId], [entry]) });
    if (stored === undefined) throw new UntrustedAnswerError('another entry than asked for');
    return stored;
  }

  async #shown(stored: StoredEntry): Promise<VaultEntry> {
    const problem = await this.#local.problemOf(stored);
    if (problem !== undefined) throw new EntryProblemError(problem);
    const entry = await this.#local.toEntry(stored);
    if (entry === undefined)
      throw new VaultError('entry_not_found', 'an entry of a kind that a newer client made');
    return entry;
  }

  /** A conflict becomes an error with both sides; anything else stays what it is. */
  async #conflict(error: unknown, entryId: string, ours: EntryMessages | undefined): Promise<unknown> {
    if (!(error instanceof ServerRefusalError) || error.code !== 'revision_conflict') return error;
    const theirs = await this.get(entryId).catch(() => undefined);
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

function requireId(entryId: string): string {
  if (!isUuid(entryId)) throw new InvalidInputError('an entry id is a lower-case UUID of 36 characters');
  return entryId;
}

/** Only what was asked for is believed: the id is what the ciphertext is bound to. */
function requireAsked(asked: readonly string[], entries: readonly ServerEntry[]): readonly ServerEntry[] {
  const ids = new Set(asked);
  return entries.filter(({ entryId }) => ids.has(entryId));
}

function requireProgress(asked: readonly string[], remaining: readonly string[]): void {
  if (remaining.length >= asked.length) throw new UntrustedAnswerError('a batch that brings nothing');
}

function throwInterrupted(done: readonly string[], error: unknown): never {
  throw done.length > 0 ? new BatchInterruptedError(done, error) : error;
}
