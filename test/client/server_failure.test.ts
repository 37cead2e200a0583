import { create } from '@bufbuild/protobuf';
import { Code, ConnectError } from '@connectrpc/connect';
import { expect } from 'chai';
import { ErrorCode, FailureSchema } from '../../gen/passmanager/common/v1/error_pb.ts';
import { ServerRefusalError, TooManyRequestsError, UnavailableError } from '../../src/client/errors.ts';
import { CallFailure, clearFailure, sealedFailureOf, toVaultError } from '../../src/client/server_failure.ts';

function failure(code: ErrorCode, options: { verified?: boolean; retryAfter?: bigint; status?: Code } = {}) {
  return new CallFailure(
    options.status ?? Code.InvalidArgument,
    create(FailureSchema, {
      errorList: [{ field: 'a_field', code }],
      ...(options.retryAfter === undefined ? {} : { retryAfter: { seconds: options.retryAfter } }),
    }),
    { verified: options.verified ?? true, cause: undefined },
  );
}

describe('a failure', () => {
  it('in clear never says by itself that the server said it', () => {
    const clear = clearFailure(new ConnectError('x', Code.Unauthenticated));
    expect(clear.verified).to.equal(false);
    expect(clear.saysSessionEnded).to.equal(true);
  });

  it('that is sealed is no word about the session: its number was spent in it', () => {
    expect(failure(ErrorCode.NOT_DECRYPTED, { status: Code.Unauthenticated }).saysSessionEnded).to.equal(
      false,
    );
  });

  it('of a connection counts as unavailable, and so as temporary', () => {
    const lost = clearFailure(new Error('ECONNRESET'));
    expect(lost.status).to.equal(Code.Unavailable);
    expect(lost.isTemporary).to.equal(true);
    expect(toVaultError(lost)).to.be.instanceOf(UnavailableError);
  });

  it('is temporary by its code, whatever the status says', () => {
    expect(failure(ErrorCode.TEMPORARY_OUTAGE).isTemporary).to.equal(true);
    expect(failure(ErrorCode.OUTCOME_UNKNOWN).isTemporary).to.equal(true);
    expect(failure(ErrorCode.REVISION_CONFLICT, { status: Code.Unavailable }).isTemporary).to.equal(false);
    expect(failure(ErrorCode.UNEXPECTED_ERROR, { status: Code.Unavailable }).isTemporary).to.equal(false);
  });

  it('for too many requests is temporary only where waiting helps', () => {
    expect(failure(ErrorCode.TOO_MANY_REQUESTS).isTemporary).to.equal(false);
    const limited = failure(ErrorCode.TOO_MANY_REQUESTS, { retryAfter: 3n });
    expect(limited.isTemporary).to.equal(true);
    const error = toVaultError(limited) as TooManyRequestsError;
    expect(error).to.be.instanceOf(TooManyRequestsError);
    expect(error.retryAfterSeconds).to.equal(3);
  });

  for (const [code, expected] of [
    [ErrorCode.FIELD_INVALID, 'field_invalid'],
    [ErrorCode.FIELD_NOT_FOUND, 'entry_not_found'],
    [ErrorCode.USERNAME_EXISTS, 'username_exists'],
    [ErrorCode.REVISION_CONFLICT, 'revision_conflict'],
    [ErrorCode.ENTRY_EXISTS, 'entry_exists'],
    [ErrorCode.REGISTRATION_REFUSED, 'registration_refused'],
    [ErrorCode.PASSWORD_CHANGE_IN_PROGRESS, 'password_change_in_progress'],
    [ErrorCode.UNEXPECTED_ERROR, 'server_error'],
    [ErrorCode.NOT_DECRYPTED, 'server_error'],
  ] as const) {
    it(`with error code ${code} is ${expected}, with its field and whether its seal opened`, () => {
      const error = toVaultError(failure(code, { verified: false })) as ServerRefusalError;
      expect(error).to.be.instanceOf(ServerRefusalError);
      expect([error.code, error.field, error.verified]).to.deep.equal([expected, 'a_field', false]);
    });
  }

  it('without a sealed body has none', () => {
    expect(sealedFailureOf(new ConnectError('x'))).to.equal(undefined);
    expect(sealedFailureOf(new Error('x'))).to.equal(undefined);
  });
});
