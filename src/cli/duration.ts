/** Durations as people write them. */
import { InvalidArgumentError } from 'commander';

const UNITS: Readonly<Record<string, number>> = { m: 60, h: 3_600, d: 86_400 };
const LONGEST_SECONDS = 3_650 * 86_400;

/** `90m`, `12h` or `7d` in seconds. Throws InvalidArgumentError for anything else, for nothing and for more than ten years. */
export function parseDuration(text: string): number {
  const [, count, unit] = /^([1-9]\d{0,6})([mhd])$/.exec(text) ?? [];
  const seconds = count === undefined ? Number.NaN : Number(count) * UNITS[unit!]!;
  if (!(seconds <= LONGEST_SECONDS))
    throw new InvalidArgumentError('such as 90m, 12h or 7d, ten years at most.');
  return seconds;
}
