/** Changes of single digits in a file of known answers. */

/** The keys and indexes that lead to a value. */
export type LeafPath = readonly (string | number)[];

/** Texts for people: nothing can be compared with them. */
const COMMENTS = new Set(['note', 'name']);
/** Bytes and 64-bit numbers, and UUIDs. */
const DIGITS = /^(?:[0-9a-f]+|[0-9a-f-]{36})$/;

/** The paths of all values that are written in hex digits. */
export function hexLeaves(value: unknown, path: LeafPath = []): LeafPath[] {
  if (typeof value === 'string') return DIGITS.test(value) ? [path] : [];
  if (typeof value !== 'object' || value === null) return [];
  return Object.entries(value).flatMap(([key, below]) =>
    COMMENTS.has(key) ? [] : hexLeaves(below, [...path, Array.isArray(value) ? Number(key) : key]),
  );
}

/** Changes one digit of the value at `leaf`, in place: `position` and `step` may be any whole numbers from 0. */
export function flipDigit(root: unknown, leaf: LeafPath, position: number, step: number): unknown {
  const parent = leaf.slice(0, -1).reduce((value, key) => (value as never)[key], root) as Record<
    string,
    string
  >;
  const key = String(leaf.at(-1));
  const digits = [...parent[key]!];
  const places = digits.flatMap((digit, i) => (digit === '-' ? [] : [i]));
  const place = places[position % places.length]!;
  const changed = (Number.parseInt(digits[place]!, 16) + 1 + (step % 15)) % 16;
  digits[place] = changed.toString(16);
  parent[key] = digits.join('');
  return root;
}
