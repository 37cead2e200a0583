/** DataService: the entries of a vault. The server stores opaque bytes under ids that clients choose. */
import type {
  BatchCreateEntriesPayload,
  BatchDeleteEntriesPayload,
  BatchGetEntriesPayload,
  BatchUpdateEntriesPayload,
  CreateEntryPayload,
  DataService,
  DeleteEntryPayload,
  GetEntryPayload,
  ListEntriesPayload,
  SyncEntriesPayload,
  UpdateEntryPayload,
} from '../../gen/passmanager/data/v1/data_service_pb.ts';
import type { Row, Transaction } from '../database/database.ts';
import {
  BATCH_ACCOUNT,
  BATCH_CREATE,
  BATCH_DELETE,
  BATCH_GET_ENTRIES,
  BATCH_STATE,
  BATCH_UPDATE,
  CREATE_ENTRY,
  DELETE_ENTRY,
  ENTRY_OVERHEAD_BYTES,
  GET_ENTRY,
  LIST_ENTRIES,
  PAGE_BYTES,
  SYNC_ENTRIES,
  UPDATE_ENTRY,
} from '../database/entry_statements.ts';
import { batchGetResult, type EntryRow, entryMessage } from './entry_messages.ts';
import {
  entryExists,
  type FieldError,
  fieldNotFound,
  RpcFailure,
  revisionConflict,
  tooManyRequests,
} from './errors.ts';
import type { HandlerOf } from './pipeline.ts';
import type { Account, RequestGate, SealedCall } from './request_gate.ts';
import type { RevisionFeed } from './revision_feed.ts';

/** The limits of DataService. */
export interface DataLimits {
  readonly maxEntriesPerUser: number;
  readonly defaultPageSize: number;
  readonly maxPageSize: number;
}

/** How one entry of a batch stands before the batch. */
interface EntryState extends Row {
  readonly revision: bigint | null;
  readonly deleted: boolean;
  readonly same: boolean;
}

/** What a batch does with one entry: nothing more to do, or write it. */
type Decision = { readonly done: bigint } | { readonly write: true } | { readonly error: FieldError };

/** An entry as a write answers for it. */
interface WrittenEntry {
  readonly entryId: string;
  readonly revision: bigint;
}

/** How the contract names a field of the entry at an index. */
type FieldName = (index: number, field: string) => string;
const alone: FieldName = (_index, field) => field;
const inBatch: FieldName = (index, field) => `entries[${index}].${field}`;

/** A method for each RPC. A write of one entry is one statement, and a transaction where that did nothing. */
export class DataHandler implements HandlerOf<typeof DataService> {
  readonly #gate: RequestGate;
  readonly #feed: RevisionFeed;
  readonly #limits: DataLimits;

  constructor(gate: RequestGate, feed: RevisionFeed, limits: DataLimits) {
    this.#gate = gate;
    this.#feed = feed;
    this.#limits = limits;
  }

  async createEntry(entry: CreateEntryPayload, call: SealedCall) {
    const { entryId, entryName, entryData } = entry;
    const parameters = [entryId, entryName, entryData, this.#limits.maxEntriesPerUser];
    return (
      (await this.#writeAtOnce(call, CREATE_ENTRY, entryId, parameters)) ??
      (await this.#create(call, [entry], alone))[0]!
    );
  }

  async updateEntry(entry: UpdateEntryPayload, call: SealedCall) {
    const { entryId, entryName, entryData, expectedRevision } = entry;
    const parameters = [entryId, entryName, entryData, comparableRevision(expectedRevision)];
    return (
      (await this.#writeAtOnce(call, UPDATE_ENTRY, entryId, parameters)) ??
      (await this.#update(call, [entry], alone))[0]!
    );
  }

  async deleteEntry(entry: DeleteEntryPayload, call: SealedCall) {
    const { entryId, expectedRevision } = entry;
    const parameters = [entryId, comparableRevision(expectedRevision)];
    return (
      (await this.#writeAtOnce(call, DELETE_ENTRY, entryId, parameters)) ??
      (await this.#delete(call, [entry], alone))[0]!
    );
  }

  async getEntry({ entryId }: GetEntryPayload, call: SealedCall) {
    const [row] = await this.#gate.read(call, GET_ENTRY, [entryId]);
    if (row === undefined || row.entry_id === null) throw fieldNotFound('entry_id');
    return entryMessage(row as EntryRow);
  }

  /** Pages go by entry_id, which no change moves: what stays unchanged is neither skipped nor repeated. */
  async listEntries({ pageSize, pageToken }: ListEntriesPayload, call: SealedCall) {
    const size = this.#pageSize(pageSize);
    const rows = await this.#gate.read(call, LIST_ENTRIES, [pageToken === '' ? null : pageToken, size]);
    const listed = rows.filter((row) => row.entry_id !== null) as EntryRow[];
    let bytes = 0;
    const page = listed.slice(0, size).filter((row, index) => {
      bytes += row.entry_name.length + ENTRY_OVERHEAD_BYTES;
      return bytes <= PAGE_BYTES || index === 0;
    });
    return {
      entries: page.map((row) => ({
        entryId: row.entry_id,
        entryName: row.entry_name,
        revision: row.revision,
      })),
      nextPageToken: page.length < listed.length ? page.at(-1)!.entry_id : '',
    };
  }

  async batchCreateEntries({ entries }: BatchCreateEntriesPayload, call: SealedCall) {
    return { entries: await this.#create(call, entries, inBatch) };
  }

  async batchUpdateEntries({ entries }: BatchUpdateEntriesPayload, call: SealedCall) {
    return { entries: await this.#update(call, entries, inBatch) };
  }

  async batchDeleteEntries({ entries }: BatchDeleteEntriesPayload, call: SealedCall) {
    return { entries: await this.#delete(call, entries, inBatch) };
  }

  async batchGetEntries({ entryIds }: BatchGetEntriesPayload, call: SealedCall) {
    const rows = await this.#gate.read(call, BATCH_GET_ENTRIES, [entryIds]);
    return batchGetResult(
      entryIds,
      rows.filter((row) => row.entry_id !== null),
    );
  }

  async syncEntries({ sinceRevision, pageSize, historyId }: SyncEntriesPayload, call: SealedCall) {
    const rows = await this.#gate.read(call, SYNC_ENTRIES, [
      sinceRevision > MAX_STORED_REVISION ? MAX_STORED_REVISION : sinceRevision,
      this.#pageSize(pageSize),
      historyId,
    ]);
    const first = rows[0]!;
    const changed = rows.filter((row) => row.entry_id !== null) as EntryRow[];
    const hasMore = first.has_more as boolean;
    return {
      entries: changed.filter((row) => row.entry_name !== null).map(entryMessage),
      deletedEntryIds: changed.filter((row) => row.entry_name === null).map((row) => row.entry_id),
      nextRevision: hasMore ? changed.at(-1)!.revision : (first.current_revision as bigint),
      hasMore,
      historyId: first.history_id as Buffer,
      reset: first.reset as boolean,
    };
  }

  async *watchEntries(_payload: unknown, call: SealedCall) {
    for await (const revision of this.#feed.watch(call.session, call.signal)) yield { revision };
  }

  /** A write as one statement; undefined when a transaction is to decide. */
  async #writeAtOnce(
    call: SealedCall,
    statement: string,
    entryId: string,
    parameters: readonly unknown[],
  ): Promise<WrittenEntry | undefined> {
    const revision = await this.#gate.write(call, statement, parameters);
    if (revision === undefined) return undefined;
    this.#feed.touch(call.session.userId);
    return { entryId, revision };
  }

  #create(call: SealedCall, entries: readonly CreateEntryPayload[], field: FieldName) {
    return this.#inTransaction(call, entries, {
      decide: (state, index) => {
        if (state.revision === null) return { write: true };
        return state.same ? { done: state.revision } : failed(entryExists(field(index, 'entry_id')));
      },
      write: async (transaction, account, written) => {
        if (account.entry_count + written.length > (account.max_entries ?? this.#limits.maxEntriesPerUser))
          throw tooManyRequests();
        await transaction.execute(BATCH_CREATE, [
          account.id,
          written.map(({ entry }) => entry.entryId),
          written.map(({ entry }) => entry.entryName),
          written.map(({ entry }) => entry.entryData),
          written.map(({ revision }) => revision),
        ]);
        return written.length;
      },
    });
  }

  #update(call: SealedCall, entries: readonly UpdateEntryPayload[], field: FieldName) {
    return this.#inTransaction(call, entries, {
      decide: (state, index) => {
        if (state.revision === null || state.deleted) return failed(fieldNotFound(field(index, 'entry_id')));
        if (state.same) return { done: state.revision };
        return conflict(state.revision, entries[index]!.expectedRevision, field(index, 'expected_revision'));
      },
      write: async (transaction, account, written) => {
        await transaction.execute(BATCH_UPDATE, [
          account.id,
          written.map(({ entry }) => entry.entryId),
          written.map(({ entry }) => entry.entryName),
          written.map(({ entry }) => entry.entryData),
          written.map(({ revision }) => revision),
        ]);
        return 0;
      },
    });
  }

  #delete(call: SealedCall, entries: readonly DeleteEntryPayload[], field: FieldName) {
    return this.#inTransaction(call, entries, {
      decide: (state, index) => {
        if (state.revision === null) return failed(fieldNotFound(field(index, 'entry_id')));
        if (state.deleted) return { done: state.revision };
        return conflict(state.revision, entries[index]!.expectedRevision, field(index, 'expected_revision'));
      },
      write: async (transaction, account, written) => {
        await transaction.execute(BATCH_DELETE, [
          account.id,
          written.map(({ entry }) => entry.entryId),
          written.map(({ revision }) => revision),
        ]);
        return -written.length;
      },
    });
  }

  /** All or nothing: decides about every entry with the account locked, names every error, then writes in one statement. */
  async #inTransaction<E extends { entryId: string; entryName?: Uint8Array; entryData?: Uint8Array }>(
    call: SealedCall,
    entries: readonly E[],
    work: {
      decide(state: EntryState, index: number): Decision;
      /** Writes and answers by how much the count of live entries changed. */
      write(
        transaction: Transaction,
        account: Account,
        written: readonly { entry: E; revision: bigint }[],
      ): Promise<number>;
    },
  ): Promise<WrittenEntry[]> {
    const revisions = await this.#gate.transaction(call, async (transaction, account) => {
      const { rows } = await transaction.execute(BATCH_STATE, [
        account.id,
        entries.map(({ entryId }) => entryId),
        entries.map(({ entryName }) => entryName ?? null),
        entries.map(({ entryData }) => entryData ?? null),
      ]);
      const decisions = (rows as EntryState[]).map(work.decide);
      const errors = decisions.flatMap((decision) => ('error' in decision ? [decision.error] : []));
      if (errors.length > 0) throw new RpcFailure(errors);
      let revision = account.revision;
      const answered = decisions.map((decision) => {
        if ('done' in decision) return decision.done;
        revision += 1n;
        return revision;
      });
      const written = entries.flatMap((entry, index) =>
        'write' in decisions[index]! ? [{ entry, revision: answered[index]! }] : [],
      );
      if (written.length > 0) {
        const liveEntries = await work.write(transaction, account, written);
        await transaction.execute(BATCH_ACCOUNT, [account.id, BigInt(written.length), liveEntries]);
      }
      return answered;
    });
    this.#feed.touch(call.session.userId);
    return entries.map(({ entryId }, index) => ({ entryId, revision: revisions[index]! }));
  }

  #pageSize(asked: number): number {
    return asked === 0 ? this.#limits.defaultPageSize : Math.min(asked, this.#limits.maxPageSize);
  }
}

/** The highest revision that a column can hold. */
const MAX_STORED_REVISION = 2n ** 63n - 1n;

/** An expected revision for the database: null where none was given; one that no entry has where it cannot be stored. */
function comparableRevision(expected: bigint | undefined): bigint | null {
  if (expected === undefined) return null;
  return expected > MAX_STORED_REVISION ? -1n : expected;
}

function failed(failure: RpcFailure): Decision {
  return { error: failure.errors[0]! };
}

function conflict(current: bigint, expected: bigint | undefined, field: string): Decision {
  if (expected === undefined || expected === current) return { write: true };
  return failed(revisionConflict(current, field));
}
