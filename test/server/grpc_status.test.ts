import { fromBinary } from '@bufbuild/protobuf';
import { BinaryReader, WireType } from '@bufbuild/protobuf/wire';
import { AnySchema, anyUnpack } from '@bufbuild/protobuf/wkt';
import { expect } from 'chai';
import { ErrorCode, FailureSchema } from '../../gen/passmanager/common/v1/error_pb.ts';
import { fieldsInvalid } from '../../src/server/errors.ts';
import { statusBytes } from '../../src/server/grpc_status.ts';

describe('statusBytes', () => {
  it('is a google.rpc.Status: code 1, message 2, one Any in details 3', () => {
    const reader = new BinaryReader(statusBytes(fieldsInvalid(['username_hash', 'srp_salt']).inClear()));
    expect(reader.tag()).to.deep.equal([1, WireType.Varint]);
    expect(reader.int32()).to.equal(3);
    expect(reader.tag()).to.deep.equal([2, WireType.LengthDelimited]);
    expect(reader.string()).to.equal('invalid argument');
    expect(reader.tag()).to.deep.equal([3, WireType.LengthDelimited]);
    const any = fromBinary(AnySchema, reader.bytes());
    expect(reader.pos).to.equal(reader.len);
    expect(any.typeUrl).to.equal('type.googleapis.com/passmanager.common.v1.Failure');
    expect(anyUnpack(any, FailureSchema)!.errorList.map(({ field, code }) => [field, code])).to.deep.equal([
      ['username_hash', ErrorCode.FIELD_INVALID],
      ['srp_salt', ErrorCode.FIELD_INVALID],
    ]);
  });
});
