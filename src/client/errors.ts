/** Everything the client library throws: one base class, a code that programs decide by, and what belongs to it. */

import { connectionHint } from './connection_hint.ts';
import type { EntryProblem, VaultEntry } from './entry.ts';

/** What went wrong, as a word. */
export type VaultErrorCode =
  | 'wrong_credentials'
  | 'untrusted_answer'
  | 'insecure_transport'
  | 'session_ended'
  | 'password_changed'
  | 'password_change_in_progress'
  | 'password_not_changed'
  | 'username_exists'
  | 'registration_refused'
  | 'entry_not_found'
  | 'entry_exists'
  | 'entry_problem'
  | 'revision_conflict'
  | 'vault_rolled_back'
  | 'read_only'
  | 'field_invalid'
  | 'too_many_requests'
  | 'unavailable'
  | 'server_error'
  | 'unverified_refusal'
  | 'batch_interrupted'
  | 'invalid_input'
  | 'closed';

/** The base of all errors of this library. Messages never hold a secret, a name or a value. */
export class VaultError extends Error {
  readonly code: VaultErrorCode;

  constructor(code: VaultErrorCode, message: string, cause?: unknown) {
    super(message, cause === undefined ? undefined : { cause });
    this.name = new.target.name;
    this.code = code;
  }
}

/** One reason of a refusal: the path of the field as the contract spells it, and the contract's ErrorCode. */
export interface Refusal {
  readonly field: string;
  readonly code: number;
  readonly currentRevision?: bigint;
}

/** Wrong password or unknown name: the two look alike, on purpose. */
export class WrongCredentialsError extends VaultError {
  constructor(cause?: unknown) {
    super('wrong_credentials', 'the username or the password is wrong', cause);
  }
}

/** The other end did not prove what it claims: a proof, a seal, a size or a parameter is not as it must be. */
export class UntrustedAnswerError extends VaultError {
  constructor(what: string, cause?: unknown) {
    super('untrusted_answer', `the answer cannot be trusted: ${what}`, cause);
  }
}

/** Registration sends the verifier in clear, so it wants TLS or a loopback address. */
export class InsecureTransportError extends VaultError {
  constructor() {
    super('insecure_transport', 'registering wants TLS or a loopback address, unless allowInsecure is set');
  }
}

/** The session ran out, expired or was ended, and the client may not open another by itself. */
export class SessionEndedError extends VaultError {
  constructor(cause?: unknown) {
    super('session_ended', 'the session has ended; log in again', cause);
  }
}

/** The password was changed elsewhere: this vault's keys are old. Log in again; nothing local was lost. */
export class PasswordChangedError extends VaultError {
  constructor() {
    super('password_changed', 'the vault was re-encrypted elsewhere; log in again');
  }
}

/** The person's input breaks a rule: an empty or malformed username or password, KDF parameters out of bounds. */
export class InvalidInputError extends VaultError {
  constructor(message: string, cause?: unknown) {
    super('invalid_input', message, cause);
  }
}

/** close() or logOut() was called. */
export class ClosedError extends VaultError {
  constructor() {
    super('closed', 'the vault is closed');
  }
}

/**
 * Whatever the server refused. `verified` tells whether its seal opened: if not, anybody on the path may have said it, and
 * nothing local is decided by it.
 */
export class ServerRefusalError extends VaultError {
  readonly refusals: readonly Refusal[];
  readonly verified: boolean;

  constructor(
    code: VaultErrorCode,
    message: string,
    details: { refusals: readonly Refusal[]; verified: boolean; cause?: unknown },
  ) {
    super(code, message, details.cause);
    this.refusals = details.refusals;
    this.verified = details.verified;
  }

  /** The first refused field, as the contract spells it. */
  get field(): string | undefined {
    return this.refusals[0]?.field;
  }

  /** The entry's revision on the server, where the refusal is a conflict. */
  get currentRevision(): bigint | undefined {
    return this.refusals.find(({ currentRevision }) => currentRevision !== undefined)?.currentRevision;
  }
}

/** The rate limit or a quota. Wait `retryAfterSeconds` where it is set. */
export class TooManyRequestsError extends ServerRefusalError {
  readonly retryAfterSeconds: number | undefined;

  constructor(details: {
    refusals: readonly Refusal[];
    verified: boolean;
    cause?: unknown;
    retryAfterSeconds?: number | undefined;
  }) {
    super('too_many_requests', 'too many requests, or a quota is used up', details);
    this.retryAfterSeconds = details.retryAfterSeconds;
  }
}

/** The server could not be reached or could not serve, and all attempts were used up. The outcome may be unknown. */
export class UnavailableError extends VaultError {
  constructor(cause?: unknown) {
    const hint = connectionHint(cause);
    const message = 'the server cannot be reached or cannot serve now';
    super('unavailable', hint === undefined ? message : `${message}: ${hint}`, cause);
  }
}

/** Somebody else wrote first. Both sides are here; nothing was lost. */
export class RevisionConflictError extends VaultError {
  /** What this client wanted to write; undefined when it wanted to delete. */
  readonly ours: VaultEntry | undefined;
  /** What the server holds now; undefined when it was deleted. */
  readonly theirs: VaultEntry | undefined;
  readonly currentRevision: bigint | undefined;

  constructor(sides: {
    ours: VaultEntry | undefined;
    theirs: VaultEntry | undefined;
    currentRevision: bigint | undefined;
    cause?: unknown;
  }) {
    super('revision_conflict', 'somebody else changed the entry first', sides.cause);
    this.ours = sides.ours;
    this.theirs = sides.theirs;
    this.currentRevision = sides.currentRevision;
  }
}

/** The server's copy of an entry was refused. The client kept its own; see `Vault.resolve`. */
export class EntryProblemError extends VaultError {
  readonly problem: EntryProblem;

  constructor(problem: EntryProblem) {
    super('entry_problem', `the server's copy of the entry was refused: ${problem.reason}`);
    this.problem = problem;
  }
}

/** The vault header is older than one that this store has seen: rolled back, or restored from a backup. */
export class VaultRolledBackError extends VaultError {
  readonly seenVersion: bigint;
  readonly offeredVersion: bigint;

  constructor(seenVersion: bigint, offeredVersion: bigint) {
    super('vault_rolled_back', 'the server offers an older vault than this client has seen');
    this.seenVersion = seenVersion;
    this.offeredVersion = offeredVersion;
  }
}

/** The vault asks for a feature that this client does not know: it reads, and does not write. */
export class ReadOnlyVaultError extends VaultError {
  readonly features: readonly string[];

  constructor(features: readonly string[]) {
    super('read_only', 'the vault needs a newer client to be written');
    this.features = features;
  }
}

/**
 * A batch of several calls stopped on the way. Each call is all or nothing; `done` names what earlier ones did. Where the cause
 * names fields, `entries[0]` is the first entry after those.
 */
export class BatchInterruptedError extends VaultError {
  /** The ids of the entries that were written. */
  readonly done: readonly string[];

  constructor(done: readonly string[], cause: unknown) {
    super('batch_interrupted', `the batch stopped after ${done.length} entries`, cause);
    this.done = done;
  }
}

/** The change did not happen: the old password opens the whole vault. */
export class PasswordNotChangedError extends VaultError {
  constructor(cause?: unknown) {
    super('password_not_changed', 'the password was not changed; the old one is in force', cause);
  }
}
