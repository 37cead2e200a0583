/** An RpcError as gRPC's trailers carry it: google.rpc.Status in `grpc-status-details-bin`. */
import { toBinary } from '@bufbuild/protobuf';
import { BinaryWriter, WireType } from '@bufbuild/protobuf/wire';
import { AnySchema, anyPack } from '@bufbuild/protobuf/wkt';
import type { RpcError } from './errors.ts';

/** The metadata key of the serialized google.rpc.Status. */
export const STATUS_DETAILS_KEY = 'grpc-status-details-bin';

/**
 * The most bytes of details that go into trailers. Written in base64 they stay below the 64 KiB of headers that Node's
 * HTTP/2 sends and takes; above, the whole stream would end in a protocol error. A status without its details is better.
 */
export const MAX_STATUS_BYTES = 45_000;

/**
 * google.rpc.Status with one detail, serialized: code = 1 (int32), message = 2 (string), details = 3 (repeated Any).
 * The file google/rpc/status.proto is not part of this contract, and three fields do not need a descriptor.
 */
export function statusBytes(error: RpcError): Uint8Array {
  return new BinaryWriter()
    .tag(1, WireType.Varint)
    .int32(error.status)
    .tag(2, WireType.LengthDelimited)
    .string(error.message)
    .tag(3, WireType.LengthDelimited)
    .bytes(toBinary(AnySchema, anyPack(error.detailSchema, error.detail)))
    .finish();
}
