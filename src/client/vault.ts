/** A vault that is logged in: the one object that programs work with. */

import { timestampDate } from '@bufbuild/protobuf/wkt';
import type { VaultHeader } from '../../gen/passmanager/common/v1/vault_pb.ts';
import { SessionKind } from '../../gen/passmanager/session/v1/session_pb.ts';
import { equalBytes } from '../protocol/bytes.ts';
import { importSealKey } from '../protocol/seal.ts';
import { changeUsername, deleteAccount } from './account.ts';
import { hashUsername } from './credentials.ts';
import type { EntryChanges, EntryProblem, EntrySummary, NewEntry, VaultEntry } from './entry.ts';
import { type EntryList, EntryReader, type FoundEntries, type ProgressOptions } from './entry_reader.ts';
import { type EntryRef, type EntryUpdate, EntryWriter } from './entry_writer.ts';
import {
  InvalidInputError,
  PasswordChangedError,
  ReadOnlyVaultError,
  ServerRefusalError,
  SessionEndedError,
  UnavailableError,
} from './errors.ts';
import { type LocalVault, openLocalVault } from './local_vault.ts';
import { type KeptSecret, type Login, type LoginContext, openSession } from './login.ts';
import { changePassword, type PasswordChangeOptions, type PasswordChangeReport } from './password_change.ts';
import type { CallContext } from './public_call.ts';
import { resolveRefusedCopy, type Side } from './refused_copies.ts';
import { CHANGE_RPC, RPC } from './sealed_rpcs.ts';
import type { SealedSession } from './sealed_session.ts';
import { SessionKeeper } from './session_keeper.ts';
import { openVaultHeader, unknownFeatures, vaultKeyId } from './vault_header.ts';
import { MemoryStore, type VaultStore } from './vault_store.ts';
import { type SyncReport, syncVault } from './vault_sync.ts';
import { type WatchEvent, watchVault } from './vault_watch.ts';

/** How a new session is opened when one runs out. */
export type Renewal =
  /** Not at all: SessionEndedError. */
  | 'never'
  /** With what proves the password, kept in memory (it does not open the vault header). Lasts until close(). */
  | 'keep-secret'
  /** By asking the person. */
  | { readonly askPassword: () => Promise<string> };

/** Who logs in, and how. */
export interface LogInOptions {
  readonly username: string;
  readonly password: string;
  /** Where the local copy lives. Default: in memory. */
  readonly store?: VaultStore;
  /** How many requests a session accepts; 0: the server's default (100); -1: unlimited. Default: 0. */
  readonly maximumRequests?: number;
  /** How many seconds a session lives; 0: the server's default (3600); -1: unlimited. Default: 0. */
  readonly expirySeconds?: number;
  /** What to do when a session runs out. Default: 'never'. */
  readonly renewal?: Renewal;
  /** Opens a vault that is older than the store has seen: the person knows of a restore. Default: false. */
  readonly acceptOlderVault?: boolean;
  readonly signal?: AbortSignal;
}

/** A session as ListSessions tells it. */
export interface SessionInfo {
  readonly id: string;
  readonly kind: 'login' | 'password change';
  readonly createTime: Date | undefined;
  readonly lastUsedTime: Date | undefined;
  /** Undefined: it does not expire. */
  readonly expiryTime: Date | undefined;
  /** Undefined: unlimited. */
  readonly remainingRequests: number | undefined;
  readonly current: boolean;
}

/** Logs in and opens the vault. Throws what openSession throws, and VaultRolledBackError. */
export async function openVault(context: CallContext, options: LogInOptions): Promise<Vault> {
  const loginContext: LoginContext = {
    ...context,
    usernameHash: hashUsername(options.username),
    limits: {
      maximumRequests: limit(options.maximumRequests),
      expirySeconds: limit(options.expirySeconds),
    },
  };
  const login = await openSession(loginContext, { password: options.password });
  let header: VaultHeader | undefined;
  try {
    header = await openVaultHeader(login.masterKey!, login.encryptedVaultHeader);
    const local = await openLocalVault({
      store: options.store ?? new MemoryStore(),
      vaultKey: await importSealKey(header.vaultKey),
      vaultKeyId: vaultKeyId(header.vaultKey),
      headerVersion: header.version,
      acceptOlderHeader: options.acceptOlderVault ?? false,
      random: context.platform.random,
    });
    return new Vault({ context: loginContext, login, header, local, renewal: options.renewal ?? 'never' });
  } catch (error) {
    login.session.close();
    login.kept.srpSecret.fill(0);
    throw error;
  } finally {
    login.masterKey?.fill(0);
    header?.vaultKey.fill(0);
  }
}

/**
 * An open vault. What asks the server throws ServerRefusalError and its kinds, UnavailableError and SessionEndedError; what
 * needs the server or the vault key throws ClosedError after close().
 */
export class Vault {
  readonly #renewal: Renewal;
  readonly #local: LocalVault;
  readonly #keeper: SessionKeeper;
  readonly #reader: EntryReader;
  readonly #writer: EntryWriter;
  readonly #unknownFeatures: readonly string[];
  #context: LoginContext;
  #encryptedHeader: Uint8Array;
  #kept: KeptSecret | undefined;

  constructor(parts: {
    context: LoginContext;
    login: Login;
    header: VaultHeader;
    local: LocalVault;
    renewal: Renewal;
  }) {
    const { signal: _signal, ...context } = parts.context;
    this.#context = context;
    this.#renewal = parts.renewal;
    this.#local = parts.local;
    this.#unknownFeatures = unknownFeatures(parts.header);
    this.#encryptedHeader = parts.login.encryptedVaultHeader;
    this.#keep(parts.login);
    this.#keeper = new SessionKeeper({
      ...context,
      session: parts.login.session,
      reopen: parts.renewal === 'never' ? undefined : () => this.#reopen(),
    });
    this.#reader = new EntryReader(this.#keeper, this.#local);
    this.#writer = new EntryWriter(this.#keeper, this.#local, this.#reader);
  }

  /** Whether a newer client has made this vault need features that this one does not know: it reads, and does not write. */
  get isReadOnly(): boolean {
    return this.#unknownFeatures.length > 0;
  }

  /** Creates an entry. */
  async create(entry: NewEntry, options: { signal?: AbortSignal } = {}): Promise<VaultEntry> {
    this.#requireWritable();
    return this.#writer.create(entry, options.signal);
  }

  /** Creates entries, up to 500 a call; each call is all or nothing. Throws BatchInterruptedError when a later call fails. */
  async createMany(entries: readonly NewEntry[], options?: ProgressOptions): Promise<VaultEntry[]> {
    this.#requireWritable();
    return this.#writer.createMany(entries, options);
  }

  /** The entry as the server has it now. Throws ServerRefusalError 'entry_not_found', or EntryProblemError with both sides. */
  async get(entryId: string, options: { signal?: AbortSignal } = {}): Promise<VaultEntry> {
    return this.#reader.get(entryId, options.signal);
  }

  /** Several entries as the server has them now. */
  async getMany(entryIds: readonly string[], options?: ProgressOptions): Promise<FoundEntries> {
    return this.#reader.getMany(entryIds, options);
  }

  /** The client's own copy, without asking the server; undefined when there is none. */
  async getLocal(entryId: string): Promise<VaultEntry | undefined> {
    const stored = await this.#local.read(entryId);
    return stored && this.#local.toEntry(stored);
  }

  /** Every entry of the client's own copy, without asking the server. */
  async *localEntries(): AsyncGenerator<VaultEntry> {
    for await (const stored of this.#local.entries()) {
      const entry = stored.state === 'live' ? await this.#local.toEntry(stored) : undefined;
      if (entry !== undefined) yield entry;
    }
  }

  /** Changes an entry. Throws RevisionConflictError with both sides when somebody else changed it first. */
  async update(
    entry: EntryRef,
    changes: EntryChanges,
    options: { signal?: AbortSignal } = {},
  ): Promise<VaultEntry> {
    this.#requireWritable();
    return this.#writer.update(entry, changes, options.signal);
  }

  /**
   * Changes entries, up to 500 a call; each call is all or nothing. Throws ServerRefusalError 'revision_conflict', whose
   * refusals name every entry that somebody else changed first.
   */
  async updateMany(updates: readonly EntryUpdate[], options?: ProgressOptions): Promise<VaultEntry[]> {
    this.#requireWritable();
    return this.#writer.updateMany(updates, options);
  }

  /** Deletes an entry for good. Throws RevisionConflictError when somebody else changed it first. */
  async delete(entry: EntryRef, options: { signal?: AbortSignal } = {}): Promise<void> {
    this.#requireWritable();
    await this.#writer.delete(entry, options.signal);
  }

  /** Deletes entries, up to 500 a call; each call is all or nothing. */
  async deleteMany(entries: readonly EntryRef[], options?: ProgressOptions): Promise<void> {
    this.#requireWritable();
    await this.#writer.deleteMany(entries, options);
  }

  /** All names, in alphabetical order, as the server has them now. */
  async list(options: { signal?: AbortSignal } = {}): Promise<EntryList> {
    return this.#reader.list(options.signal);
  }

  /**
   * Names that hold every word of the query, best first; case, accents and compatibility forms do not matter. Searches what is
   * known; list() and sync() bring that up to date.
   */
  async search(query: string, options: { signal?: AbortSignal } = {}): Promise<EntrySummary[]> {
    return this.#reader.search(query, options.signal);
  }

  /** Brings the local copy up to date. Safe to stop and to repeat. */
  async sync(options: { signal?: AbortSignal } = {}): Promise<SyncReport> {
    return syncVault(this.#keeper, this.#local, options.signal);
  }

  /** Yields when the vault may have moved: at the start, after every new connection, and with every change. Sync then. */
  watch({ signal }: { signal: AbortSignal }): AsyncGenerator<WatchEvent, void> {
    return watchVault(this.#keeper, this.#context.platform, signal);
  }

  /** Copies that were refused and wait for a decision. */
  async problems(): Promise<EntryProblem[]> {
    return this.#reader.problems();
  }

  /** Decides about a refused copy: 'theirs' takes the server's, 'ours' writes one's own again above both. */
  async resolve(
    entryId: string,
    side: Side,
    options: { signal?: AbortSignal } = {},
  ): Promise<VaultEntry | undefined> {
    this.#requireWritable();
    return resolveRefusedCopy(this.#local, this.#writer, { entryId, side, ...options });
  }

  /**
   * Changes the password, seals every entry again, and goes on with a new session; every other session ends. Calls made
   * meanwhile wait. See changePassword for what it throws; after UnavailableError, settlePasswordChange tells the outcome.
   */
  async changePassword(options: PasswordChangeOptions): Promise<PasswordChangeReport> {
    this.#requireWritable();
    const report = await this.#keeper.whileWaiting(async () => {
      const context = { ...this.#context, signal: options.signal };
      const { login, ...report } = await changePassword(context, this.#local, options);
      this.#encryptedHeader = login.encryptedVaultHeader;
      this.#keep(login);
      this.#keeper.adopt(login.session);
      return report;
    });
    // Every revision has moved. The change is done, whatever becomes of this.
    if (this.#local.wasSynced) await this.sync().catch(() => undefined);
    return report;
  }

  /** Drops a password change that was left open, by this client or another one of the same person. */
  async abortPasswordChange(options: { signal?: AbortSignal } = {}): Promise<void> {
    await this.#keeper.call(CHANGE_RPC.abort, {}, options);
  }

  /** The person's sessions. */
  async listSessions(options: { signal?: AbortSignal } = {}): Promise<SessionInfo[]> {
    const { sessions } = await this.#keeper.call(RPC.listSessions, {}, options);
    return sessions.map((session) => ({
      id: session.sessionId,
      kind: session.kind === SessionKind.PASSWORD_CHANGE ? 'password change' : 'login',
      createTime: session.createTime && timestampDate(session.createTime),
      lastUsedTime: session.lastUsedTime && timestampDate(session.lastUsedTime),
      expiryTime: session.expiryTime && timestampDate(session.expiryTime),
      remainingRequests: session.remainingRequests === -1n ? undefined : Number(session.remainingRequests),
      current: session.current,
    }));
  }

  /** Ends a session. One that is gone already counts as ended. */
  async endSession(sessionId: string, options: { signal?: AbortSignal } = {}): Promise<void> {
    try {
      await this.#keeper.call(RPC.deleteSession, { sessionId }, options);
    } catch (error) {
      if (!(error instanceof ServerRefusalError && error.verified && error.code === 'entry_not_found'))
        throw error;
    }
  }

  /** Ends every session of the person, this one too, and closes the vault. */
  async endAllSessions(options: { signal?: AbortSignal } = {}): Promise<void> {
    await this.#keeper.call(RPC.deleteAllSessions, {}, options);
    this.close();
  }

  /** Changes the username. Asks for the password because it takes a log-in of its own. Throws 'username_exists'. */
  async changeUsername(options: {
    newUsername: string;
    password: string;
    signal?: AbortSignal;
  }): Promise<void> {
    const usernameHash = await changeUsername({ ...this.#context, signal: options.signal }, options);
    this.#context = { ...this.#context, usernameHash };
  }

  /** Deletes the account and everything in it, for good, and closes the vault. The local store is the caller's to clear. */
  async deleteAccount(options: { password: string; signal?: AbortSignal }): Promise<void> {
    await deleteAccount({ ...this.#context, signal: options.signal }, options.password);
    this.close();
  }

  /** Ends the session on the server, as far as it can be reached, and closes the vault. */
  async logOut(options: { signal?: AbortSignal } = {}): Promise<void> {
    try {
      await this.endSession(this.#keeper.sessionId, options);
    } catch (error) {
      if (!(error instanceof SessionEndedError || error instanceof UnavailableError)) throw error;
    } finally {
      this.close();
    }
  }

  /** Lets go of every key. Copies that JavaScript engines have made of them are beyond reach (SECURITY.md). */
  close(): void {
    this.#kept?.srpSecret.fill(0);
    this.#kept = undefined;
    this.#keeper.close();
    this.#local.close();
  }

  #requireWritable(): void {
    if (this.isReadOnly) throw new ReadOnlyVaultError(this.#unknownFeatures);
  }

  #keep({ kept }: Login): void {
    this.#kept?.srpSecret.fill(0);
    this.#kept = this.#renewal === 'keep-secret' ? kept : undefined;
    if (this.#kept === undefined) kept.srpSecret.fill(0);
  }

  async #reopen(): Promise<SealedSession> {
    const login = await openSession(this.#context, await this.#secret());
    login.masterKey?.fill(0);
    if (login.kept.srpSecret !== this.#kept?.srpSecret) login.kept.srpSecret.fill(0);
    if (!equalBytes(login.encryptedVaultHeader, this.#encryptedHeader)) {
      // Another header, another vault key: what this vault seals now, nobody could open later.
      login.session.close();
      const error = new PasswordChangedError();
      this.#keeper.close(error);
      throw error;
    }
    return login.session;
  }

  async #secret() {
    if (typeof this.#renewal === 'object') return { password: await this.#renewal.askPassword() };
    if (this.#kept === undefined) throw new SessionEndedError();
    return { kept: this.#kept };
  }
}

function limit(asked = 0): bigint {
  if (!Number.isSafeInteger(asked) || asked < -1)
    throw new InvalidInputError('a limit is a whole number from -1');
  return BigInt(asked);
}
