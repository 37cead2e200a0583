/**
 * Calls that outlive a session: tries again what is safe to try again, with the same bytes under a new number, and opens a new
 * session when one has ended. Every change of the contract may be done twice without harm, so a lost answer is settled by
 * asking again.
 */
import {
  create,
  type DescMessage,
  type DescMethodServerStreaming,
  type DescMethodUnary,
  fromBinary,
  type MessageInitShape,
  type MessageShape,
  toBinary,
} from '@bufbuild/protobuf';
import { ClosedError, SessionEndedError } from './errors.ts';
import type { Platform } from './platform.ts';
import { ATTEMPT_TIMEOUT_MS, waitOrGiveUp } from './public_call.ts';
import type { RetryPolicy } from './retry.ts';
import type { SealedRpc } from './sealed_rpcs.ts';
import { type SealedSession, SessionSpentError } from './sealed_session.ts';
import { CallFailure, toSealedCallError } from './server_failure.ts';
import type { VaultTransport } from './transport.ts';

/** How many times one call may open a new session. */
const MAXIMUM_REOPENINGS = 2;

/** Options of a call. */
export interface CallOptions {
  readonly signal?: AbortSignal | undefined;
  /** False for what must not be sent twice. Default: true. */
  readonly retry?: boolean;
}

/** Keeps one session usable for as long as it may open another. */
export class SessionKeeper {
  readonly #platform: Platform;
  readonly #transport: VaultTransport;
  readonly #retry: RetryPolicy;
  readonly #reopen: (() => Promise<SealedSession>) | undefined;
  #session: SealedSession;
  #reopening: Promise<SealedSession> | undefined;
  #waitFor: Promise<void> | undefined;
  #ended: Error | undefined;

  /** Without `reopen`, the end of the session is the end of the keeper: SessionEndedError. */
  constructor(parts: {
    platform: Platform;
    transport: VaultTransport;
    retry: RetryPolicy;
    session: SealedSession;
    reopen?: (() => Promise<SealedSession>) | undefined;
  }) {
    this.#platform = parts.platform;
    this.#transport = parts.transport;
    this.#retry = parts.retry;
    this.#session = parts.session;
    this.#reopen = parts.reopen;
  }

  /** The id of the session in use. */
  get sessionId(): string {
    return this.#session.id;
  }

  /** Goes on with another session. */
  adopt(session: SealedSession): void {
    this.#session.close();
    this.#session = session;
  }

  /** Calls made while the work runs wait for its end: what it does would end their session. */
  async whileWaiting<T>(work: () => Promise<T>): Promise<T> {
    const running = work();
    this.#waitFor = running.then(
      () => undefined,
      () => undefined,
    );
    try {
      return await running;
    } finally {
      this.#waitFor = undefined;
    }
  }

  /** Lets go of the keys; every later call throws `reason`. */
  close(reason: Error = new ClosedError()): void {
    this.#ended ??= reason;
    this.#session.close();
  }

  /**
   * Calls, and settles what gets lost. Throws ServerRefusalError for what the server refused, SessionEndedError,
   * UnavailableError after the last attempt, UntrustedAnswerError when an answer does not open.
   */
  async call<P extends DescMessage, R extends DescMessage>(
    rpc: SealedRpc<P, R, DescMethodUnary>,
    payload: MessageInitShape<P>,
    options: CallOptions = {},
  ): Promise<MessageShape<R>> {
    const bytes = toBinary(rpc.payload, create(rpc.payload, payload));
    const attempt = (session: SealedSession) =>
      session.send(rpc.method, bytes, { signal: options.signal, timeoutMs: ATTEMPT_TIMEOUT_MS });
    try {
      return fromBinary(rpc.result, await this.#persist(attempt, options));
    } finally {
      bytes.fill(0);
    }
  }

  /** One stream, in a session that is alive. Throws as SealedSession.stream, and SessionEndedError. */
  async *stream<P extends DescMessage, R extends DescMessage>(
    rpc: SealedRpc<P, R, DescMethodServerStreaming>,
    payload: MessageInitShape<P>,
    signal: AbortSignal,
  ): AsyncGenerator<MessageShape<R>, never> {
    const bytes = toBinary(rpc.payload, create(rpc.payload, payload));
    const session = await this.#usable(signal);
    try {
      for await (const message of session.stream(rpc.method, bytes, signal))
        yield fromBinary(rpc.result, message);
    } catch (error) {
      if (error instanceof CallFailure && error.saysSessionEnded) session.retire();
      throw this.#ended ?? error;
    }
    throw new ClosedError();
  }

  async #persist(
    attempt: (session: SealedSession) => Promise<Uint8Array>,
    { signal, retry = true }: CallOptions,
  ): Promise<Uint8Array> {
    let reopenings = 0;
    for (let count = 0; ; ) {
      const session = await this.#usable(signal);
      try {
        return await attempt(session);
      } catch (error) {
        if (this.#ended !== undefined) throw this.#ended;
        const gone =
          error instanceof SessionSpentError || (error instanceof CallFailure && error.saysSessionEnded);
        if (gone) {
          session.retire();
          reopenings += 1;
          if (!retry && !(error instanceof SessionSpentError)) throw new SessionEndedError(error);
          if (reopenings > MAXIMUM_REOPENINGS) throw new SessionEndedError(error);
          continue;
        }
        if (!(error instanceof CallFailure)) throw error;
        if (!retry) throw toSealedCallError(error);
        const context = { platform: this.#platform, transport: this.#transport, retry: this.#retry, signal };
        await waitOrGiveUp(context, error, count).catch((given) => {
          throw given instanceof CallFailure ? toSealedCallError(given) : given;
        });
        count += 1;
      }
    }
  }

  async #usable(signal: AbortSignal | undefined): Promise<SealedSession> {
    await this.#waitFor;
    signal?.throwIfAborted();
    if (this.#ended !== undefined) throw this.#ended;
    if (!this.#session.isSpent) return this.#session;
    if (this.#reopen === undefined) throw new SessionEndedError();
    // Calls side by side share one log-in.
    this.#reopening ??= this.#reopen()
      .then((session) => {
        if (this.#ended !== undefined) {
          session.close();
          throw this.#ended;
        }
        this.#session = session;
        return session;
      })
      .finally(() => {
        this.#reopening = undefined;
      });
    return this.#reopening;
  }
}
