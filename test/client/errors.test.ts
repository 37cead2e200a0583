import { expect } from 'chai';
import {
  BatchInterruptedError,
  EntryProblemError,
  ReadOnlyVaultError,
  RevisionConflictError,
  ServerRefusalError,
  TooManyRequestsError,
  VaultError,
  VaultRolledBackError,
  WrongCredentialsError,
} from '../../src/client/errors.ts';

describe('the errors of the client', () => {
  it('are all VaultErrors that carry their own name, a code and a cause', () => {
    const cause = new Error('because');
    const error = new WrongCredentialsError(cause);
    expect(error).to.be.instanceOf(VaultError);
    expect([error.name, error.code, error.cause]).to.deep.equal([
      'WrongCredentialsError',
      'wrong_credentials',
      cause,
    ]);
  });

  it('hold what belongs to them', () => {
    const refusals = [
      { field: 'entries[0].entry_id', code: 30 },
      { field: 'entries[1].expected_revision', code: 44, currentRevision: 9n },
    ];
    const refusal = new ServerRefusalError('field_invalid', 'x', { refusals, verified: true });
    expect([refusal.field, refusal.currentRevision]).to.deep.equal(['entries[0].entry_id', 9n]);
    expect(
      new TooManyRequestsError({ refusals, verified: true, retryAfterSeconds: 4 }).retryAfterSeconds,
    ).to.equal(4);
    expect(new BatchInterruptedError(['a'], refusal).done).to.deep.equal(['a']);
    expect(new ReadOnlyVaultError(['f']).features).to.deep.equal(['f']);
    const rolledBack = new VaultRolledBackError(3n, 2n);
    expect([rolledBack.seenVersion, rolledBack.offeredVersion]).to.deep.equal([3n, 2n]);
    const problem = { entryId: 'x', reason: 'mixed', ours: undefined, theirs: undefined } as const;
    expect(new EntryProblemError(problem).problem).to.equal(problem);
  });

  it('have messages without what the sides of a conflict hold', () => {
    const entry = {
      id: 'x',
      name: 'geheim',
      kind: 'login',
      password: 'geheim',
      fields: [],
      revision: 1n,
      version: 1n,
    } as const;
    const error = new RevisionConflictError({ ours: entry, theirs: entry, currentRevision: 2n });
    expect(error.message).not.to.include('geheim');
    expect(error.ours).to.equal(entry);
  });
});
