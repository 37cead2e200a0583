/** Calls without a session: their messages and failures are in clear, so a failure is only ever what the path says. */
import type { DescMessage, DescMethodUnary, MessageInitShape, MessageShape } from '@bufbuild/protobuf';
import type { Platform } from './platform.ts';
import { type RetryPolicy, waitBefore } from './retry.ts';
import { type CallFailure, clearFailure } from './server_failure.ts';
import type { VaultTransport } from './transport.ts';

/** How long one attempt may take, in milliseconds. */
export const ATTEMPT_TIMEOUT_MS = 30_000;

/** What every call needs. */
export interface CallContext {
  readonly platform: Platform;
  readonly transport: VaultTransport;
  readonly retry: RetryPolicy;
  readonly signal?: AbortSignal | undefined;
}

/** One attempt. Throws CallFailure, or the reason of the signal. */
export async function callOnce<I extends DescMessage, O extends DescMessage>(
  { transport, signal }: CallContext,
  method: DescMethodUnary<I, O>,
  request: MessageInitShape<I>,
): Promise<MessageShape<O>> {
  try {
    return (await transport.unary(method, signal, ATTEMPT_TIMEOUT_MS, undefined, request)).message;
  } catch (error) {
    signal?.throwIfAborted();
    throw clearFailure(error);
  }
}

/** As callOnce, and tries again what failed for the time being. For calls that do no harm when done twice. */
export async function callPublic<I extends DescMessage, O extends DescMessage>(
  context: CallContext,
  method: DescMethodUnary<I, O>,
  request: MessageInitShape<I>,
): Promise<MessageShape<O>> {
  for (let attempt = 0; ; attempt += 1) {
    try {
      return await callOnce(context, method, request);
    } catch (error) {
      await waitOrGiveUp(context, error, attempt);
    }
  }
}

/** Waits before the next attempt; throws `error` when it is not temporary or no attempt is left. */
export async function waitOrGiveUp(context: CallContext, error: unknown, attempt: number): Promise<void> {
  const failure = error as Partial<CallFailure>;
  const { random, sleep } = context.platform;
  const chance = random(1)[0]! / 256;
  const wait = failure.isTemporary
    ? waitBefore(attempt, context.retry, chance, failure.retryAfterSeconds)
    : undefined;
  if (wait === undefined) throw error;
  await sleep(wait, context.signal);
}
