/**
 * The anti-replay window of 64 request numbers (RFC 4303 §3.4.3) on a value in memory. The database keeps the same
 * window in SQL (src/database/gate_statements.ts); this one serves while the database cannot write.
 */
import { REPLAY_WINDOW_NUMBERS } from '../protocol/sizes.ts';

/** Bit i of `window` says that number `highest - i` was seen. Nothing seen: highest -1, window 0. */
export interface ReplayWindow {
  readonly highest: bigint;
  /** 64 bits, unsigned. */
  readonly window: bigint;
}

const WINDOW_MASK = (1n << REPLAY_WINDOW_NUMBERS) - 1n;

/** Whether a number was seen or is too old to tell. */
export function isReplay({ highest, window }: ReplayWindow, requestNumber: bigint): boolean {
  if (requestNumber > highest) return false;
  if (requestNumber + REPLAY_WINDOW_NUMBERS <= highest) return true;
  return ((window >> (highest - requestNumber)) & 1n) === 1n;
}

/** Whether a number was certainly seen: false also where it is too old to tell. */
export function wasAccepted(seen: ReplayWindow, requestNumber: bigint): boolean {
  return requestNumber + REPLAY_WINDOW_NUMBERS > seen.highest && isReplay(seen, requestNumber);
}

/** The window after a number that is no replay was accepted. */
export function acceptNumber({ highest, window }: ReplayWindow, requestNumber: bigint): ReplayWindow {
  if (requestNumber <= highest) return { highest, window: window | (1n << (highest - requestNumber)) };
  const shift = requestNumber - highest;
  return {
    highest: requestNumber,
    window: shift >= REPLAY_WINDOW_NUMBERS ? 1n : ((window << shift) & WINDOW_MASK) | 1n,
  };
}

/** All that either of two windows of one session has seen and still can tell. */
export function mergeWindows(one: ReplayWindow, other: ReplayWindow): ReplayWindow {
  const [newer, older] = one.highest >= other.highest ? [one, other] : [other, one];
  const shift = newer.highest - older.highest;
  const carried = shift >= REPLAY_WINDOW_NUMBERS ? 0n : (older.window << shift) & WINDOW_MASK;
  return { highest: newer.highest, window: newer.window | carried };
}
