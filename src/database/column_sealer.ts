/**
 * Seals columns at rest: `key id (4 bytes) | nonce (12) | tag (16) | ciphertext` under a key of its own for every column
 * and server key. The associated data names table, column and row, so that no value can be moved.
 */
import { createSecretKey, type KeyObject } from 'node:crypto';
import { concatBytes, frame, hkdf, u32 } from '../protocol/bytes.ts';
import { openSync, SealBrokenError, sealSync } from './aead.ts';

/** Length of the key id before a sealed value, in bytes. */
export const KEY_ID_BYTES = 4;

/** A value under a server key that this process has not learnt of yet. */
export class UnknownKeyError extends SealBrokenError {
  constructor() {
    super();
    this.name = 'UnknownKeyError';
  }
}

/** Seals and opens columns under the server keys that it was given last. */
export class ColumnSealer {
  #serverKeys!: ReadonlyMap<number, Uint8Array>;
  #currentId!: number;
  readonly #columnKeys = new Map<string, KeyObject>();

  /** `serverKeys`: 32 bytes by id; `currentId` seals, the others only open. Throws RangeError when it is not among them. */
  constructor(serverKeys: ReadonlyMap<number, Uint8Array>, currentId: number) {
    this.useKeys(serverKeys, currentId);
  }

  /** Takes other server keys from now on. Parameters and error as the constructor's. */
  useKeys(serverKeys: ReadonlyMap<number, Uint8Array>, currentId: number): void {
    if (!serverKeys.has(currentId)) throw new RangeError('the current key is not among the keys');
    this.#serverKeys = serverKeys;
    this.#currentId = currentId;
    this.#columnKeys.clear();
  }

  /** The id of the key that seals. */
  get currentId(): number {
    return this.#currentId;
  }

  /** The ids of all keys, ascending. */
  get ids(): number[] {
    return [...this.#serverKeys.keys()].sort((one, other) => one - other);
  }

  /** The stored value: 32 bytes longer than the plaintext. */
  seal(table: string, column: string, rowId: string, plaintext: Uint8Array): Buffer {
    const id = u32(this.#currentId);
    const key = this.#columnKey(this.#currentId, table, column)!;
    return Buffer.from(
      concatBytes(id, sealSync(key, plaintext, frame('passmanager/v1 column', table, column, rowId))),
    );
  }

  /** The plaintext of a stored value. Throws SealBrokenError for another row's or column's value, and its kind UnknownKeyError. */
  open(table: string, column: string, rowId: string, stored: Uint8Array): Buffer {
    if (stored.length < KEY_ID_BYTES) throw new SealBrokenError();
    const id = new DataView(stored.buffer, stored.byteOffset, KEY_ID_BYTES).getUint32(0);
    const key = this.#columnKey(id, table, column);
    if (key === undefined) throw new UnknownKeyError();
    return openSync(key, stored.subarray(KEY_ID_BYTES), frame('passmanager/v1 column', table, column, rowId));
  }

  #columnKey(id: number, table: string, column: string): KeyObject | undefined {
    const label = `passmanager/v1 column ${table}.${column}`;
    const name = `${id} ${label}`;
    const known = this.#columnKeys.get(name);
    if (known !== undefined) return known;
    const serverKey = this.#serverKeys.get(id);
    if (serverKey === undefined) return undefined;
    const key = createSecretKey(hkdf(serverKey, label));
    this.#columnKeys.set(name, key);
    return key;
  }
}
