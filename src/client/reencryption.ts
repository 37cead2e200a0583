/** Sealing every entry of a vault again, in a password-change session: the padded bytes as they are, never parsed. */
import { batchesOf } from './batches.ts';
import type { SealedEntry } from './entry_seal.ts';
import { UntrustedAnswerError } from './errors.ts';
import { CHANGE_RPC } from './sealed_rpcs.ts';
import type { SessionKeeper } from './session_keeper.ts';

interface Identified extends SealedEntry {
  readonly entryId: string;
}

/** What the work needs. */
export interface Reencryption {
  /** Calls in the password-change session. */
  readonly keeper: SessionKeeper;
  readonly entryIds: readonly string[];
  /** The bytes that the server has for an entry, where the client knows them; else they are fetched. */
  readonly localCopy: (entryId: string) => Promise<SealedEntry | undefined>;
  /** Undefined when the old bytes do not open. */
  readonly reseal: (entryId: string, old: SealedEntry) => Promise<SealedEntry | undefined>;
  readonly onProgress: (done: number) => void;
  readonly signal?: AbortSignal | undefined;
}

/**
 * Sends new bytes for every entry. One that does not open is sent back byte for byte: it stays unreadable and blocks nothing.
 * Answers the ids of those.
 */
export async function reencryptEntries(work: Reencryption): Promise<string[]> {
  const unreadable: string[] = [];
  let done = 0;
  for await (const group of oldEntries(work)) {
    const renewed: Identified[] = [];
    for (const old of group) {
      const sealed = await work.reseal(old.entryId, old);
      if (sealed === undefined) unreadable.push(old.entryId);
      renewed.push({ entryId: old.entryId, entryName: old.entryName, entryData: old.entryData, ...sealed });
    }
    for (const entries of batchesOf(
      renewed,
      ({ entryName, entryData }) => entryName.length + entryData.length,
    )) {
      await work.keeper.call(CHANGE_RPC.batchUpdateEntries, { entries }, { signal: work.signal });
      done += entries.length;
      work.onProgress(done);
    }
  }
  return unreadable;
}

/** How many entries are looked up at a time: memory stays below some ten MiB whatever their size. */
const GROUP_ENTRIES = 100;

async function* oldEntries(work: Reencryption): AsyncGenerator<Identified[]> {
  for (let start = 0; start < work.entryIds.length; start += GROUP_ENTRIES) {
    const known: Identified[] = [];
    const unknown: string[] = [];
    for (const entryId of work.entryIds.slice(start, start + GROUP_ENTRIES)) {
      const copy = await work.localCopy(entryId);
      if (copy === undefined) unknown.push(entryId);
      else known.push({ entryId, entryName: copy.entryName, entryData: copy.entryData });
    }
    if (known.length > 0) yield known;
    yield* fetched(work, unknown);
  }
}

async function* fetched({ keeper, signal }: Reencryption, entryIds: string[]): AsyncGenerator<Identified[]> {
  for (let waiting = entryIds; waiting.length > 0; ) {
    const answer = await keeper.call(CHANGE_RPC.batchGetEntries, { entryIds: waiting }, { signal });
    const asked = new Set(waiting);
    const entries = answer.entries.filter(({ entryId }) => asked.delete(entryId));
    if (entries.length === 0 || answer.missingEntryIds.length > 0) {
      throw new UntrustedAnswerError('an entry of the change is not there');
    }
    waiting = [...asked];
    yield entries;
  }
}
