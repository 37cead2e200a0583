/** Counts and hashes rows of COPY's text format as they flow by: two tallies are equal when the rows are the same. */
import { createHash } from 'node:crypto';

/** What a tally came to. */
export interface Tallied {
  readonly rows: number;
  readonly bytes: number;
  /** Of the rows in the order in which they came, in hexadecimal digits. */
  readonly sha256: string;
}

/** A tally that is being kept. */
export class Tally {
  readonly #digest = createHash('sha256');
  #rows = 0;
  #bytes = 0;

  /** Rows so far. */
  get rows(): number {
    return this.#rows;
  }

  /** Takes a piece, cut anywhere. */
  add(piece: Buffer): void {
    this.#digest.update(piece);
    this.#bytes += piece.length;
    this.#rows += countRows(piece);
  }

  /** What it came to; nothing is added afterwards. */
  end(): Tallied {
    return { rows: this.#rows, bytes: this.#bytes, sha256: this.#digest.digest('hex') };
  }
}

/** Rows that end in a piece of COPY's text format, where a line feed within a value is written as `\n`. */
export function countRows(piece: Buffer): number {
  let rows = 0;
  for (let at = piece.indexOf(10); at >= 0; at = piece.indexOf(10, at + 1)) rows += 1;
  return rows;
}
