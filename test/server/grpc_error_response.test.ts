import { Metadata, type ServerInterceptingCall, type StatusObject, status } from '@grpc/grpc-js';
import { expect } from 'chai';
import { fieldsInvalid, incorrectParameters, tooManyRequests } from '../../src/server/errors.ts';
import { errorResponse, typedStatuses } from '../../src/server/grpc_error_response.ts';
import { MAX_STATUS_BYTES, STATUS_DETAILS_KEY, statusBytes } from '../../src/server/grpc_status.ts';

const detailsOf = (answer: { readonly metadata?: Partial<StatusObject>['metadata'] | null }) =>
  answer.metadata?.get(STATUS_DETAILS_KEY) ?? [];

describe('errorResponse', () => {
  it('is the status, its text, and the details in the trailers', () => {
    const error = incorrectParameters().inClear();
    const answer = errorResponse(error);
    expect([answer.code, answer.details]).to.deep.equal([status.INVALID_ARGUMENT, 'invalid argument']);
    expect(detailsOf(answer)).to.deep.equal([Buffer.from(statusBytes(error))]);
  });

  it('has no details where they do not fit into trailers', () => {
    const error = fieldsInvalid(['x'.repeat(MAX_STATUS_BYTES)]).inClear();
    expect(detailsOf(errorResponse(error))).to.deep.equal([]);
  });
});

describe('typedStatuses', () => {
  /** What reaches the caller when the library ends a call with `answer`. */
  const sent = (answer: Partial<StatusObject>) => {
    const answers: Partial<StatusObject>[] = [];
    const call = { sendStatus: (given: Partial<StatusObject>) => answers.push(given) };
    typedStatuses({} as never, call as unknown as ServerInterceptingCall).sendStatus(answer as never);
    expect(answers).to.have.length(1);
    return answers[0]!;
  };
  const bytesOf = (error: Parameters<typeof statusBytes>[0]) => [Buffer.from(statusBytes(error))];

  it('leaves alone what went well, and what has its details already', () => {
    const well = { code: status.OK, details: 'OK', metadata: new Metadata() };
    expect(sent(well)).to.equal(well);
    const refused = errorResponse(tooManyRequests(3).inClear()) as Partial<StatusObject>;
    expect(sent(refused)).to.equal(refused);
  });

  it('puts RQS03 into a message above the limit', () => {
    const answer = sent({ code: status.RESOURCE_EXHAUSTED, details: 'Received message larger than max' });
    expect([answer.code, answer.details]).to.deep.equal([status.RESOURCE_EXHAUSTED, 'resource exhausted']);
    expect(detailsOf(answer)).to.deep.equal(bytesOf(tooManyRequests().inClear()));
  });

  it('puts RQS00 into a call without its one message or with a deadline that cannot be read', () => {
    for (const details of [
      'Received no request message from the client',
      'Received a second request message from the client',
      'Invalid grpc-timeout value "what the caller sent"',
    ]) {
      const answer = sent({ code: status.UNIMPLEMENTED, details });
      expect([answer.code, answer.details]).to.deep.equal([status.INVALID_ARGUMENT, 'invalid argument']);
      expect(detailsOf(answer)).to.deep.equal(bytesOf(incorrectParameters().inClear()));
    }
  });

  it('repeats no other text of the library', () => {
    const answer = sent({ code: status.INTERNAL, details: 'what the caller sent' });
    expect([answer.code, answer.details]).to.deep.equal([status.INTERNAL, 'internal']);
    expect(detailsOf(answer)).to.deep.equal([]);
  });
});
