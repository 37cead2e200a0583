/**
 * The client library: a vault that only its owner can read, on a server that need not be trusted. This module runs wherever
 * WebCrypto does and wants to be given Argon2id; node.ts and browser.ts are the entry points that bring one along.
 */
import type { KdfParameters } from '../protocol/kdf.ts';
import { hashUsername } from './credentials.ts';
import { BRIEF_LIMITS, discardLogin } from './login.ts';
import { settle } from './password_settlement.ts';
import { completePlatform, type PlatformOptions } from './platform.ts';
import { type RegistrationOptions, register } from './registration.ts';
import { DEFAULT_RETRY_POLICY, type RetryPolicy } from './retry.ts';
import type { VaultTransport } from './transport.ts';
import { type LogInOptions, openVault, type Vault } from './vault.ts';
import type { VaultStore } from './vault_store.ts';

export { DEFAULT_KDF_PARAMETERS } from '../protocol/kdf.ts';
export type { Argon2id } from '../protocol/keys.ts';
export { CsvImportError, parsePasswordCsv } from './csv_import.ts';
export type {
  CustomField,
  EntryChanges,
  EntryFields,
  EntryProblem,
  EntryProblemReason,
  EntrySummary,
  Kind,
  NewEntry,
  VaultEntry,
} from './entry.ts';
export type { EntryList, FoundEntries, ProgressOptions } from './entry_reader.ts';
export type { EntryRef, EntryUpdate } from './entry_writer.ts';
export * from './errors.ts';
export type {
  PasswordChangeOptions,
  PasswordChangeProgress,
  PasswordChangeReport,
} from './password_change.ts';
export type { PlatformOptions } from './platform.ts';
export type { Side } from './refused_copies.ts';
export type { RegistrationOptions } from './registration.ts';
export type { RetryPolicy } from './retry.ts';
export { isConfidentialUrl, markConfidential, type VaultTransport } from './transport.ts';
export { type LogInOptions, type Renewal, type SessionInfo, Vault } from './vault.ts';
export {
  MemoryStore,
  type SealedCopy,
  type StoreChange,
  type StoredEntry,
  type StoreState,
  type VaultStore,
} from './vault_store.ts';
export type { SyncReport } from './vault_sync.ts';
export type { WatchEvent } from './vault_watch.ts';
export type { KdfParameters };

/** How to find out what became of a password change whose end was not seen. */
export interface SettlementOptions {
  readonly username: string;
  readonly oldPassword: string;
  readonly newPassword: string;
  /** The store that the change was made with. Needed to tell when both passwords are the same. */
  readonly store?: VaultStore;
  readonly signal?: AbortSignal;
}

/** The library's functions, with everything they take from where they run. */
export interface VaultClient {
  /** Registers; the caller logs in then. */
  registerUser(transport: VaultTransport, options: RegistrationOptions): Promise<void>;
  /** Logs in and opens the vault. */
  logIn(transport: VaultTransport, options: LogInOptions): Promise<Vault>;
  /**
   * After a crash or a lost connection during changePassword: answers which password is in force, and drops the change when
   * it is the old one. Throws WrongCredentialsError when neither is.
   */
  settlePasswordChange(transport: VaultTransport, options: SettlementOptions): Promise<'new' | 'old'>;
}

/** Binds the library to a platform. */
export function createVaultClient(
  options: PlatformOptions,
  retry: RetryPolicy = DEFAULT_RETRY_POLICY,
): VaultClient {
  const platform = completePlatform(options);
  return {
    registerUser: (transport, registration) =>
      register({ platform, transport, retry, signal: registration.signal }, registration),
    logIn: (transport, login) => openVault({ platform, transport, retry, signal: login.signal }, login),
    settlePasswordChange: async (transport, settlement) => {
      const { username, oldPassword, newPassword, store, signal } = settlement;
      const known = (await store?.readState())?.vaultKeyId;
      const context = {
        platform,
        transport,
        retry,
        signal,
        usernameHash: hashUsername(username),
        limits: BRIEF_LIMITS,
      };
      const { inForce, login } = await settle(context, { old: oldPassword, new: newPassword }, (keyId) =>
        known === undefined ? oldPassword !== newPassword : keyId !== known,
      );
      discardLogin(login);
      return inForce;
    },
  };
}
