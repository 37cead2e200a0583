/**
 * Failures as they arrive. What a server said is believed only when its seal opens (docs/authentication.md); anything else
 * is what the path said: good for deciding whether to try again, never for dropping anything.
 */
import { Code, ConnectError } from '@connectrpc/connect';
import { ErrorCode, type Failure, FailureSchema } from '../../gen/passmanager/common/v1/error_pb.ts';
import { SecureResponseSchema } from '../../gen/passmanager/common/v1/secure_pb.ts';
import {
  type Refusal,
  ServerRefusalError,
  TooManyRequestsError,
  UnavailableError,
  type VaultError,
  type VaultErrorCode,
} from './errors.ts';

/** A failure of one attempt of one call. */
export class CallFailure extends Error {
  /** Whether the failure was sealed for this very request: then the server said it, and the number is spent. */
  readonly verified: boolean;
  readonly refusals: readonly Refusal[];
  readonly retryAfterSeconds: number | undefined;
  /** The status in clear. */
  readonly status: Code;

  constructor(status: Code, failure: Failure | undefined, options: { verified: boolean; cause: unknown }) {
    super(`call failed: ${Code[status]}`, { cause: options.cause });
    this.name = 'CallFailure';
    this.status = status;
    this.verified = options.verified;
    this.refusals = (failure?.errorList ?? []).map(({ field, code, currentRevision }) => ({
      field,
      code,
      ...(currentRevision === undefined ? {} : { currentRevision }),
    }));
    this.retryAfterSeconds =
      failure?.retryAfter === undefined ? undefined : Number(failure.retryAfter.seconds);
  }

  /** The contract's code: the sealed one, or what the status in clear suggests. */
  get errorCode(): ErrorCode | undefined {
    return this.refusals[0]?.code as ErrorCode | undefined;
  }

  /** Whether the same bytes may be sent once more: nothing was done, or doing it again does no harm. */
  get isTemporary(): boolean {
    if (this.errorCode !== undefined) {
      return (
        this.errorCode === ErrorCode.TEMPORARY_OUTAGE ||
        this.errorCode === ErrorCode.OUTCOME_UNKNOWN ||
        (this.errorCode === ErrorCode.TOO_MANY_REQUESTS && this.retryAfterSeconds !== undefined)
      );
    }
    return !this.verified && LOST_ON_THE_WAY.has(this.status);
  }

  /** Whether the path says that the session is not known (any more). */
  get saysSessionEnded(): boolean {
    return !this.verified && this.status === Code.Unauthenticated;
  }
}

/** Statuses of a call whose answer did not come, or that a proxy answered. */
const LOST_ON_THE_WAY: ReadonlySet<Code> = new Set([
  Code.Unavailable,
  Code.DeadlineExceeded,
  Code.Unknown,
  Code.Aborted,
  Code.ResourceExhausted,
  Code.Internal,
  Code.Canceled,
]);

/** The body of a sealed failure that came with an error, if one did. */
export function sealedFailureOf(error: unknown): Uint8Array | undefined {
  return ConnectError.from(error, Code.Unavailable).findDetails(SecureResponseSchema)[0]?.encryptedData;
}

/** What the path said. Errors that are no status (a refused connection, say) count as UNAVAILABLE. */
export function clearFailure(error: unknown): CallFailure {
  const status = ConnectError.from(error, Code.Unavailable);
  return new CallFailure(status.code, status.findDetails(FailureSchema)[0], {
    verified: false,
    cause: error,
  });
}

const REFUSALS: ReadonlyMap<ErrorCode, readonly [VaultErrorCode, string]> = new Map([
  [
    ErrorCode.PASSWORD_CHANGE_IN_PROGRESS,
    ['password_change_in_progress', 'a password change is in progress'],
  ],
  [ErrorCode.FIELD_INVALID, ['field_invalid', 'the server refused a field']],
  [ErrorCode.FIELD_NOT_FOUND, ['entry_not_found', 'there is no such entry or session']],
  [ErrorCode.USERNAME_EXISTS, ['username_exists', 'somebody has this username']],
  [ErrorCode.REVISION_CONFLICT, ['revision_conflict', 'somebody else changed the entry first']],
  [ErrorCode.ENTRY_EXISTS, ['entry_exists', 'an entry with this id exists or existed']],
  [
    ErrorCode.REGISTRATION_REFUSED,
    ['registration_refused', 'the server takes registrations by a valid invite alone, or none'],
  ],
]);

/**
 * A failure of a sealed call as callers see it. What is not sealed may come from anybody on the path, so it is not told as the
 * server's word about an entry or an account.
 */
export function toSealedCallError(failure: CallFailure): VaultError {
  const error = toVaultError(failure);
  if (failure.verified || !(error instanceof ServerRefusalError) || error instanceof TooManyRequestsError)
    return error;
  const { refusals, verified } = failure;
  const message = 'the request was refused without a proof that it was by the server';
  return new ServerRefusalError('unverified_refusal', message, { refusals, verified, cause: failure });
}

/** The failure as the error that callers of the library see. */
export function toVaultError(failure: CallFailure): VaultError {
  const { refusals, verified, errorCode } = failure;
  const details = { refusals, verified, cause: failure };
  if (failure.isTemporary && errorCode !== ErrorCode.TOO_MANY_REQUESTS) return new UnavailableError(failure);
  if (errorCode === ErrorCode.TOO_MANY_REQUESTS || failure.status === Code.ResourceExhausted) {
    return new TooManyRequestsError({ ...details, retryAfterSeconds: failure.retryAfterSeconds });
  }
  const [code, message] = REFUSALS.get(errorCode ?? ErrorCode.UNSPECIFIED) ?? [
    'server_error',
    'the server failed or did not understand',
  ];
  return new ServerRefusalError(code, message, details);
}
