/** What the pipeline offers to the doors: one callable per RPC, with messages in and out and RpcError as the only throw. */
import type {
  BinaryReadOptions,
  DescMethodServerStreaming,
  DescMethodUnary,
  Message,
} from '@bufbuild/protobuf';

/**
 * How the server reads messages. Fields that it does not know are skipped, not kept: kept, 4 MB of the smallest ones took
 * a second and 400 MB, of anybody.
 */
export const READ_OPTIONS: Partial<BinaryReadOptions> = { readUnknownFields: false };

/** What a door knows of a call beside its message. */
export interface CallContext {
  /** Names the call in logs; made by the door, never taken from the caller. */
  readonly requestId: string;
  /** The client's address without port: the peer's, or whom a trusted proxy names. To be read before anything is waited for: a closed connection is forgotten. */
  readonly clientAddress: string;
  /** Aborted when the caller goes away, the deadline passes or the server stops. It never cancels a write half-way. */
  readonly signal: AbortSignal;
  /** What the caller speaks. */
  readonly protocol: 'connect' | 'grpc' | 'grpc-web';
  /** The header of this name (W3C Trace Context §3.2) as the caller wrote it: any text, or none. */
  readonly traceparent: string | undefined;
}

/** A unary RPC. `call` throws RpcError and nothing else. */
export interface UnaryRpc {
  readonly kind: 'unary';
  /** The full path, `/passmanager.data.v1.DataService/GetEntry`. */
  readonly path: string;
  readonly method: DescMethodUnary;
  /** What a request may have in bytes, where it is less than the door's limit: checked before it is parsed. */
  readonly maxRequestBytes?: number;
  call(request: Message, context: CallContext): Promise<Message>;
}

/** A server-streaming RPC. Iterating throws RpcError and nothing else. */
export interface StreamingRpc {
  readonly kind: 'server_streaming';
  readonly path: string;
  readonly method: DescMethodServerStreaming;
  call(request: Message, context: CallContext): AsyncIterable<Message>;
}

/** What a door serves. */
export type Rpc = UnaryRpc | StreamingRpc;
