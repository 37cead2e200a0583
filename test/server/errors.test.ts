import { readFileSync } from 'node:fs';
import { Code } from '@connectrpc/connect';
import { expect } from 'chai';
import { ErrorCode, ErrorCodeSchema, FailureSchema } from '../../gen/passmanager/common/v1/error_pb.ts';
import { UnknownKeyError } from '../../src/database/column_sealer.ts';
import { DatabaseFault, type FaultKind } from '../../src/database/sqlstate.ts';
import * as errors from '../../src/server/errors.ts';
import { SrpQueueFullError, SrpWorkerLostError } from '../../src/server/srp/srp_pool.ts';

const { ERROR_TABLE, RpcFailure, statusName, tableRow } = errors;

/** The table of the contract. */
const CONTRACT: readonly [string, number, Code][] = [
  ['RQS00', 10, Code.InvalidArgument],
  ['RQS01', 11, Code.Unauthenticated],
  ['RQS02', 12, Code.FailedPrecondition],
  ['RQS03', 13, Code.ResourceExhausted],
  ['SVR00', 20, Code.Internal],
  ['SVR01', 21, Code.Unavailable],
  ['SVR02', 22, Code.Internal],
  ['SVR03', 23, Code.Unknown],
  ['GNR00', 30, Code.InvalidArgument],
  ['GNR01', 31, Code.NotFound],
  ['OPR00', 40, Code.AlreadyExists],
  ['OPR01', 41, Code.FailedPrecondition],
  ['OPR02', 42, Code.FailedPrecondition],
  ['OPR03', 43, Code.Aborted],
  ['OPR04', 44, Code.Aborted],
  ['OPR05', 45, Code.AlreadyExists],
  ['OPR06', 46, Code.PermissionDenied],
];

describe('the table of errors', () => {
  it('is the contract, number for number and status for status', () => {
    expect([...ERROR_TABLE].map(([code, { short, status }]) => [short, code, status])).to.have.deep.members(
      CONTRACT.map((row) => [...row]),
    );
  });

  it('has a row for every value of the enum but the unspecified one', () => {
    const values = ErrorCodeSchema.values.map(({ number }) => number).filter((number) => number !== 0);
    expect([...ERROR_TABLE.keys()]).to.have.members(values);
  });

  it('has no row for an unspecified code', () => {
    expect(() => tableRow(ErrorCode.UNSPECIFIED)).to.throw(RangeError);
  });

  it('is the table that docs/api_responses.md prints', () => {
    const document = readFileSync(new URL('../../docs/api_responses.md', import.meta.url), 'utf8');
    for (const [code, { short, status }] of ERROR_TABLE) {
      const line = document.split('\n').find((text) => text.startsWith(`| ${short} `));
      expect(line, short)
        .to.include(`| ${code} |`)
        .and.to.include(`| ${statusName(status)} |`);
    }
  });

  it('has a named constructor for every row', () => {
    const made = [
      errors.incorrectParameters(),
      errors.notDecrypted(),
      errors.passwordChangeInProgress(),
      errors.tooManyRequests(),
      errors.unexpectedError(new Error('cause')),
      errors.temporaryOutage(),
      errors.otherServerIssue(),
      errors.outcomeUnknown(),
      errors.fieldsInvalid(['a']),
      errors.fieldNotFound('a'),
      errors.usernameExists('username_hash'),
      errors.requestNumberNotZero(),
      errors.passwordChangeIncomplete('entries'),
      errors.entryAlreadyUpdated(),
      errors.revisionConflict(7n),
      errors.entryExists(),
      errors.registrationRefused(),
    ];
    expect(made.map((failure) => failure.errors[0]?.code)).to.have.members([...ERROR_TABLE.keys()]);
  });
});

describe('an RpcFailure', () => {
  it('needs a reason', () => {
    expect(() => new RpcFailure([])).to.throw(RangeError);
  });

  it('takes its status from the first of its reasons and keeps their order', () => {
    const failure = new RpcFailure([
      { field: 'entries[0].entry_id', code: ErrorCode.FIELD_NOT_FOUND },
      { field: 'entries[2].expected_revision', code: ErrorCode.REVISION_CONFLICT, currentRevision: 9n },
    ]);
    expect(failure.status).to.equal(Code.NotFound);
    const message = failure.toMessage();
    expect(message.errorList.map(({ field }) => field)).to.deep.equal([
      'entries[0].entry_id',
      'entries[2].expected_revision',
    ]);
    expect(message.errorList.map(({ currentRevision }) => currentRevision)).to.deep.equal([undefined, 9n]);
  });

  it('names as many reasons as a batch has entries, and no more', () => {
    const many = Array.from({ length: 1_500 }, (_, index) => `entries[${index}].entry_id`);
    const failure = errors.fieldsInvalid(many);
    expect(failure.toMessage().errorList.map(({ field }) => field)).to.deep.equal(many.slice(0, 500));
    expect(failure.message.length).to.be.below(200);
  });

  it('says when to try again only where it was told', () => {
    expect(errors.tooManyRequests().toMessage().retryAfter).to.equal(undefined);
    expect(errors.tooManyRequests(3).toMessage().retryAfter?.seconds).to.equal(3n);
  });

  it('never sends its cause', () => {
    const failure = errors.unexpectedError(new Error('a secret in a message'));
    expect(
      JSON.stringify(failure.inClear().detail, (_, v) => (typeof v === 'bigint' ? `${v}` : v)),
    ).not.to.include('secret');
    expect(failure.inClear().message).to.equal('internal');
  });

  it('leaves in clear with the Failure as its typed detail', () => {
    const error = errors.fieldsInvalid(['kdf.memory_kib', 'srp_salt']).inClear();
    expect(error.status).to.equal(Code.InvalidArgument);
    expect(error.detailSchema).to.equal(FailureSchema);
  });
});

describe('what was thrown, as a failure', () => {
  for (const [kind, code] of [
    ['outage', 21],
    ['conflict', 21],
    ['full', 21],
    ['timeout', 21],
    ['lost', 23],
    ['unique', 20],
    ['foreignKey', 20],
    ['unexpected', 20],
  ] satisfies [FaultKind, number][]) {
    it(`is code ${code} for a database fault of kind ${kind}`, () => {
      expect(errors.toFailure(new DatabaseFault(kind)).errors[0]?.code).to.equal(code);
    });
  }

  it('is RQS03 with a time to wait for a full queue of log-ins', () => {
    const failure = errors.toFailure(new SrpQueueFullError());
    expect(failure.errors[0]?.code).to.equal(13);
    expect(failure.retryAfterSeconds).to.equal(1);
  });

  it('is SVR01 for a thread of log-ins that died', () => {
    expect(errors.toFailure(new SrpWorkerLostError()).errors[0]?.code).to.equal(21);
    expect(errors.toFailure(new UnknownKeyError()).errors[0]?.code).to.equal(21);
  });

  it('is itself for a failure, and SVR00 for anything else', () => {
    const failure = errors.fieldNotFound('entry_id');
    expect(errors.toFailure(failure)).to.equal(failure);
    expect(errors.toFailure('text').errors[0]?.code).to.equal(20);
    expect(errors.toFailure(errors.temporaryOutage()).errors[0]?.field).to.equal('server');
  });
});
