/**
 * What connect-es' universal handlers get of a request: its body, read within bounds, and what they need of its headers and
 * no more, put right.
 */
import type { IncomingHttpHeaders } from 'node:http';
import { capConnectTimeout, capGrpcTimeout } from './deadline.ts';
import type { HttpRequest } from './http_messages.ts';

/** The prefix of a message in gRPC, gRPC-Web and streaming Connect: a byte of flags and a length in four. */
export const ENVELOPE_BYTES = 5;

function isEnveloped(contentType: string): boolean {
  return /^application\/(?:grpc|connect\+)/i.test(contentType);
}

function isJson(contentType: string): boolean {
  return /json/i.test(contentType);
}

/** The longest JSON of a message, in bytes: it writes bytes in base64, 4 characters for 3, plus names and punctuation. */
export function jsonLimit(maxMessageBytes: number): number {
  return Math.ceil(maxMessageBytes / 3) * 4 + 64 * 1024;
}

/** The longest body of a request with a message of this length in its binary form, in bytes. */
export function bodyLimit(contentType: string, maxMessageBytes: number): number {
  const message = isJson(contentType) ? jsonLimit(maxMessageBytes) : maxMessageBytes;
  return isEnveloped(contentType) ? message + ENVELOPE_BYTES : message;
}

/** A body that holds the empty message. */
export function emptyBody(contentType: string): Uint8Array {
  const message = isJson(contentType) ? Buffer.from('{}') : Buffer.alloc(0);
  if (!isEnveloped(contentType)) return message;
  const prefix = Buffer.alloc(ENVELOPE_BYTES);
  prefix.writeUInt32BE(message.length, 1);
  return Buffer.concat([prefix, message]);
}

/**
 * The headers that the universal handlers go by: content type, encoding and deadline. An encoding other than identity is
 * named `unsupported`, for the refusal repeats it; a deadline is capped. Undefined when the deadline cannot be read.
 */
export function handlerHeaders(
  headers: IncomingHttpHeaders,
  contentType: string,
  capMs: number,
): Headers | undefined {
  const kept = new Headers({ 'content-type': contentType });
  for (const name of [
    'content-encoding',
    'connect-content-encoding',
    'grpc-encoding',
    'connect-protocol-version',
  ]) {
    const value = headers[name];
    if (value === undefined) continue;
    kept.set(name, value === 'identity' || value === '1' ? value : 'unsupported');
  }
  for (const [name, cap] of [
    ['grpc-timeout', capGrpcTimeout],
    ['connect-timeout-ms', capConnectTimeout],
  ] as const) {
    const asked = headers[name];
    if (asked === undefined) continue;
    const capped = cap(String(asked), capMs);
    if (capped === undefined) return undefined;
    kept.set(name, capped);
  }
  return kept;
}

/**
 * The whole body; `too large` as soon as it is known to be, while the rest is still let in and thrown away, because a
 * connection closed with bytes unread loses the answer (RFC 9112 §9.6); `cut` when the peer went away. How long it may
 * take is the listener's to bound.
 */
export function readBody(request: HttpRequest, limit: number): Promise<Uint8Array | 'too large' | 'cut'> {
  if (Number(request.headers['content-length'] ?? 0) > limit) {
    request.resume();
    return Promise.resolve('too large');
  }
  return new Promise((resolve) => {
    const chunks: Buffer[] = [];
    let length = 0;
    const take = (chunk: Buffer) => {
      length += chunk.length;
      if (length > limit) {
        // Without a listener for its data the stream flows on and forgets.
        request.off('data', take);
        request.resume();
        resolve('too large');
        return;
      }
      chunks.push(chunk);
    };
    request.on('data', take);
    request.once('end', () => resolve(chunks.length === 1 ? chunks[0]! : Buffer.concat(chunks, length)));
    request.once('error', () => resolve('cut'));
    request.once('close', () => resolve('cut'));
  });
}
