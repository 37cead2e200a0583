/** Following the server: pages of what changed, each applied whole, so that a sync may stop and go on anywhere. */
import { equalBytes } from '../protocol/bytes.ts';
import { MAXIMUM_PAGE_ENTRIES } from './batches.ts';
import type { EntryProblem } from './entry.ts';
import { UntrustedAnswerError } from './errors.ts';
import type { LocalVault } from './local_vault.ts';
import { RPC } from './sealed_rpcs.ts';
import type { SessionKeeper } from './session_keeper.ts';

/** What a sync brought. */
export interface SyncReport {
  /** Entries that are new or changed. */
  readonly changed: readonly string[];
  /** Entries that were deleted elsewhere. */
  readonly deleted: readonly string[];
  /** Copies that were refused, and entries that the server no longer lists; decide with `Vault.resolve`. */
  readonly problems: readonly EntryProblem[];
  /** Whether the server began anew: it was restored, or its tombstones were purged. */
  readonly reset: boolean;
}

/** Brings the local copy up to date. */
export async function syncVault(
  keeper: SessionKeeper,
  local: LocalVault,
  signal?: AbortSignal,
): Promise<SyncReport> {
  const changed = new Set<string>();
  const deleted = new Set<string>();
  const problems = new Map<string, EntryProblem>();
  let reset = false;
  for (let hasMore = true; hasMore; ) {
    const { state } = local;
    const page = await keeper.call(
      RPC.syncEntries,
      { sinceRevision: state.revision, pageSize: MAXIMUM_PAGE_ENTRIES, historyId: state.historyId },
      { signal },
    );
    if (page.hasMore && !page.reset && page.nextRevision <= state.revision) {
      throw new UntrustedAnswerError('a page that leads nowhere');
    }
    const startsAnew =
      page.reset || (state.historyId.length > 0 && !equalBytes(state.historyId, page.historyId));
    const followed = await local.follow(
      { entries: page.entries, deleted: page.deletedEntryIds },
      {
        ...state,
        historyId: page.historyId,
        revision: page.nextRevision,
        listing: state.listing + (startsAnew ? 1 : 0),
        isRelisting: state.isRelisting || startsAnew,
      },
    );
    for (const stored of followed) {
      const { entryId } = stored;
      const problem = await local.problemOf(stored);
      if (problem !== undefined) problems.set(entryId, problem);
      else (stored.state === 'deleted' ? deleted : changed).add(entryId);
    }
    reset ||= startsAnew;
    hasMore = page.hasMore;
  }
  if (local.state.isRelisting) {
    for (const entryId of await local.setMissingAside()) {
      problems.set(entryId, (await local.problemOf((await local.read(entryId))!))!);
    }
  }
  for (const entryId of deleted) changed.delete(entryId);
  return { changed: [...changed], deleted: [...deleted], problems: [...problems.values()], reset };
}
