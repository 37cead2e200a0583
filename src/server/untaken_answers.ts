/**
 * Watches over answers that their peers do not take. Whoever asks and does not read costs memory, and keeps a connection at
 * work that waits for nothing but him: such a connection makes room for others, and all such answers of a door share a budget,
 * above which the connection that holds the most is cut.
 */
import type { Connection, ConnectionGuard } from './connection_guard.ts';

/** How often it is looked at what was taken, in milliseconds: an answer of several megabytes takes some 20 to make. */
const LOOK_MS = 250;

/** A response, or the HTTP/2 stream of one, as far as it tells how many of its bytes have not left. */
export interface Answer {
  readonly writableLength: number;
}

/** The answers of one door, looked at four times a second until `end`. */
export class UntakenAnswers {
  readonly #guard: Pick<ConnectionGuard, 'waitsForPeer'>;
  readonly #maxBytes: number;
  readonly #answers = new Map<Answer, Connection>();
  /** Bytes of the connections that held some at the last look. */
  #held = new Map<Connection, number>();
  readonly #timer: NodeJS.Timeout;

  /** `maxBytes`: what all answers together may hold. */
  constructor(guard: Pick<ConnectionGuard, 'waitsForPeer'>, maxBytes: number) {
    this.#guard = guard;
    this.#maxBytes = maxBytes;
    this.#timer = setInterval(() => this.look(), LOOK_MS);
    this.#timer.unref();
  }

  /** Watches over the answer to a request on a connection. Returns what is to be called once it has left, or never will. */
  watch(answer: Answer, connection: Connection): () => void {
    this.#answers.set(answer, connection);
    return () => void this.#answers.delete(answer);
  }

  /** Looks once. */
  look(): void {
    const held = new Map<Connection, number>();
    let total = 0;
    for (const [{ writableLength }, connection] of this.#answers) {
      if (writableLength === 0) continue;
      total += writableLength;
      held.set(connection, (held.get(connection) ?? 0) + writableLength);
    }
    for (const connection of this.#held.keys())
      if (!held.has(connection)) this.#guard.waitsForPeer(connection, false);
    for (const connection of held.keys())
      if (!this.#held.has(connection)) this.#guard.waitsForPeer(connection, true);
    this.#held = held;
    if (total <= this.#maxBytes) return;
    for (const [connection, bytes] of [...held].sort(([, one], [, other]) => other - one)) {
      connection.socket.destroy();
      total -= bytes;
      if (total <= this.#maxBytes) return;
    }
  }

  /** Looks no more. */
  end(): void {
    clearInterval(this.#timer);
  }
}
