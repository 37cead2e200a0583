/** Changing the password: new credentials, a new vault key, every entry sealed again, one commit (docs/design/password_change_lifecycle.md). */

import { ErrorCode } from '../../gen/passmanager/common/v1/error_pb.ts';
import type { VaultHeader } from '../../gen/passmanager/common/v1/vault_pb.ts';
import { passwordChangeContext, passwordCommitContext, pendingDigest } from '../protocol/handshake.ts';
import { DEFAULT_KDF_PARAMETERS, type KdfParameters } from '../protocol/kdf.ts';
import { importSealKey, type SealKey } from '../protocol/seal.ts';
import { kdfMessage, makeCredentials, type NewCredentials, wipeKeys } from './credentials.ts';
import { resealEntry, type SealedEntry } from './entry_seal.ts';
import {
  PasswordChangedError,
  PasswordNotChangedError,
  ReadOnlyVaultError,
  ServerRefusalError,
  UnavailableError,
  UntrustedAnswerError,
  WrongCredentialsError,
} from './errors.ts';
import type { LocalVault } from './local_vault.ts';
import {
  discardLogin,
  isSameDerivation,
  type Login,
  type LoginContext,
  openSession,
  type RequestedLimits,
} from './login.ts';
import { settle } from './password_settlement.ts';
import { reencryptEntries } from './reencryption.ts';
import { CHANGE_RPC } from './sealed_rpcs.ts';
import { SealedSession, sessionSealKeys } from './sealed_session.ts';
import { SessionKeeper } from './session_keeper.ts';
import { proveSecret, requireServerProof } from './srp_proof.ts';
import {
  nextVaultHeader,
  openVaultHeader,
  sealVaultHeader,
  unknownFeatures,
  vaultKeyId,
} from './vault_header.ts';
import { syncVault } from './vault_sync.ts';

/** Where a change is. */
export interface PasswordChangeProgress {
  readonly stage: 'logging in' | 'deriving' | 'proving' | 'entries' | 'committing' | 'finishing';
  /** Entries that have their new bytes. */
  readonly done: number;
  readonly total: number;
}

/** What to change to. */
export interface PasswordChangeOptions {
  readonly currentPassword: string;
  /** The same password changes the keys alone. */
  readonly newPassword: string;
  readonly kdf?: KdfParameters;
  readonly onProgress?: (progress: PasswordChangeProgress) => void;
  readonly signal?: AbortSignal;
}

/** What a change did. */
export interface PasswordChangeReport {
  readonly entries: number;
  /** Entries that did not open and stay as they are, byte for byte. */
  readonly unreadable: readonly string[];
}

/** The log-in that a change is begun from: enough requests to bring any local copy up to date first. */
const CHANGE_LOGIN_LIMITS: RequestedLimits = { maximumRequests: -1n, expirySeconds: 3_600n };
/** How often a change is begun anew when the answer to its opening was lost. */
const MAXIMUM_OPENINGS = 3;
/** How long a change may live in all, in seconds. The server ends it earlier when nothing comes for 300. */
const CHANGE_LIFE_SECONDS = 3_600n;

/**
 * Changes the password and takes the local copy along. Answers the report and a log-in with the new password. Throws
 * PasswordNotChangedError when the old one stays in force, UnavailableError when the outcome could not be learnt (settle it
 * later), and what logging in throws.
 */
export async function changePassword(
  context: LoginContext,
  local: LocalVault,
  options: PasswordChangeOptions,
): Promise<PasswordChangeReport & { readonly login: Login }> {
  return new PasswordChange(context, local, options).run();
}

/** The session that a change is begun from, and what is changed. */
interface Current {
  readonly login: Login;
  readonly keeper: SessionKeeper;
  readonly header: VaultHeader;
}

/** What the change goes to. */
interface Next {
  readonly credentials: NewCredentials;
  readonly header: VaultHeader;
  readonly encryptedVaultHeader: Uint8Array;
  readonly vaultKey: SealKey;
  /** 32 bytes. */
  readonly pending: Uint8Array;
}

/** The change as the server has opened it. */
interface Opened {
  readonly keeper: SessionKeeper;
  readonly changeSessionId: string;
  readonly newPublicB: Uint8Array;
  readonly entryIds: readonly string[];
  readonly revision: bigint;
}

class PasswordChange {
  readonly #context: LoginContext;
  readonly #local: LocalVault;
  readonly #options: PasswordChangeOptions;
  #total = 0;

  constructor(context: LoginContext, local: LocalVault, options: PasswordChangeOptions) {
    this.#context = context;
    this.#local = local;
    this.#options = options;
  }

  async run(): Promise<PasswordChangeReport & { readonly login: Login }> {
    this.#report('logging in');
    const current = await this.#logIn();
    let next: Next | undefined;
    try {
      if (this.#local.wasSynced) await syncVault(current.keeper, this.#local, this.#options.signal);
      this.#report('deriving');
      next = await this.#prepare(current.header);
      this.#report('proving');
      const opened = await this.#open(current, next);
      this.#total = opened.entryIds.length;
      const unreadable = await this.#reencrypt(opened, next, current);
      this.#report('committing', this.#total);
      const settled = await this.#commit(opened, next, current);
      this.#report('finishing', this.#total);
      await this.#takeLocalCopyAlong(next);
      return { entries: this.#total, unreadable, login: settled ?? (await this.#logInWithNew()) };
    } finally {
      current.keeper.close();
      current.login.kept.srpSecret.fill(0);
      current.header.vaultKey.fill(0);
      if (next !== undefined) {
        wipeKeys(next.credentials);
        next.header.vaultKey.fill(0);
      }
    }
  }

  /** A session of its own: who holds the old one cannot disturb the change. */
  async #logIn(): Promise<Current> {
    const context = { ...this.#context, limits: CHANGE_LOGIN_LIMITS };
    const login = await openSession(context, { password: this.#options.currentPassword });
    const header = await openVaultHeader(login.masterKey!, login.encryptedVaultHeader).finally(() =>
      login.masterKey!.fill(0),
    );
    if (vaultKeyId(header.vaultKey) !== this.#local.state.vaultKeyId) throw new PasswordChangedError();
    const unknown = unknownFeatures(header);
    if (unknown.length > 0) throw new ReadOnlyVaultError(unknown);
    return { login, header, keeper: this.#keeperOf(login.session) };
  }

  #keeperOf(session: SealedSession): SessionKeeper {
    const { platform, transport, retry } = this.#context;
    return new SessionKeeper({ platform, transport, retry, session });
  }

  async #prepare(current: VaultHeader): Promise<Next> {
    const { platform } = this.#context;
    const { newPassword, kdf = DEFAULT_KDF_PARAMETERS } = this.#options;
    const credentials = await makeCredentials(platform, newPassword, kdf);
    const header = nextVaultHeader(current, this.#local.state.headerVersion, platform.random);
    const encryptedVaultHeader = await sealVaultHeader(credentials.masterKey, header, platform.random);
    return {
      credentials,
      header,
      encryptedVaultHeader,
      vaultKey: await importSealKey(header.vaultKey),
      pending: pendingDigest({ ...credentials, encryptedVaultHeader }),
    };
  }

  /** Announces and proves. The proof is good once: when its answer is lost, the change is dropped and begun again. */
  async #open(current: Current, next: Next): Promise<Opened> {
    for (let opening = 1; ; opening += 1) {
      try {
        return await this.#announceAndProve(current, next);
      } catch (error) {
        if (
          error instanceof ServerRefusalError &&
          error.verified &&
          error.refusals[0]?.code === ErrorCode.NOT_DECRYPTED
        ) {
          throw new WrongCredentialsError(error);
        }
        if (!(error instanceof UnavailableError) || opening === MAXIMUM_OPENINGS) throw error;
        await current.keeper.call(CHANGE_RPC.abort, {}, { signal: this.#options.signal });
      }
    }
  }

  async #announceAndProve({ login, keeper }: Current, next: Next): Promise<Opened> {
    const { platform, transport } = this.#context;
    const { srpSalt, srpVerifier, masterKeySalt, kdf } = next.credentials;
    const { encryptedVaultHeader, pending } = next;
    const { signal } = this.#options;
    const start = await keeper.call(
      CHANGE_RPC.start,
      { srpSalt, srpVerifier, masterKeySalt, kdf: kdfMessage(kdf), encryptedVaultHeader },
      { signal },
    );
    // What was just proved at the log-in is what the change must be proved with.
    if (!isSameDerivation(login.kept, start))
      throw new UntrustedAnswerError('other parameters than at the log-in');
    const proof = proveSecret(platform.random, {
      publicB: start.ephPublicB,
      srpSalt: start.srpSalt,
      srpSecret: login.kept.srpSecret,
      context: passwordChangeContext({
        sessionId: login.session.id,
        srpSalt: start.srpSalt,
        masterKeySalt: login.kept.masterKeySalt,
        kdf: login.kept.kdf,
        pending,
      }),
    });
    const openedAt = platform.now();
    const answer = await keeper.call(
      CHANGE_RPC.authenticate,
      { ephemeralId: start.ephemeralId, ephPublicA: proof.publicA, clientProofM1: proof.clientProof },
      { signal, retry: false },
    );
    requireServerProof(proof, answer.serverProofM2);
    const session = new SealedSession({
      transport,
      platform,
      id: answer.sessionId,
      keys: await sessionSealKeys(proof.sessionKey),
      // Every accepted request renews the change, so only its longest life counts here.
      limits: { maximumRequests: answer.maximumRequests, expirySeconds: CHANGE_LIFE_SECONDS },
      openedAt,
    });
    return {
      keeper: this.#keeperOf(session),
      changeSessionId: session.id,
      newPublicB: start.newEphPublicB,
      entryIds: answer.entryIds,
      revision: answer.revision,
    };
  }

  async #reencrypt(opened: Opened, next: Next, current: Current): Promise<string[]> {
    const oldKey = await importSealKey(current.header.vaultKey);
    const { state, wasSynced } = this.#local;
    const isInSync = wasSynced && !state.isRelisting && state.revision === opened.revision;
    try {
      return await reencryptEntries({
        keeper: opened.keeper,
        entryIds: opened.entryIds,
        localCopy: async (entryId) => (isInSync ? this.#serverBytes(entryId) : undefined),
        reseal: (entryId, old) =>
          resealEntry(oldKey, next.vaultKey, entryId, old, this.#context.platform.random),
        onProgress: (done) => this.#report('entries', done),
        signal: this.#options.signal,
      });
    } catch (error) {
      // Nothing was committed. What cannot be dropped now expires by itself.
      await current.keeper.call(CHANGE_RPC.abort, {}).catch(() => undefined);
      throw new PasswordNotChangedError(error);
    }
  }

  /** The bytes that the server has: the refused ones where this client refused some. */
  async #serverBytes(entryId: string): Promise<SealedEntry | undefined> {
    const stored = await this.#local.read(entryId);
    return stored?.state === 'missing' ? undefined : (stored?.refused?.copy ?? stored?.copy);
  }

  /** Commits. Answers a log-in when it took one to learn the outcome. */
  async #commit(opened: Opened, next: Next, current: Current): Promise<Login | undefined> {
    const { platform } = this.#context;
    const { srpSalt, masterKeySalt, kdf, srpSecret } = next.credentials;
    const { changeSessionId, newPublicB } = opened;
    const proof = proveSecret(platform.random, {
      publicB: newPublicB,
      srpSalt,
      srpSecret,
      context: passwordCommitContext({ changeSessionId, srpSalt, masterKeySalt, kdf, pending: next.pending }),
    });
    try {
      const answer = await opened.keeper.call(CHANGE_RPC.commit, {
        newEphPublicA: proof.publicA,
        newClientProofM1: proof.clientProof,
      });
      requireServerProof(proof, answer.newServerProofM2);
      return undefined;
    } catch (error) {
      if (error instanceof ServerRefusalError && error.verified) {
        await current.keeper.call(CHANGE_RPC.abort, {}).catch(() => undefined);
        throw new PasswordNotChangedError(error);
      }
      return await this.#settle(next, error);
    } finally {
      proof.sessionKey.fill(0);
      opened.keeper.close();
    }
  }

  async #settle(next: Next, cause: unknown): Promise<Login> {
    const { currentPassword, newPassword } = this.#options;
    const newKeyId = vaultKeyId(next.header.vaultKey);
    const settlement = await settle(
      this.#context,
      { old: currentPassword, new: newPassword },
      (keyId) => keyId === newKeyId,
    );
    if (settlement.inForce === 'new') {
      settlement.login.masterKey?.fill(0);
      return settlement.login;
    }
    discardLogin(settlement.login);
    throw new PasswordNotChangedError(cause);
  }

  async #logInWithNew(): Promise<Login> {
    const login = await openSession(this.#context, { password: this.#options.newPassword });
    login.masterKey?.fill(0);
    return login;
  }

  async #takeLocalCopyAlong({ vaultKey, header }: Next): Promise<void> {
    const oldKey = this.#local.vaultKey;
    await this.#local.rekey(
      vaultKey,
      { vaultKeyId: vaultKeyId(header.vaultKey), headerVersion: header.version },
      (entryId, copy) => resealEntry(oldKey, vaultKey, entryId, copy, this.#context.platform.random),
    );
  }

  #report(stage: PasswordChangeProgress['stage'], done = 0): void {
    this.#options.onProgress?.({ stage, done, total: this.#total });
  }
}
