/** A session with the server: numbers and seals requests, opens answers (docs/authentication.md, "Sealed requests"). */
import {
  create,
  type DescMethodServerStreaming,
  type DescMethodUnary,
  fromBinary,
  type MessageInitShape,
} from '@bufbuild/protobuf';
import { FailureSchema } from '../../gen/passmanager/common/v1/error_pb.ts';
import {
  type SecureRequest,
  SecureRequestSchema,
  type SecureResponse,
} from '../../gen/passmanager/common/v1/secure_pb.ts';
import { failureAad, methodPath, requestAad, responseAad, streamAad } from '../protocol/aad.ts';
import { deriveSessionKeys } from '../protocol/keys.ts';
import { importSealKey, open, type SealKey, seal } from '../protocol/seal.ts';
import { isUuid } from '../protocol/uuid.ts';
import { ClosedError, UntrustedAnswerError } from './errors.ts';
import type { Platform } from './platform.ts';
import { RequestWindow } from './request_window.ts';
import { CallFailure, clearFailure, sealedFailureOf } from './server_failure.ts';
import type { VaultTransport } from './transport.ts';

/** Thrown when a session has no number left or its time is over; nothing was sent. */
export class SessionSpentError extends Error {
  constructor() {
    super('the session is spent');
    this.name = 'SessionSpentError';
  }
}

/** What the server has in force for a session. */
export interface SessionLimits {
  /** -1n: unlimited. */
  readonly maximumRequests: bigint;
  /** -1n: unlimited. */
  readonly expirySeconds: bigint;
}

/** The keys of a session. WebCrypto keeps them; they cannot be exported. */
export interface SessionSealKeys {
  readonly clientToServer: SealKey;
  readonly serverToClient: SealKey;
}

/** Options of one attempt. */
export interface AttemptOptions {
  readonly signal?: AbortSignal | undefined;
  /** How long to wait for the answer, in milliseconds. */
  readonly timeoutMs?: number | undefined;
}

/** How long before its end a session is no longer used, in milliseconds: a request needs time on its way. */
const EXPIRY_MARGIN_MS = 2_000;

/** Derives the keys of a session from K, and overwrites K. */
export async function sessionSealKeys(sessionKey: Uint8Array): Promise<SessionSealKeys> {
  const { clientToServer, serverToClient } = deriveSessionKeys(sessionKey);
  const keys = {
    clientToServer: await importSealKey(clientToServer),
    serverToClient: await importSealKey(serverToClient),
  };
  for (const bytes of [sessionKey, clientToServer, serverToClient]) bytes.fill(0);
  return keys;
}

/** One session, with its keys: each request gets a number and a seal of its own. */
export class SealedSession {
  /** The session's id, in the server's words; public. */
  readonly id: string;
  readonly limits: SessionLimits;
  readonly #transport: VaultTransport;
  readonly #platform: Platform;
  readonly #window: RequestWindow;
  readonly #expiresAt: number;
  #keys: SessionSealKeys | undefined;
  #retired = false;

  /** `openedAt`: the platform's clock when the log-in was sent. Throws UntrustedAnswerError for an id that is no UUID. */
  constructor(parts: {
    transport: VaultTransport;
    platform: Platform;
    id: string;
    keys: SessionSealKeys;
    limits: SessionLimits;
    openedAt: number;
  }) {
    if (!isUuid(parts.id)) throw new UntrustedAnswerError('a session id that is no UUID');
    this.id = parts.id;
    this.limits = parts.limits;
    this.#transport = parts.transport;
    this.#platform = parts.platform;
    this.#keys = parts.keys;
    this.#window = new RequestWindow(parts.limits.maximumRequests);
    const { expirySeconds } = parts.limits;
    this.#expiresAt =
      expirySeconds === -1n ? Infinity : parts.openedAt + Number(expirySeconds) * 1000 - EXPIRY_MARGIN_MS;
  }

  /** Whether no further request can be sent. */
  get isSpent(): boolean {
    return this.#retired || this.#window.isSpent || this.#platform.now() >= this.#expiresAt;
  }

  /** No further request is sent; answers that are under way still open. */
  retire(): void {
    this.#retired = true;
  }

  /** Lets go of the keys, at once: answers that are under way no longer open. */
  close(): void {
    this.#keys = undefined;
  }

  /**
   * One attempt of a unary call: seals `payload` under the next number and opens the answer. Throws SessionSpentError when
   * nothing was sent, CallFailure when the server or the path refused, UntrustedAnswerError when the answer does not open.
   */
  async send(
    method: DescMethodUnary,
    payload: Uint8Array,
    options: AttemptOptions = {},
  ): Promise<Uint8Array> {
    const number = await this.#number(options.signal);
    try {
      const response = await this.#transport
        .unary(
          method,
          options.signal,
          options.timeoutMs,
          undefined,
          await this.#request(method, number, payload),
        )
        .catch((error: unknown) => this.#throwFailure(error, methodPath(method), number, options.signal));
      return await this.#open(response.message, responseAad(methodPath(method), this.id, number));
    } finally {
      this.#window.settle(number);
    }
  }

  /**
   * One attempt of a server stream: yields its messages as they open, in their order. It never ends by itself: it throws
   * CallFailure, verified when the server ended it and not verified when the path did.
   */
  async *stream(
    method: DescMethodServerStreaming,
    payload: Uint8Array,
    signal: AbortSignal,
  ): AsyncGenerator<Uint8Array, never> {
    const number = await this.#number(signal);
    const path = methodPath(method);
    try {
      const request = await this.#request(method, number, payload);
      const response = await this.#transport.stream(method, signal, undefined, undefined, once(request));
      let sequence = 0n;
      for await (const message of response.message) {
        const plaintext = await this.#open(message, streamAad(path, this.id, number, sequence));
        this.#window.settle(number);
        sequence += 1n;
        yield plaintext;
      }
    } catch (error) {
      if (error instanceof UntrustedAnswerError || error instanceof ClosedError) throw error;
      await this.#throwFailure(error, path, number, signal);
    } finally {
      this.#window.settle(number);
    }
    throw clearFailure(new Error('the stream ended without the server saying why'));
  }

  async #number(signal: AbortSignal | undefined): Promise<bigint> {
    if (this.#keys === undefined) throw new ClosedError();
    if (this.isSpent) throw new SessionSpentError();
    const number = await this.#window.take(signal);
    if (number === undefined) throw new SessionSpentError();
    return number;
  }

  async #request<M extends DescMethodUnary | DescMethodServerStreaming>(
    method: M,
    requestNumber: bigint,
    payload: Uint8Array,
  ): Promise<MessageInitShape<M['input']>> {
    const aad = requestAad(methodPath(method), this.id, requestNumber);
    const secure: SecureRequest = create(SecureRequestSchema, {
      sessionId: this.id,
      requestNumber,
      encryptedData: await seal(this.#sealKeys().clientToServer, payload, aad, this.#platform.random),
    });
    // Every sealed request of the contract is the envelope in a field of this name.
    return create(method.input, { secure } as never) as never;
  }

  async #open(message: object, aad: Uint8Array): Promise<Uint8Array> {
    const { secure } = message as { secure?: SecureResponse };
    if (secure === undefined) throw new UntrustedAnswerError('an answer without its envelope');
    try {
      return await open(this.#sealKeys().serverToClient, secure.encryptedData, aad);
    } catch (error) {
      if (error instanceof ClosedError) throw error;
      throw new UntrustedAnswerError('the answer does not open', error);
    }
  }

  /** Throws what an error means: the server's sealed word when it opens, what the path says otherwise. */
  async #throwFailure(
    error: unknown,
    path: string,
    number: bigint,
    signal: AbortSignal | undefined,
  ): Promise<never> {
    signal?.throwIfAborted();
    const failure = clearFailure(error);
    const sealed = sealedFailureOf(error);
    if (sealed === undefined) throw failure;
    let details: Uint8Array;
    try {
      details = await open(this.#sealKeys().serverToClient, sealed, failureAad(path, this.id, number));
    } catch {
      throw failure;
    }
    throw new CallFailure(failure.status, fromBinary(FailureSchema, details), {
      verified: true,
      cause: error,
    });
  }

  #sealKeys(): SessionSealKeys {
    if (this.#keys === undefined) throw new ClosedError();
    return this.#keys;
  }
}

async function* once<T>(value: T): AsyncGenerator<T> {
  yield value;
}
