/**
 * Bounds the memory of all request bodies that a door holds, finished or not: the libraries keep a body until its request
 * is answered, and bound only one message at a time. When the budget is exceeded, the unfinished body that holds the most
 * is cut, so who sends many and finishes none keeps nobody else out.
 */
import type { Readable } from 'node:stream';

/** A body from its first byte until its request is answered. */
interface Body {
  bytes: number;
  /** Cuts the request; undefined once the body is whole: it is being answered then. */
  cut: (() => void) | undefined;
}

/** The budget of one door. */
export class BodyBudget {
  readonly #maxBytes: number;
  readonly #bodies = new Set<Body>();
  #bytes = 0;

  /** `maxBytes`: what all bodies together may hold. */
  constructor(maxBytes: number) {
    this.#maxBytes = maxBytes;
  }

  /** What all bodies hold now, in bytes. */
  get heldBytes(): number {
    return this.#bytes;
  }

  /**
   * Counts what arrives for a request. `cut` ends the request when the budget is exceeded and this body is the largest
   * unfinished one. Returns what is to be called once the request is answered and its body free.
   */
  watch(request: Readable, cut: () => void): () => void {
    const body: Body = { bytes: 0, cut };
    this.#bodies.add(body);
    // Every chunk comes by push(), and null at the end; a listener for data would take it from the library that reads it.
    const push = request.push.bind(request);
    request.push = (chunk: Buffer | null, encoding?: BufferEncoding) => {
      if (chunk === null) body.cut = undefined;
      else this.#take(body, chunk.length);
      return push(chunk, encoding);
    };
    return () => this.#release(body);
  }

  #take(body: Body, bytes: number): void {
    // A body that was cut or answered holds nothing any more, whatever still comes.
    if (!this.#bodies.has(body)) return;
    body.bytes += bytes;
    this.#bytes += bytes;
    while (this.#bytes > this.#maxBytes) {
      const largest = this.#largestUnfinished();
      if (largest === undefined) return;
      this.#release(largest);
      largest.cut?.();
    }
  }

  #largestUnfinished(): Body | undefined {
    let largest: Body | undefined;
    for (const body of this.#bodies) {
      if (body.cut !== undefined && body.bytes > (largest?.bytes ?? 0)) largest = body;
    }
    return largest;
  }

  #release(body: Body): void {
    if (this.#bodies.delete(body)) this.#bytes -= body.bytes;
  }
}
