/** PasswordService: a change of the password, from its announcement to one commit (docs/design/password_change_lifecycle.md). */

import pLimit from 'p-limit';
import type {
  AuthenticatePasswordChangePayload,
  BatchGetEntriesPayload,
  BatchUpdateEntriesPayload,
  CommitPasswordChangePayload,
  GetEntryPayload,
  PasswordService,
  StartPasswordChangePayload,
  UpdateEntryPayload,
} from '../../gen/passmanager/password/v1/password_service_pb.ts';
import { recordEvent } from '../database/audit_log.ts';
import type { Row, Transaction } from '../database/database.ts';
import { CHANGE_IDLE_SECONDS } from '../database/gate_statements.ts';
import {
  BATCH_GET_OLD_ENTRIES,
  COMMIT_CREDENTIALS,
  COMMIT_ENTRIES,
  CONSUME_START,
  COUNT_UPDATED,
  CURRENT_CREDENTIALS,
  DELETE_CHANGE_SESSIONS,
  DELETE_STARTS,
  ENTRIES_INCOMPLETE,
  GET_OLD_ENTRY,
  INSERT_CHANGE_SESSION,
  INSERT_START,
  LIVE_ENTRY_IDS,
  NEW_BYTES_STATE,
  OPEN_CHANGE,
  OPENED_AFTER_CHANGE,
  PENDING_CREDENTIALS,
  WRITE_NEW_BYTES,
} from '../database/password_change_statements.ts';
import { closeChange } from '../database/password_changes.ts';
import { sessionRowId } from '../database/sealed_columns.ts';
import type { ServerKeys } from '../database/server_keys.ts';
import { DELETE_ALL_SESSIONS, DELETE_ATTEMPTS } from '../database/user_statements.ts';
import { passwordChangeContext, passwordCommitContext, pendingDigest } from '../protocol/handshake.ts';
import { type CredentialRow, CredentialSealer, type Credentials } from './credentials.ts';
import { batchGetResult, type EntryRow, entryMessage } from './entry_messages.ts';
import {
  entryAlreadyUpdated,
  fieldNotFound,
  notDecrypted,
  passwordChangeIncomplete,
  passwordChangeInProgress,
  RpcFailure,
  tooManyRequests,
} from './errors.ts';
import type { HandlerOf } from './pipeline.ts';
import type { RateLimits } from './rate_limits.ts';
import type { Account, RequestGate, SealedCall } from './request_gate.ts';
import type { RevisionFeed } from './revision_feed.ts';
import { SESSION_KIND_PASSWORD_CHANGE, type SessionKeys } from './session_keys.ts';
import type { EphemeralStock } from './srp/ephemeral_stock.ts';
import type { SrpPool } from './srp/srp_pool.ts';

interface StartRow extends Row {
  readonly credential_generation: bigint;
  readonly eph_private_b: Buffer;
  readonly eph_public_b: Buffer;
  readonly new_eph_private_b: Buffer;
  readonly new_eph_public_b: Buffer;
  readonly alive: boolean;
}

/** How many requests with log-in arithmetic run at once, each on a connection and under its user's lock, and how many wait for that. */
const HANDSHAKES_AT_ONCE = 2;
const HANDSHAKES_WAITING = 64;

/** How many requests a change of n entries may take: get and update each of them twice, and some more. */
const changeRequests = (entries: number): number => 4 * entries + 100;

/** A method for each RPC; each runs one transaction of the gate. */
export class PasswordHandler implements HandlerOf<typeof PasswordService> {
  readonly #gate: RequestGate;
  readonly #feed: RevisionFeed;
  readonly #keys: ServerKeys;
  readonly #sessionKeys: SessionKeys;
  readonly #credentials: CredentialSealer;
  readonly #ephemerals: EphemeralStock;
  readonly #srp: SrpPool;
  readonly #rateLimits: RateLimits;
  readonly #inTurn = pLimit(HANDSHAKES_AT_ONCE);

  constructor(parts: {
    gate: RequestGate;
    feed: RevisionFeed;
    keys: ServerKeys;
    sessionKeys: SessionKeys;
    ephemerals: EphemeralStock;
    srp: SrpPool;
    rateLimits: RateLimits;
  }) {
    this.#gate = parts.gate;
    this.#feed = parts.feed;
    this.#keys = parts.keys;
    this.#sessionKeys = parts.sessionKeys;
    this.#credentials = new CredentialSealer(parts.keys.sealer);
    this.#ephemerals = parts.ephemerals;
    this.#srp = parts.srp;
    this.#rateLimits = parts.rateLimits;
  }

  async startPasswordChange(payload: StartPasswordChangePayload, call: SealedCall) {
    const announced: Credentials = { ...payload, kdf: payload.kdf! };
    return this.#handshake(call, async (transaction, account) => {
      const current = await this.#currentCredentials(transaction, account);
      const ephemeralId = crypto.randomUUID();
      const [pair, newPair] = await Promise.all([
        this.#sealedPair('eph_private_b', ephemeralId, current.srpVerifier),
        this.#sealedPair('new_eph_private_b', ephemeralId, announced.srpVerifier),
      ]);
      await transaction.execute(DELETE_STARTS, [account.id, call.session.sessionId]);
      await transaction.execute(INSERT_START, [
        ephemeralId,
        account.id,
        call.session.sessionId,
        account.credential_generation,
        pair.sealedB,
        pair.publicB,
        newPair.sealedB,
        newPair.publicB,
        ...this.#credentials.seal('auth_ephemerals', ephemeralId, 'new_', announced),
      ]);
      const { srpSalt, masterKeySalt, kdf } = current;
      return {
        ephemeralId,
        ephPublicB: pair.publicB,
        srpSalt,
        masterKeySalt,
        kdf,
        newEphPublicB: newPair.publicB,
      };
    });
  }

  /** Who holds a stolen session guesses no faster than who has none; the owner's own sessions are not slowed by it. */
  async authenticatePasswordChange(payload: AuthenticatePasswordChangePayload, call: SealedCall) {
    const { sessionId } = call.session;
    // A session stands for the network and for the name of a log-in.
    const guesser = [sessionId, Buffer.from(sessionId)] as const;
    // A refusal is returned, not thrown, so that the attempt stays consumed.
    const opened = await this.#handshake(call, async (transaction, account) => {
      await this.#rateLimits.beforeProof(...guesser, transaction);
      const { rows } = await transaction.execute(CONSUME_START, [payload.ephemeralId, account.id, sessionId]);
      const start = rows[0] as StartRow | undefined;
      if (!start?.alive || start.credential_generation !== account.credential_generation) return undefined;
      return this.#open(transaction, account, start, payload, call);
    });
    if (opened === undefined) {
      await this.#rateLimits.failed(...guesser);
      throw notDecrypted();
    }
    this.#feed.touch(call.session.userId);
    return opened;
  }

  async getEntry({ entryId }: GetEntryPayload, call: SealedCall) {
    return this.#gate.transaction(call, async (transaction, account) => {
      const { rows } = await transaction.execute(GET_OLD_ENTRY, [account.id, entryId]);
      if (rows[0] === undefined) throw fieldNotFound('entry_id');
      return entryMessage(rows[0] as EntryRow);
    });
  }

  async batchGetEntries({ entryIds }: BatchGetEntriesPayload, call: SealedCall) {
    return this.#gate.transaction(call, async (transaction, account) => {
      const { rows } = await transaction.execute(BATCH_GET_OLD_ENTRIES, [account.id, entryIds]);
      return batchGetResult(entryIds, rows);
    });
  }

  async updateEntry(entry: UpdateEntryPayload, call: SealedCall) {
    return this.#update([entry], () => 'entry_id', call);
  }

  async batchUpdateEntries({ entries }: BatchUpdateEntriesPayload, call: SealedCall) {
    return this.#update(entries, (index) => `entries[${index}].entry_id`, call);
  }

  async commitPasswordChange(payload: CommitPasswordChangePayload, call: SealedCall) {
    const { serverProof, ended } = await this.#handshake(call, async (transaction, account) => {
      const { sessionId } = call.session;
      const { rows: pending } = await transaction.execute(PENDING_CREDENTIALS, [account.id]);
      const row = pending[0] as StartRow;
      const announced = this.#credentials.open('users', account.id, 'new_', pendingRow(row));
      const proof = await this.#verify(announced, {
        publicA: payload.newEphPublicA,
        clientProof: payload.newClientProofM1,
        privateB: this.#keys.sealer.open('users', 'new_eph_private_b', account.id, row.new_eph_private_b),
        publicB: row.new_eph_public_b,
        context: passwordCommitContext({
          changeSessionId: sessionId,
          srpSalt: announced.srpSalt,
          masterKeySalt: announced.masterKeySalt,
          kdf: announced.kdf,
          pending: pendingDigest(announced),
        }),
      });
      const { rows: missing } = await transaction.execute(ENTRIES_INCOMPLETE, [account.id, sessionId]);
      const failures = [
        ...(proof.ok ? [] : [passwordChangeIncomplete('new_client_proof_m1')]),
        ...(missing[0]?.incomplete ? [passwordChangeIncomplete('entries')] : []),
      ];
      if (failures.length > 0 || !proof.ok) throw new RpcFailure(failures.flatMap(({ errors }) => errors));
      proof.sessionKey.fill(0);

      const { rows: committed } = await transaction.execute(COMMIT_ENTRIES, [account.id, account.revision]);
      await transaction.execute(COMMIT_CREDENTIALS, [
        account.id,
        BigInt(committed.length),
        ...this.#credentials.seal('users', account.id, '', announced),
      ]);
      const { rows: sessions } = await transaction.execute(DELETE_ALL_SESSIONS, [account.id]);
      await transaction.execute(DELETE_ATTEMPTS, [account.id]);
      await recordEvent(transaction, 'password changed', account.id);
      return { serverProof: proof.serverProof, ended: sessions.map(({ id }) => id as string) };
    });
    this.#ended(call, ended);
    return { newServerProofM2: serverProof };
  }

  /** From the change session, the session that began it, or one that was opened after it: no stolen old session can keep aborting. */
  async abortPasswordChange(_payload: unknown, call: SealedCall) {
    const { sessionId } = call.session;
    const ended = await this.#gate.transaction(call, async (transaction, account) => {
      if (account.change_open && ![account.change_session_id, account.change_begun_by].includes(sessionId)) {
        const { rows } = await transaction.execute(OPENED_AFTER_CHANGE, [sessionId, account.id]);
        if (!rows[0]?.after_change) throw passwordChangeInProgress();
      }
      await transaction.execute(DELETE_STARTS, [account.id, sessionId]);
      if (account.change_session_id === null) return [];
      return closeChange(transaction, account.id);
    });
    this.#ended(call, ended);
    return {};
  }

  /**
   * A transaction of the gate that computes a handshake. The transaction waits for the log-in threads, so few of them may
   * be open at once: the others wait here, where they hold neither a connection nor a lock.
   */
  async #handshake<T>(
    call: SealedCall,
    work: (transaction: Transaction, account: Account) => Promise<T>,
  ): Promise<T> {
    if (this.#inTurn.pendingCount >= HANDSHAKES_WAITING) throw tooManyRequests(1);
    return this.#inTurn(() => this.#gate.transaction(call, work));
  }

  /** Opens the change that was proved, and only then lists the ids: every write decides by the same locked row. */
  async #open(
    transaction: Transaction,
    account: Account,
    start: StartRow,
    { ephemeralId, ephPublicA, clientProofM1 }: AuthenticatePasswordChangePayload,
    call: SealedCall,
  ) {
    const current = await this.#currentCredentials(transaction, account);
    const announced = this.#credentials.open('auth_ephemerals', ephemeralId, 'new_', pendingRow(start));
    const open = (column: string, value: Buffer) =>
      this.#keys.sealer.open('auth_ephemerals', column, ephemeralId, value);
    const proof = await this.#verify(current, {
      publicA: ephPublicA,
      clientProof: clientProofM1,
      privateB: open('eph_private_b', start.eph_private_b),
      publicB: start.eph_public_b,
      context: passwordChangeContext({
        sessionId: call.session.sessionId,
        srpSalt: current.srpSalt,
        masterKeySalt: current.masterKeySalt,
        kdf: current.kdf,
        pending: pendingDigest(announced),
      }),
    });
    if (!proof.ok) return undefined;

    const changeSessionId = crypto.randomUUID();
    const changeRow = sessionRowId({
      sessionId: changeSessionId,
      userId: account.id,
      kind: SESSION_KIND_PASSWORD_CHANGE,
    });
    const maximumRequests = changeRequests(account.entry_count);
    const sealUser = (column: string, value: Uint8Array) =>
      this.#keys.sealer.seal('users', column, account.id, value);
    await transaction.execute(DELETE_CHANGE_SESSIONS, [account.id]);
    await transaction.execute(INSERT_CHANGE_SESSION, [
      changeSessionId,
      account.id,
      this.#keys.sealer.seal('login_sessions', 'session_key', changeRow, proof.sessionKey),
      maximumRequests,
    ]);
    proof.sessionKey.fill(0);
    await transaction.execute(OPEN_CHANGE, [
      account.id,
      changeSessionId,
      call.session.sessionId,
      account.entry_count,
      sealUser('new_eph_private_b', open('new_eph_private_b', start.new_eph_private_b)),
      start.new_eph_public_b,
      ...this.#credentials.seal('users', account.id, 'new_', announced),
    ]);
    const { rows } = await transaction.execute(LIVE_ENTRY_IDS, [account.id]);
    return {
      sessionId: changeSessionId,
      serverProofM2: proof.serverProof,
      entryIds: rows.map((row) => row.entry_id as string),
      revision: account.revision,
      maximumRequests: BigInt(maximumRequests),
      expirySeconds: BigInt(CHANGE_IDLE_SECONDS),
    };
  }

  /** Keeps new bytes beside the old ones: all of them or none. The same bytes again are a success. */
  async #update(
    entries: readonly UpdateEntryPayload[],
    path: (index: number) => string,
    call: SealedCall,
  ): Promise<{ remainingEntries: number }> {
    const { sessionId } = call.session;
    return this.#gate.transaction(call, async (transaction, account) => {
      const arrays = (chosen: readonly UpdateEntryPayload[]) => [
        account.id,
        sessionId,
        chosen.map(({ entryId }) => entryId),
        chosen.map(({ entryName }) => entryName),
        chosen.map(({ entryData }) => entryData),
      ];
      const { rows } = await transaction.execute(NEW_BYTES_STATE, arrays(entries));
      const errors = rows.flatMap(({ known, updated, same }, index) => {
        if (!known) return fieldNotFound(path(index)).errors;
        return updated && !same ? entryAlreadyUpdated(path(index)).errors : [];
      });
      if (errors.length > 0) throw new RpcFailure(errors);
      const fresh = entries.filter((_, index) => !rows[index]!.updated);
      if (fresh.length > 0) await transaction.execute(WRITE_NEW_BYTES, arrays(fresh));
      const counted = await transaction.execute(COUNT_UPDATED, [account.id, fresh.length]);
      return { remainingEntries: counted.rows[0]!.change_remaining_entries as number };
    });
  }

  async #currentCredentials(transaction: Transaction, account: Account): Promise<Credentials> {
    const { rows } = await transaction.execute(CURRENT_CREDENTIALS, [account.id]);
    return this.#credentials.open('users', account.id, '', rows[0] as CredentialRow);
  }

  async #verify(
    { srpVerifier, srpSalt }: Credentials,
    proof: {
      publicA: Uint8Array;
      clientProof: Uint8Array;
      privateB: Uint8Array;
      publicB: Uint8Array;
      context: Uint8Array;
    },
  ) {
    try {
      return await this.#srp.verifyClientProof({ ...proof, verifier: srpVerifier, srpSalt });
    } finally {
      proof.privateB.fill(0);
    }
  }

  /** A fresh b, sealed for its column, and its B for a verifier. */
  async #sealedPair(
    column: string,
    ephemeralId: string,
    verifier: Uint8Array,
  ): Promise<{ sealedB: Buffer; publicB: Uint8Array }> {
    const { privateB, publicB } = await this.#ephemerals.take(verifier);
    const sealedB = this.#keys.sealer.seal('auth_ephemerals', column, ephemeralId, privateB);
    privateB.fill(0);
    return { sealedB, publicB };
  }

  #ended(call: SealedCall, sessionIds: readonly string[]): void {
    for (const id of sessionIds) this.#sessionKeys.forget(id);
    this.#feed.touch(call.session.userId);
  }
}

/** The new_ columns of a row as a row of credentials. */
function pendingRow(row: Row): CredentialRow {
  return Object.fromEntries(
    Object.entries(row).flatMap(([column, value]) =>
      column.startsWith('new_') ? [[column.slice(4), value]] : [],
    ),
  ) as unknown as CredentialRow;
}
