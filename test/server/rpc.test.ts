import { fromBinary } from '@bufbuild/protobuf';
import { expect } from 'chai';
import { StartSessionRequestSchema } from '../../gen/passmanager/session/v1/session_service_pb.ts';
import { READ_OPTIONS } from '../../src/server/rpc.ts';

describe('how messages are read', () => {
  it('skips fields that the contract does not have, so that they cost no memory', () => {
    // Field 15, varint 0, a million times.
    const bytes = new Uint8Array(2_000_000).map((_, index) => (index % 2 === 0 ? 0x78 : 0));
    const message = fromBinary(StartSessionRequestSchema, bytes, READ_OPTIONS);
    expect(message.$unknown ?? []).to.deep.equal([]);
    expect(fromBinary(StartSessionRequestSchema, bytes.subarray(0, 4)).$unknown).to.have.length(2);
  });
});
