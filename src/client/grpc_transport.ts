/** Native gRPC by @grpc/grpc-js, as a transport of Connect's shape. For Node. */
import { isIP } from 'node:net';
import { type PeerCertificate, checkServerIdentity as tlsCheckServerIdentity } from 'node:tls';
import {
  create,
  type DescMessage,
  type DescMethodStreaming,
  type DescMethodUnary,
  fromBinary,
  type MessageInitShape,
  type MessageShape,
  toBinary,
} from '@bufbuild/protobuf';
import { Code, ConnectError, type StreamResponse, type UnaryResponse } from '@connectrpc/connect';
import { findTrailerError } from '@connectrpc/connect/protocol-grpc';
import {
  type CallOptions,
  type ChannelCredentials,
  Client,
  credentials,
  Metadata,
  type ServiceError,
} from '@grpc/grpc-js';
import { methodPath } from '../protocol/aad.ts';
import { isConfidentialUrl, MAXIMUM_MESSAGE_BYTES, type VaultTransport } from './transport.ts';

/** Where and how to connect. */
export interface GrpcTransportOptions {
  /** `http://host:port` in clear, `https://host:port` with TLS. */
  readonly url: string;
  /** A certificate authority of one's own, PEM. Default for https: those that Node trusts. */
  readonly ca?: string;
  /**
   * Credentials of one's own, in the place of all else that TLS needs. To an address, their checkServerIdentity is given
   * `address.invalid` for a name.
   */
  readonly channelCredentials?: ChannelCredentials;
}

/** A transport with a connection to be closed. */
export interface GrpcTransport extends VaultTransport {
  close(): void;
}

/** Connects when the first call is made, and again when the connection is lost. */
export function createGrpcTransport({ url, ca, channelCredentials }: GrpcTransportOptions): GrpcTransport {
  const { protocol, hostname, port } = new URL(url);
  const isTls = protocol === 'https:';
  const address = hostname.replace(/^\[|\]$/g, '');
  const isAddress = isIP(address) !== 0;
  const client = new Client(
    `${hostname}:${port === '' ? (isTls ? '443' : '80') : port}`,
    channelCredentials ??
      (isTls ? tlsCredentials(ca, isAddress ? address : undefined) : credentials.createInsecure()),
    {
      // TLS has names only where hosts have: an address is not said, and is looked for in the certificate all the same.
      ...(isTls && isAddress ? { 'grpc.ssl_target_name_override': NAMELESS } : {}),
      'grpc.max_receive_message_length': MAXIMUM_MESSAGE_BYTES,
      'grpc.max_send_message_length': MAXIMUM_MESSAGE_BYTES,
      'grpc.keepalive_time_ms': 60_000,
      'grpc.keepalive_timeout_ms': 20_000,
      // The library tries again itself: it gives every attempt a number and a seal of its own.
      'grpc.enable_retries': 0,
    },
  );
  return {
    confidential: isConfidentialUrl(url),
    close: () => client.close(),
    unary: (method, signal, timeoutMs, header, input) =>
      unary(client, method, signal, timeoutMs, header, input),
    stream: async (method, signal, timeoutMs, header, input) =>
      serverStream(client, method, signal, timeoutMs, header, input),
  };
}

/** What is said in the place of an address; nobody has the name (RFC 6761 §6.4). */
const NAMELESS = 'address.invalid';

/** Checks that the certificate is for `address` where there is one, else for the host's name. */
function tlsCredentials(ca: string | undefined, address: string | undefined): ChannelCredentials {
  const checkServerIdentity = (_name: string, certificate: PeerCertificate) =>
    tlsCheckServerIdentity(address!, certificate);
  return credentials.createSsl(
    ca === undefined ? null : Buffer.from(ca),
    null,
    null,
    address === undefined ? {} : { checkServerIdentity },
  );
}

function unary<I extends DescMessage, O extends DescMessage>(
  client: Client,
  method: DescMethodUnary<I, O>,
  signal: AbortSignal | undefined,
  timeoutMs: number | undefined,
  header: HeadersInit | undefined,
  input: MessageInitShape<I>,
): Promise<UnaryResponse<I, O>> {
  return new Promise((resolve, reject) => {
    if (signal?.aborted) return reject(new ConnectError('canceled', Code.Canceled));
    const cancel = () => call.cancel();
    const call = client.makeUnaryRequest(
      methodPath(method),
      serializer(method.input),
      deserializer(method.output),
      create(method.input, input),
      toMetadata(header),
      callOptions(timeoutMs),
      (error, message) => {
        signal?.removeEventListener('abort', cancel);
        if (error !== null) return reject(toConnectError(error));
        resolve({
          stream: false,
          service: method.parent,
          method,
          header: new Headers(),
          trailer: new Headers(),
          message: message as MessageShape<O>,
        });
      },
    );
    signal?.addEventListener('abort', cancel, { once: true });
  });
}

async function serverStream<I extends DescMessage, O extends DescMessage>(
  client: Client,
  method: DescMethodStreaming<I, O>,
  signal: AbortSignal | undefined,
  timeoutMs: number | undefined,
  header: HeadersInit | undefined,
  input: AsyncIterable<MessageInitShape<I>>,
): Promise<StreamResponse<I, O>> {
  if (method.methodKind !== 'server_streaming') throw new ConnectError('not supported', Code.Unimplemented);
  let request: MessageInitShape<I> | undefined;
  for await (const message of input) request = message;
  signal?.throwIfAborted();
  const call = client.makeServerStreamRequest(
    methodPath(method),
    serializer(method.input),
    deserializer(method.output),
    create(method.input, request),
    toMetadata(header),
    callOptions(timeoutMs),
  );
  const cancel = () => call.cancel();
  signal?.addEventListener('abort', cancel, { once: true });
  const messages = async function* () {
    try {
      for await (const message of call) yield message as MessageShape<O>;
    } catch (error) {
      throw toConnectError(error as ServiceError);
    } finally {
      signal?.removeEventListener('abort', cancel);
      call.cancel();
    }
  };
  return {
    stream: true,
    service: method.parent,
    method,
    header: new Headers(),
    trailer: new Headers(),
    message: messages(),
  };
}

function callOptions(timeoutMs: number | undefined): CallOptions {
  return timeoutMs === undefined ? {} : { deadline: Date.now() + timeoutMs };
}

function toMetadata(header: HeadersInit | undefined): Metadata {
  const metadata = new Metadata();
  for (const [name, value] of new Headers(header)) metadata.set(name, value);
  return metadata;
}

function serializer<M extends DescMessage>(schema: M): (message: MessageShape<M>) => Buffer {
  return (message) => Buffer.from(toBinary(schema, message));
}

function deserializer<M extends DescMessage>(schema: M): (bytes: Buffer) => MessageShape<M> {
  return (bytes) => fromBinary(schema, bytes);
}

/** The status with its details: gRPC carries them as a google.rpc.Status in `grpc-status-details-bin`. */
function toConnectError(error: ServiceError): ConnectError {
  const [details] = error.metadata?.get('grpc-status-details-bin') ?? [];
  if (details instanceof Uint8Array) {
    try {
      const trailer = new Headers({ 'grpc-status-details-bin': Buffer.from(details).toString('base64') });
      const found = findTrailerError(trailer);
      // The details are the server's words; the status is the one that the call ended with.
      if (found !== undefined && found.code === (error.code as number)) return found;
    } catch {
      // Details that cannot be read say nothing; the status still does.
    }
  }
  return new ConnectError(error.details ?? error.message, (error.code as number) ?? Code.Unavailable);
}
