/**
 * Slips of the pen in values that are there to be refused. A digit of N that is wrong makes another number above N, which
 * is refused as well, so that comparing cannot find it; but a value one digit away from a boundary was meant to be the
 * boundary.
 */
import { bytesToHex } from '../../src/protocol/bytes.ts';
import { GROUP, padGroupElement } from '../../src/protocol/srp.ts';
import type { Vector } from './vector.ts';

const { N } = GROUP;
const BOUNDARIES = [0n, 1n, N - 1n, N, N + 1n].map((boundary) => bytesToHex(padGroupElement(boundary)));
const UNIFORM_BYTES = Array.from({ length: 256 }, (_, byte) => byte.toString(16).padStart(2, '0'));

/** Below this length, in hex digits, most values are one digit away from a uniform one. */
const TELLING_DIGITS = 32;

/** Throws when a value is there twice. */
export function requireDistinct(vectors: readonly Vector[]): void {
  const seen = new Set<string>();
  for (const vector of vectors) {
    if (seen.has(vector.text())) vector.fail('is there twice');
    seen.add(vector.text());
  }
}

/** Throws when a group element is a misspelt 0, 1, N-1, N or N+1. */
export function requireWellSpelt(vector: Vector): void {
  requireNoSlip(vector, BOUNDARIES);
}

/** Throws when broken padding is one digit away from the same byte all over. */
export function requireWellSpeltPadding(vector: Vector): void {
  const { length } = vector.text();
  if (length < TELLING_DIGITS) return;
  requireNoSlip(
    vector,
    UNIFORM_BYTES.map((byte) => byte.repeat(length / 2)),
  );
}

function requireNoSlip(vector: Vector, meant: readonly string[]): void {
  const written = vector.text();
  if (meant.includes(written)) return;
  if (meant.some((text) => differingDigits(text, written) === 1)) vector.fail('has one wrong digit');
}

function differingDigits(one: string, other: string): number {
  if (one.length !== other.length) return Number.POSITIVE_INFINITY;
  let differing = 0;
  for (let i = 0; i < one.length; i++) if (one[i] !== other[i]) differing++;
  return differing;
}
