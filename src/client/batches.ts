/** What one call of the contract takes and answers at most, and splitting what a caller hands over accordingly. */

/** The most entries a call. */
export const MAXIMUM_BATCH_ENTRIES = 500;
/** The most bytes of entries a call: a message has 4 MiB, and its envelope and ids want room. */
export const MAXIMUM_BATCH_BYTES = 3 * 1024 * 1024;

/** The most entries of a page. The server ends pages early where they would grow too large. */
export const MAXIMUM_PAGE_ENTRIES = 1000;

/** The items in order, in groups of at most 500 and 3 MiB. An item that is larger goes alone. */
export function* batchesOf<T>(items: readonly T[], bytesOf: (item: T) => number): Generator<T[]> {
  let batch: T[] = [];
  let bytes = 0;
  for (const item of items) {
    const size = bytesOf(item);
    if (batch.length > 0 && (batch.length === MAXIMUM_BATCH_ENTRIES || bytes + size > MAXIMUM_BATCH_BYTES)) {
      yield batch;
      batch = [];
      bytes = 0;
    }
    batch.push(item);
    bytes += size;
  }
  if (batch.length > 0) yield batch;
}
