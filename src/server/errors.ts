/**
 * Every way an RPC can fail: the one table of the contract's error codes and a named constructor for each row.
 * Handlers throw an RpcFailure; the pipeline turns it into an RpcError, in clear or sealed; a door turns that into
 * its protocol's status. docs/api_responses.md prints the same table.
 */
import { create, type DescMessage, type Message } from '@bufbuild/protobuf';
import { DurationSchema } from '@bufbuild/protobuf/wkt';
import { Code } from '@connectrpc/connect';
import {
  ErrorCode,
  ErrorSchema,
  type Failure,
  FailureSchema,
} from '../../gen/passmanager/common/v1/error_pb.ts';
import { UnknownKeyError } from '../database/column_sealer.ts';
import { DatabaseFault } from '../database/sqlstate.ts';
import { SrpQueueFullError, SrpWorkerLostError } from './srp/srp_pool.ts';

/** A row of the table: what a code is called in documents, its gRPC status, and its constant text for logs. */
export interface ErrorRow {
  readonly short: string;
  readonly status: Code;
  readonly description: string;
}

/** The table. Its keys are every value of the contract's ErrorCode but UNSPECIFIED. */
export const ERROR_TABLE: ReadonlyMap<ErrorCode, ErrorRow> = new Map([
  [ErrorCode.INCORRECT_PARAMETERS, row('RQS00', Code.InvalidArgument, 'incorrect parameters')],
  [ErrorCode.NOT_DECRYPTED, row('RQS01', Code.Unauthenticated, 'not decrypted')],
  [
    ErrorCode.PASSWORD_CHANGE_IN_PROGRESS,
    row('RQS02', Code.FailedPrecondition, 'password change in progress, or none where one is needed'),
  ],
  [
    ErrorCode.TOO_MANY_REQUESTS,
    row('RQS03', Code.ResourceExhausted, 'too many requests, or a quota is used up'),
  ],
  [ErrorCode.UNEXPECTED_ERROR, row('SVR00', Code.Internal, 'unexpected error')],
  [ErrorCode.TEMPORARY_OUTAGE, row('SVR01', Code.Unavailable, 'temporary outage; nothing was done')],
  [ErrorCode.OTHER_SERVER_ISSUE, row('SVR02', Code.Internal, 'the server is misconfigured')],
  [ErrorCode.OUTCOME_UNKNOWN, row('SVR03', Code.Unknown, 'outcome unknown; doing it again is safe')],
  [ErrorCode.FIELD_INVALID, row('GNR00', Code.InvalidArgument, 'field invalid')],
  [ErrorCode.FIELD_NOT_FOUND, row('GNR01', Code.NotFound, 'not found')],
  [ErrorCode.USERNAME_EXISTS, row('OPR00', Code.AlreadyExists, 'username exists')],
  [ErrorCode.REQUEST_NUMBER_NOT_ZERO, row('OPR01', Code.FailedPrecondition, 'request number must be 0')],
  [ErrorCode.PASSWORD_CHANGE_INCOMPLETE, row('OPR02', Code.FailedPrecondition, 'password change incomplete')],
  [ErrorCode.ENTRY_ALREADY_UPDATED, row('OPR03', Code.Aborted, 'entry already updated to other bytes')],
  [ErrorCode.REVISION_CONFLICT, row('OPR04', Code.Aborted, 'revision conflict')],
  [ErrorCode.ENTRY_EXISTS, row('OPR05', Code.AlreadyExists, 'entry exists')],
  [ErrorCode.REGISTRATION_REFUSED, row('OPR06', Code.PermissionDenied, 'registration refused')],
]);

function row(short: string, status: Code, description: string): ErrorRow {
  return { short, status, description };
}

/** One reason of a failure. `field` is the path in the payload as the .proto spells it, or `request` or `server`. */
export interface FieldError {
  readonly field: string;
  readonly code: ErrorCode;
  /** The entry's revision now; with REVISION_CONFLICT only. */
  readonly currentRevision?: bigint;
}

/**
 * How many reasons a Failure names at most: those of a whole batch. On gRPC it travels in trailers, for which peers set
 * aside some 64 KiB; a batch whose every entry has several errors tells the first of them.
 */
const MAX_REASONS = 500;
/** How many of them a log line names. */
const MAX_LOGGED_REASONS = 5;

/** What a handler throws: one or more reasons, in payload order. Holds no value that a caller sent. */
export class RpcFailure extends Error {
  readonly errors: readonly FieldError[];
  /** Whole seconds after which it can succeed; with TOO_MANY_REQUESTS only, where waiting helps. */
  readonly retryAfterSeconds: number | undefined;

  constructor(errors: readonly FieldError[], options: { retryAfterSeconds?: number; cause?: unknown } = {}) {
    const first = errors[0];
    if (first === undefined) throw new RangeError('a failure has at least one reason');
    super(
      errors
        .slice(0, MAX_LOGGED_REASONS)
        .map((error) => `${tableRow(error.code).short} ${error.field}`)
        .join(', '),
      options.cause === undefined ? undefined : { cause: options.cause },
    );
    this.name = 'RpcFailure';
    this.errors = errors;
    this.retryAfterSeconds = options.retryAfterSeconds;
  }

  /** The gRPC status: the first reason's. */
  get status(): Code {
    return tableRow(this.errors[0]!.code).status;
  }

  /** Nobody knows what was done, so nobody can say it under a seal. */
  get isOutcomeUnknown(): boolean {
    return this.errors[0]!.code === ErrorCode.OUTCOME_UNKNOWN;
  }

  /** The contract's Failure message. */
  toMessage(): Failure {
    return create(FailureSchema, {
      errorList: this.errors.slice(0, MAX_REASONS).map(({ field, code, currentRevision }) =>
        create(ErrorSchema, {
          field,
          code,
          description: tableRow(code).description,
          ...(currentRevision === undefined ? {} : { currentRevision }),
        }),
      ),
      ...(this.retryAfterSeconds === undefined
        ? {}
        : { retryAfter: create(DurationSchema, { seconds: BigInt(this.retryAfterSeconds) }) }),
    });
  }

  /** The error as it leaves in clear, with the Failure as its detail. */
  inClear(): RpcError {
    return new RpcError(this.status, FailureSchema, this.toMessage(), this);
  }
}

/** The row of a code. Throws a RangeError for a code without one. */
export function tableRow(code: ErrorCode): ErrorRow {
  const found = ERROR_TABLE.get(code);
  if (found === undefined) throw new RangeError(`error code ${code} has no row`);
  return found;
}

/** What leaves the pipeline: a status and one typed detail, a Failure in clear or a SecureResponse that seals it. */
export class RpcError extends Error {
  readonly status: Code;
  readonly detailSchema: DescMessage;
  readonly detail: Message;

  constructor(status: Code, detailSchema: DescMessage, detail: Message, cause?: unknown) {
    super(statusText(status), cause === undefined ? undefined : { cause });
    this.name = 'RpcError';
    this.status = status;
    this.detailSchema = detailSchema;
    this.detail = detail;
  }
}

/** The message that goes with a status on the wire: constant per status, so it tells nothing about the caller. */
export function statusText(status: Code): string {
  return (Code[status] ?? 'Unknown').replace(/(?<=[a-z])(?=[A-Z])/g, ' ').toLowerCase();
}

/** gRPC's name of a status, `NOT_FOUND`. */
export function statusName(status: Code): string {
  return statusText(status).toUpperCase().replaceAll(' ', '_');
}

const single = (field: string, code: ErrorCode, cause?: unknown): RpcFailure =>
  new RpcFailure([{ field, code }], cause === undefined ? {} : { cause });

/** RQS00: the message is missing or cannot be parsed, or the payload is of the wrong type. */
export const incorrectParameters = (): RpcFailure => single('request', ErrorCode.INCORRECT_PARAMETERS);
/** RQS01: unknown or expired session, broken seal, replayed number, wrong proof, unknown user. */
export const notDecrypted = (): RpcFailure => single('request', ErrorCode.NOT_DECRYPTED);
/** RQS02: a password change runs, or the RPC wants one and none runs. */
export const passwordChangeInProgress = (): RpcFailure =>
  single('request', ErrorCode.PASSWORD_CHANGE_IN_PROGRESS);
/** RQS03: a limit was met. `retryAfterSeconds` where waiting helps. */
export const tooManyRequests = (retryAfterSeconds?: number): RpcFailure =>
  new RpcFailure(
    [{ field: 'request', code: ErrorCode.TOO_MANY_REQUESTS }],
    retryAfterSeconds === undefined ? {} : { retryAfterSeconds },
  );
/** SVR00: whatever has no row of its own. The cause is logged, never sent. */
export const unexpectedError = (cause: unknown): RpcFailure =>
  single('server', ErrorCode.UNEXPECTED_ERROR, cause);
/** SVR01: the database is out of reach or the server stops; nothing was done. */
export const temporaryOutage = (cause?: unknown): RpcFailure =>
  single('server', ErrorCode.TEMPORARY_OUTAGE, cause);
/** SVR02: a misconfiguration was found while serving. */
export const otherServerIssue = (cause?: unknown): RpcFailure =>
  single('server', ErrorCode.OTHER_SERVER_ISSUE, cause);
/** SVR03: the work was sent to a database that could not be asked since. */
export const outcomeUnknown = (cause?: unknown): RpcFailure =>
  single('server', ErrorCode.OUTCOME_UNKNOWN, cause);
/** GNR00 for each of the fields, in payload order. */
export const fieldsInvalid = (fields: readonly string[]): RpcFailure =>
  new RpcFailure(fields.map((field) => ({ field, code: ErrorCode.FIELD_INVALID })));
/** GNR01: no such entry or session of this user. */
export const fieldNotFound = (field: string): RpcFailure => single(field, ErrorCode.FIELD_NOT_FOUND);
/** OPR00: somebody has this username. */
export const usernameExists = (field: 'username_hash' | 'new_username_hash'): RpcFailure =>
  single(field, ErrorCode.USERNAME_EXISTS);
/** OPR01: the session was used before. */
export const requestNumberNotZero = (): RpcFailure => single('request', ErrorCode.REQUEST_NUMBER_NOT_ZERO);
/** OPR02: commit before every entry is updated, or without proof of the new password. */
export const passwordChangeIncomplete = (field: 'entries' | 'new_client_proof_m1'): RpcFailure =>
  single(field, ErrorCode.PASSWORD_CHANGE_INCOMPLETE);
/** OPR03: other bytes for an entry that was already re-encrypted. */
export const entryAlreadyUpdated = (field = 'entry_id'): RpcFailure =>
  single(field, ErrorCode.ENTRY_ALREADY_UPDATED);
/** OPR04: somebody else wrote first; `currentRevision` is the entry's now. */
export const revisionConflict = (currentRevision: bigint, field = 'expected_revision'): RpcFailure =>
  new RpcFailure([{ field, code: ErrorCode.REVISION_CONFLICT, currentRevision }]);
/** OPR05: the id is known with other bytes, or deleted. */
export const entryExists = (field = 'entry_id'): RpcFailure => single(field, ErrorCode.ENTRY_EXISTS);
/** OPR06: registration is closed, or the invite is not good. */
export const registrationRefused = (): RpcFailure => single('invite_code', ErrorCode.REGISTRATION_REFUSED);

/** Whatever was thrown as one of the contract's failures. */
export function toFailure(error: unknown): RpcFailure {
  if (error instanceof RpcFailure) return error;
  if (error instanceof SrpQueueFullError) return tooManyRequests(1);
  if (error instanceof UnknownKeyError || error instanceof SrpWorkerLostError) return temporaryOutage(error);
  if (error instanceof DatabaseFault) {
    switch (error.kind) {
      case 'outage':
      case 'conflict':
      case 'full':
      case 'timeout':
        return temporaryOutage(error);
      case 'lost':
        return outcomeUnknown(error);
      default:
        return unexpectedError(error);
    }
  }
  return unexpectedError(error);
}
