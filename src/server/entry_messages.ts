/** Entries as the contract tells them, from their rows: the same to a log-in session and to a password change. */
import { timestampFromDate } from '@bufbuild/protobuf/wkt';
import type { Row } from '../database/database.ts';

/** An entry as its row holds it; a tombstone has no name and no data. */
export interface EntryRow extends Row {
  readonly entry_id: string;
  readonly entry_name: Buffer;
  readonly entry_data: Buffer;
  readonly revision: bigint;
  readonly created_at: Date;
  readonly updated_at: Date;
}

/** What a row of an entry is in the contract. */
export function entryMessage(row: EntryRow) {
  return {
    entryId: row.entry_id,
    entryName: row.entry_name,
    entryData: row.entry_data,
    revision: row.revision,
    createTime: timestampFromDate(row.created_at),
    updateTime: timestampFromDate(row.updated_at),
  };
}

/** Entries asked for by id, as the answer of BatchGetEntries: found, missing, and what did not fit into one message. */
export function batchGetResult(entryIds: readonly string[], rows: readonly Row[]) {
  const found = new Map(rows.map((row) => [row.entry_id as string, row]));
  return {
    entries: rows.filter((row) => row.fits).map((row) => entryMessage(row as EntryRow)),
    missingEntryIds: entryIds.filter((id) => !found.has(id)),
    remainingEntryIds: entryIds.filter((id) => found.get(id)?.fits === false),
  };
}
