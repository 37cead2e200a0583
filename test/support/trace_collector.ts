/** A collector of traces for a test: a real HTTP listener that takes OTLP in protobuf and keeps what came. */
import { createServer, type IncomingHttpHeaders, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { BinaryReader, WireType } from '@bufbuild/protobuf/wire';

/** A span as it arrived. Ids in hex; attributes of texts and whole numbers. */
export interface CollectedSpan {
  readonly traceId: string;
  readonly spanId: string;
  /** Empty: it has none. */
  readonly parentSpanId: string;
  readonly traceState: string;
  readonly name: string;
  /** 1 internal, 2 server, 3 client. */
  readonly kind: number;
  readonly nanoseconds: bigint;
  readonly attributes: Readonly<Record<string, string | number>>;
  /** 0 unset, 1 OK, 2 error. */
  readonly status: number;
  readonly statusMessage: string;
  readonly events: number;
  readonly resource: Readonly<Record<string, string | number>>;
}

export interface CollectedRequest {
  readonly path: string;
  readonly headers: IncomingHttpHeaders;
  readonly body: Buffer;
}

export interface TraceCollector {
  /** For PASSMANAGER_OTLP_ENDPOINT. */
  readonly endpoint: string;
  readonly port: number;
  readonly requests: CollectedRequest[];
  spans(): CollectedSpan[];
  /** The spans of calls, by the method’s name, `GetEntry`. */
  calls(method: string): CollectedSpan[];
  /** The spans right below one, in the order in which they ended. */
  below(span: CollectedSpan): CollectedSpan[];
  stop(): Promise<void>;
}

/** Listens on loopback. `answer`: what is done with a request that arrived whole; default: 200. */
export async function startTraceCollector(
  answer: (response: ServerResponse) => void = (response) => response.writeHead(200).end(),
  port = 0,
): Promise<TraceCollector> {
  const requests: CollectedRequest[] = [];
  const server = createServer((request, response) => {
    const parts: Buffer[] = [];
    request.on('error', () => {});
    request.on('data', (part: Buffer) => parts.push(part));
    request.on('end', () => {
      requests.push({ path: request.url ?? '', headers: request.headers, body: Buffer.concat(parts) });
      answer(response);
    });
  });
  await new Promise<void>((resolve) => server.listen(port, '127.0.0.1', resolve));
  const taken = (server.address() as AddressInfo).port;
  const spans = () => requests.flatMap(({ body }) => spansOf(body));
  return {
    endpoint: `http://127.0.0.1:${taken}`,
    port: taken,
    requests,
    spans,
    calls: (method) => spans().filter(({ name, kind }) => kind === 2 && name.endsWith(`/${method}`)),
    below: ({ spanId }) => spans().filter(({ parentSpanId }) => parentSpanId === spanId),
    stop: async () => {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

/** The fields of a message: bytes, or a number for what is fixed or varint. */
class Fields {
  readonly #values = new Map<number, (Uint8Array | bigint)[]>();

  constructor(bytes: Uint8Array) {
    const reader = new BinaryReader(bytes);
    while (reader.pos < reader.len) {
      const [field, type] = reader.tag();
      const values = this.#values.get(field) ?? [];
      this.#values.set(field, values);
      if (type === WireType.LengthDelimited) values.push(reader.bytes());
      else if (type === WireType.Varint) values.push(BigInt(reader.uint64()));
      else if (type === WireType.Bit64) values.push(BigInt(reader.fixed64()));
      else if (type === WireType.Bit32) values.push(BigInt(reader.fixed32()));
      else throw new Error(`a field of type ${type}`);
    }
  }

  all(field: number): Uint8Array[] {
    return (this.#values.get(field) ?? []) as Uint8Array[];
  }

  messages(field: number): Fields[] {
    return this.all(field).map((bytes) => new Fields(bytes));
  }

  bytes(field: number): Buffer {
    return Buffer.from(this.all(field)[0] ?? new Uint8Array());
  }

  number(field: number): bigint {
    return (this.#values.get(field)?.[0] as bigint | undefined) ?? 0n;
  }

  /** KeyValue messages with a string (1) or an int (3) in them. */
  attributes(field: number): Record<string, string | number> {
    return Object.fromEntries(
      this.messages(field).map((pair) => {
        const [value] = pair.messages(2);
        const isText = value!.all(1).length > 0;
        return [
          pair.bytes(1).toString('utf8'),
          isText ? value!.bytes(1).toString('utf8') : Number(value!.number(3)),
        ];
      }),
    );
  }
}

/** opentelemetry/proto/trace/v1/trace.proto, ExportTraceServiceRequest. */
function spansOf(body: Buffer): CollectedSpan[] {
  return new Fields(body).messages(1).flatMap((ofResource) => {
    const resource = ofResource.messages(1)[0]!.attributes(1);
    return ofResource
      .messages(2)
      .flatMap((ofScope) => ofScope.messages(2))
      .map((span) => {
        const [status] = span.messages(15);
        return {
          traceId: span.bytes(1).toString('hex'),
          spanId: span.bytes(2).toString('hex'),
          traceState: span.bytes(3).toString('utf8'),
          parentSpanId: span.bytes(4).toString('hex'),
          name: span.bytes(5).toString('utf8'),
          kind: Number(span.number(6)),
          nanoseconds: span.number(8) - span.number(7),
          attributes: span.attributes(9),
          events: span.all(11).length,
          statusMessage: status?.bytes(2).toString('utf8') ?? '',
          status: Number(status?.number(3) ?? 0n),
          resource,
        };
      });
  });
}
