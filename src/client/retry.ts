/** When and how often a call is tried again: exponential back-off with full jitter, bounded. */

/** How patient the library is. */
export interface RetryPolicy {
  /** How often a call is sent in all. */
  readonly attempts: number;
  /** The longest first wait, in milliseconds; it doubles with every attempt. */
  readonly firstWaitMs: number;
  /** The longest wait, in milliseconds. A server that asks for a longer one is not waited for. */
  readonly longestWaitMs: number;
}

/** What callers get who name no policy: three seconds of waiting at most. */
export const DEFAULT_RETRY_POLICY: RetryPolicy = { attempts: 5, firstWaitMs: 200, longestWaitMs: 10_000 };

/**
 * How many milliseconds to wait before attempt `attempt` + 1 (the first attempt is 0); undefined to give up. `chance` is
 * from 0 up to 1: clients that failed together do not come back together. A wait that the server asked for is kept in full.
 */
export function waitBefore(
  attempt: number,
  policy: RetryPolicy,
  chance: number,
  retryAfterSeconds: number | undefined,
): number | undefined {
  if (attempt + 1 >= policy.attempts) return undefined;
  const asked = (retryAfterSeconds ?? 0) * 1000;
  if (asked > policy.longestWaitMs) return undefined;
  const backOff = Math.min(policy.longestWaitMs, policy.firstWaitMs * 2 ** attempt);
  return asked + backOff * chance;
}
