/** Sends requests that lie ready, each lane one after the other and the lanes side by side. */
import { Agent, request } from 'node:http';
import { Client, credentials, Metadata } from '@grpc/grpc-js';

/** One call; rejects when it fails. */
export type Send = (path: string, message: Buffer) => Promise<Buffer>;

const identity = (bytes: Buffer) => bytes;

/** Calls over gRPC, on one connection. */
export function grpcSender(port: number): { send: Send; close(): void } {
  const client = new Client(`127.0.0.1:${port}`, credentials.createInsecure(), {
    'grpc.use_local_subchannel_pool': 1,
    'grpc.max_receive_message_length': -1,
  });
  const metadata = new Metadata();
  return {
    send: (path, message) =>
      new Promise((resolve, reject) => {
        client.makeUnaryRequest(path, identity, identity, message, metadata, {}, (error, answer) => {
          if (error !== null || answer === undefined) reject(error);
          else resolve(answer);
        });
      }),
    close: () => client.close(),
  };
}

/** Calls over Connect and HTTP/1.1, on as many connections as there are calls at once. */
export function connectSender(port: number): { send: Send; close(): void } {
  const agent = new Agent({ keepAlive: true });
  return {
    send: (path, message) =>
      new Promise((resolve, reject) => {
        const headers = { 'content-type': 'application/proto', 'content-length': message.length };
        const call = request(
          { host: '127.0.0.1', port, path, method: 'POST', agent, headers },
          (response) => {
            const chunks: Buffer[] = [];
            response.on('data', (chunk: Buffer) => chunks.push(chunk));
            response.on('end', () => {
              if (response.statusCode === 200) resolve(Buffer.concat(chunks));
              else reject(new Error(`status ${response.statusCode}: ${Buffer.concat(chunks)}`));
            });
          },
        );
        call.on('error', reject);
        call.end(message);
      }),
    close: () => agent.destroy(),
  };
}

export interface Round {
  readonly calls: number;
  /** How long all of it took, in milliseconds. */
  readonly ms: number;
  readonly perSecond: number;
  /** How long each call took, in milliseconds. */
  readonly latencies: number[];
}

/** Sends all that lies ready. */
export const sendAll = (send: Send, path: string, lanes: readonly (readonly Buffer[])[]): Promise<Round> =>
  sendFor(send, path, lanes, Number.POSITIVE_INFINITY);

/** Sends what lies ready until it is all sent or the time is over. */
export async function sendFor(
  send: Send,
  path: string,
  lanes: readonly (readonly Buffer[])[],
  limitMs: number,
): Promise<Round> {
  const latencies: number[] = [];
  const begun = performance.now();
  await Promise.all(
    lanes.map(async (lane) => {
      for (const message of lane) {
        const sent = performance.now();
        if (sent - begun > limitMs) return;
        await send(path, message);
        latencies.push(performance.now() - sent);
      }
    }),
  );
  const calls = latencies.length;
  const ms = performance.now() - begun;
  return { calls, ms, perSecond: (calls / ms) * 1000, latencies };
}
