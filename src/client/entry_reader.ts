/** Reading entries: what the server shows, followed by the rules of the local copy. */
import { isUuid } from '../protocol/uuid.ts';
import { MAXIMUM_BATCH_ENTRIES, MAXIMUM_PAGE_ENTRIES } from './batches.ts';
import { type EntryProblem, type EntrySummary, kindOf, type VaultEntry } from './entry.ts';
import { EntryProblemError, InvalidInputError, UntrustedAnswerError, VaultError } from './errors.ts';
import type { LocalVault, ServerEntry } from './local_vault.ts';
import { RPC } from './sealed_rpcs.ts';
import type { SessionKeeper } from './session_keeper.ts';
import type { StoredEntry } from './vault_store.ts';
import { syncVault } from './vault_sync.ts';

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

/** Reads over a session, and has the local copy follow. Throws what SessionKeeper.call does. */
export class EntryReader {
  readonly #keeper: SessionKeeper;
  readonly #local: LocalVault;

  constructor(keeper: SessionKeeper, local: LocalVault) {
    this.#keeper = keeper;
    this.#local = local;
  }

  /** The entry as the server has it. Throws EntryProblemError when the client refuses that. */
  async get(entryId: string, signal?: AbortSignal): Promise<VaultEntry> {
    const entry = await this.#local.toEntry(await this.fetch(entryId, signal));
    if (entry === undefined) {
      throw new VaultError('entry_not_found', 'an entry of a kind that a newer client made');
    }
    return entry;
  }

  /** As get(), in the form of the store, and of any kind. */
  async fetch(entryId: string, signal?: AbortSignal): Promise<StoredEntry> {
    const entry = await this.#keeper.call(RPC.getEntry, { entryId: requireId(entryId) }, { signal });
    const [stored] = await this.#local.follow({ entries: requireAsked([entryId], [entry]) });
    if (stored === undefined) throw new UntrustedAnswerError('another entry than asked for');
    const problem = await this.#local.problemOf(stored);
    if (problem !== undefined) throw new EntryProblemError(problem);
    return stored;
  }

  /** Several entries, in as few calls as their sizes allow. */
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

  async #listNames(signal: AbortSignal | undefined): Promise<void> {
    const { names } = this.#local;
    const listed = new Set<string>();
    const doubtful: string[] = [];
    let pageToken = '';
    do {
      const page = await this.#keeper.call(
        RPC.listEntries,
        { pageSize: MAXIMUM_PAGE_ENTRIES, pageToken },
        { signal },
      );
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
}

/** Throws InvalidInputError for what is no entry id. */
export function requireId(entryId: string): string {
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
