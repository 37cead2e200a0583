/** The other end of a sealed session, made up: opens what the client seals, and answers as a test says. */
import { create, type DescMethod, fromBinary, type Message, toBinary } from '@bufbuild/protobuf';
import { Code, ConnectError, type Transport } from '@connectrpc/connect';
import { type ErrorCode, FailureSchema } from '../../gen/passmanager/common/v1/error_pb.ts';
import { type SecureRequest, SecureResponseSchema } from '../../gen/passmanager/common/v1/secure_pb.ts';
import { completePlatform } from '../../src/client/platform.ts';
import { CHANGE_RPC, RPC, type SealedRpc } from '../../src/client/sealed_rpcs.ts';
import { SealedSession, sessionSealKeys } from '../../src/client/sealed_session.ts';
import { failureAad, methodPath, requestAad, responseAad, streamAad } from '../../src/protocol/aad.ts';
import { open, seal } from '../../src/protocol/seal.ts';

/** A request as the peer opened it. */
export interface SeenRequest {
  readonly method: string;
  readonly sessionId: string;
  readonly number: bigint;
  // biome-ignore lint/suspicious/noExplicitAny: a test knows which payload it sent.
  readonly payload: any;
  readonly bytes: Uint8Array;
}

/** What a test answers: an initialiser of the result, or an error to be thrown. */
export type Answer = (request: SeenRequest) => unknown;

/** The server's own word: a Failure that the peer seals. */
export class SealedRefusal extends Error {
  readonly code: ErrorCode;
  readonly field: string;
  readonly currentRevision: bigint | undefined;

  constructor(code: ErrorCode, field = 'request', currentRevision?: bigint) {
    super('sealed refusal');
    this.code = code;
    this.field = field;
    this.currentRevision = currentRevision;
  }
}

const RPCS: readonly SealedRpc[] = [...Object.values(RPC), ...Object.values(CHANGE_RPC)];
const random = (length: number) => crypto.getRandomValues(new Uint8Array(length));

/** A platform whose waits are over at once and are noted, and whose clock stands still until it is set. */
export function quickPlatform(clock: { now: number } = { now: 0 }) {
  const waits: number[] = [];
  const platform = completePlatform({
    argon2id: async () => new Uint8Array(32),
    now: () => clock.now,
    sleep: async (milliseconds, signal) => {
      waits.push(milliseconds);
      await new Promise((resolve) => setImmediate(resolve));
      signal?.throwIfAborted();
    },
  });
  return { platform, waits };
}

/** Rejects when the signal is aborted, as a transport does. */
function aborted(signal: AbortSignal | undefined): Promise<never> {
  return new Promise((_, reject) => {
    if (signal?.aborted) reject(signal.reason);
    signal?.addEventListener('abort', () => reject(signal.reason), { once: true });
  });
}

/** A session and the transport behind it. */
export async function sessionPeer(
  answer: Answer,
  options: {
    maximumRequests?: bigint;
    expirySeconds?: bigint;
    clock?: { now: number };
    id?: string;
    /** Changes the sealed body on its way back. */
    tamper?: (body: Uint8Array) => Uint8Array;
  } = {},
) {
  const seen: SeenRequest[] = [];
  const key = new Uint8Array(32).fill(7);
  const keys = await sessionSealKeys(key.slice());
  const { platform, waits } = quickPlatform(options.clock);
  const tamper = options.tamper ?? ((body) => body);

  async function opened(method: DescMethod, input: unknown): Promise<SeenRequest & { rpc: SealedRpc }> {
    const { sessionId, requestNumber, encryptedData } = (input as { secure: SecureRequest }).secure;
    const rpc = RPCS.find((one) => one.method === method)!;
    const aad = requestAad(methodPath(method), sessionId, requestNumber);
    const bytes = await open(keys.clientToServer, encryptedData, aad);
    const payload = fromBinary(rpc.payload, bytes);
    const request = { method: method.name, sessionId, number: requestNumber, payload, bytes };
    seen.push(request);
    return { ...request, rpc };
  }

  const sealed = async (sessionId: string, plaintext: Uint8Array, aad: Uint8Array) =>
    create(SecureResponseSchema, {
      sessionId,
      encryptedData: tamper(await seal(keys.serverToClient, plaintext, aad, random)),
    });

  async function refused(request: SeenRequest & { rpc: SealedRpc }, error: unknown): Promise<unknown> {
    if (!(error instanceof SealedRefusal)) return error;
    const { code, field, currentRevision } = error;
    const failure = create(FailureSchema, {
      errorList: [{ code, field, ...(currentRevision === undefined ? {} : { currentRevision }) }],
    });
    const aad = failureAad(methodPath(request.rpc.method), request.sessionId, request.number);
    const value = await sealed(request.sessionId, toBinary(FailureSchema, failure), aad);
    const outgoing = [{ desc: SecureResponseSchema, value }];
    const wired = new ConnectError('refused', Code.InvalidArgument, undefined, outgoing);
    wired.details = [{ type: SecureResponseSchema.typeName, value: toBinary(SecureResponseSchema, value) }];
    return wired;
  }

  const transport: Transport = {
    async unary(method, _signal, _timeoutMs, _header, input) {
      const request = await opened(method, input);
      try {
        const result = create(request.rpc.result, (await answer(request)) as never);
        const aad = responseAad(methodPath(method), request.sessionId, request.number);
        const secure = await sealed(request.sessionId, toBinary(request.rpc.result, result as Message), aad);
        return { message: create(method.output, { secure } as never) } as never;
      } catch (error) {
        throw await refused(request, error);
      }
    },
    async stream(method, signal, _timeoutMs, _header, input) {
      let first: unknown;
      for await (const message of input) first = message;
      const request = await opened(method, first);
      async function* messages() {
        let sequence = 0n;
        try {
          const results = ((await answer(request)) as AsyncIterable<object>)[Symbol.asyncIterator]();
          while (true) {
            const next = await Promise.race([results.next(), aborted(signal)]);
            if (next.done) return;
            const result = next.value;
            const bytes = toBinary(
              request.rpc.result,
              create(request.rpc.result, result as never) as Message,
            );
            const aad = streamAad(methodPath(method), request.sessionId, request.number, sequence);
            sequence += 1n;
            yield create(method.output, { secure: await sealed(request.sessionId, bytes, aad) } as never);
          }
        } catch (error) {
          throw await refused(request, error);
        }
      }
      return { message: messages() } as never;
    },
  };

  const openSession = (id: string = crypto.randomUUID()) =>
    new SealedSession({
      transport,
      platform,
      id,
      keys,
      limits: {
        maximumRequests: options.maximumRequests ?? -1n,
        expirySeconds: options.expirySeconds ?? -1n,
      },
      openedAt: platform.now(),
    });
  return { session: openSession(options.id), openSession, transport, platform, waits, seen };
}
