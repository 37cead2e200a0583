/** A peer that writes bytes of its own to a door, for requests that no proper client makes. */
import { once } from 'node:events';
import { connect, type Socket } from 'node:net';

export class RawPeer {
  readonly socket: Socket;
  /** Resolves when the connection is closed, by whomever. */
  readonly closed: Promise<void>;
  #received = Buffer.alloc(0);

  private constructor(socket: Socket) {
    this.socket = socket;
    this.closed = new Promise((resolve) => socket.once('close', () => resolve()));
    socket.on('error', () => {});
    socket.on('data', (chunk: Buffer) => {
      this.#received = Buffer.concat([this.#received, chunk]);
    });
  }

  static async connect(port: number): Promise<RawPeer> {
    const socket = connect({ port, host: '127.0.0.1' });
    const peer = new RawPeer(socket);
    await once(socket, 'connect');
    return peer;
  }

  /** All bytes so far, as Latin-1. */
  get received(): string {
    return this.#received.toString('latin1');
  }

  write(bytes: Uint8Array | string): void {
    this.socket.write(bytes);
  }

  /** Waits until what was received matches; rejects when the connection closes before. */
  async receive(pattern: RegExp): Promise<string> {
    while (!pattern.test(this.received)) {
      if (this.socket.destroyed) throw new Error(`closed after ${JSON.stringify(this.received)}`);
      await Promise.race([once(this.socket, 'data'), this.closed]);
    }
    return this.received;
  }

  destroy(): void {
    this.socket.destroy();
  }
}

/** The client connection preface of HTTP/2 with empty SETTINGS (RFC 9113 §3.4). */
export const HTTP2_PREFACE = Buffer.from(
  'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00\x00\x04\x00\x00\x00\x00\x00',
  'latin1',
);
