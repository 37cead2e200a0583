/** How many of something are open for each of many keys, as connections of a network are. A key that has none takes no room. */
export class OpenCounts {
  readonly #counts = new Map<string, number>();

  /** How many are open for a key. */
  of(key: string): number {
    return this.#counts.get(key) ?? 0;
  }

  /** One more for a key, or one less, after it was one more. */
  add(key: string, more: 1 | -1): void {
    const open = this.of(key) + more;
    if (open === 0) this.#counts.delete(key);
    else this.#counts.set(key, open);
  }

  /** How many keys have any open. */
  get size(): number {
    return this.#counts.size;
  }
}
