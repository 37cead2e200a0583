/** Writes what connect-es' universal handlers answer. */
import type { ServerResponse } from 'node:http';
import type { UniversalServerResponse } from '@connectrpc/connect/protocol';
import { drained } from './drained.ts';
import type { HttpResponse } from './http_messages.ts';

/**
 * Writes an answer. A unary one goes out in one piece; a stream as it comes, no faster than the peer takes it. The
 * headers are sent after the first part of the body, when the handler has settled them. `extra`: headers that go along.
 * `whole`: whether it is a unary one. Throws what the handler does.
 */
export async function writeAnswer(
  answer: UniversalServerResponse,
  response: HttpResponse,
  extra: Readonly<Record<string, string>>,
  whole: boolean,
): Promise<void> {
  const parts = answer.body?.[Symbol.asyncIterator]();
  try {
    if (parts === undefined || whole) {
      const chunks: Uint8Array[] = [];
      if (parts !== undefined) {
        for (let part = await parts.next(); part.done !== true; part = await parts.next())
          chunks.push(part.value);
      }
      if (response.destroyed) return;
      writeHead(response, answer, extra);
      addTrailers(response, answer);
      (response as ServerResponse).end(chunks.length === 1 ? chunks[0] : Buffer.concat(chunks));
      return;
    }
    let part = await parts.next();
    if (response.destroyed) return;
    writeHead(response, answer, extra);
    for (; part.done !== true; part = await parts.next()) {
      if (response.destroyed) return;
      if (!writePart(response, part.value)) await drained(response);
    }
    if (response.destroyed) return;
    addTrailers(response, answer);
    response.end();
  } finally {
    // Ends the RPC when the peer has gone before the last part.
    await parts?.return?.();
  }
}

function writeHead(
  response: HttpResponse,
  answer: UniversalServerResponse,
  extra: Readonly<Record<string, string>>,
): void {
  // The two classes overload writeHead differently; what is passed suits both.
  (response as ServerResponse).writeHead(answer.status, {
    ...extra,
    ...Object.fromEntries(answer.header ?? []),
  });
}

function writePart(response: HttpResponse, part: Uint8Array): boolean {
  return (response as ServerResponse).write(part);
}

function addTrailers(response: HttpResponse, { trailer }: UniversalServerResponse): void {
  if (trailer !== undefined) response.addTrailers(Object.fromEntries(trailer));
}
