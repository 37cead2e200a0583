/** Why a client refused the server's copy of an entry, with both sides. */
import type { VaultEntry } from './entry.ts';

/** The reasons. */
export type EntryProblemReason =
  /** It does not open under the vault key, or is no message of the contract. */
  | 'unreadable'
  /** Name and data carry different versions: they come from two writes. */
  | 'mixed'
  /** Its version is below one that was seen: the server rolled back, or was restored. */
  | 'older'
  /** After a reset the server did not list it: it may exist nowhere but here. */
  | 'missing';

/** A refused copy. Nothing was thrown away: `Vault.resolve` takes one side. */
export interface EntryProblem {
  readonly entryId: string;
  readonly reason: EntryProblemReason;
  /** The client's own copy; undefined where it has none, or had seen the entry deleted. */
  readonly ours: VaultEntry | undefined;
  /** The server's, as far as it could be read. */
  readonly theirs: VaultEntry | undefined;
}
