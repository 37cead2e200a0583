/** A place in a file of known answers, which remembers which of its values were looked at. */
import { bytesToHex, hexToBytes } from '../../src/protocol/bytes.ts';

const HEX = /^(?:[0-9a-f]{2})*$/;
const DECIMAL = /^(?:0|-?[1-9][0-9]*)$/;

export class Vector {
  readonly path: string;
  readonly #value: unknown;
  readonly #read: Set<string>;

  constructor(value: unknown, path = '', read = new Set<string>()) {
    this.path = path;
    this.#value = value;
    this.#read = read;
  }

  /** The member of an object. Throws where there is none. */
  get(key: string): Vector {
    const value = this.#value;
    if (typeof value !== 'object' || value === null || !Object.hasOwn(value, key)) this.fail(`has no ${key}`);
    return new Vector((value as Record<string, unknown>)[key], `${this.path}.${key}`, this.#read);
  }

  /** The items of a list. */
  items(): Vector[] {
    if (!Array.isArray(this.#value)) this.fail('is not a list');
    return this.#value.map((item, i) => new Vector(item, `${this.path}[${i}]`, this.#read));
  }

  text(): string {
    if (typeof this.#value !== 'string') this.fail('is not a text');
    return this.#leaf(this.#value);
  }

  number(): number {
    if (!Number.isInteger(this.#value)) this.fail('is not a whole number');
    return this.#leaf(this.#value as number);
  }

  /** A 64-bit number, which stands as a decimal text. */
  bigint(): bigint {
    const text = this.text();
    if (!DECIMAL.test(text)) this.fail('is not a decimal number');
    return BigInt(text);
  }

  bytes(): Uint8Array {
    const text = this.text();
    if (!HEX.test(text)) this.fail('is not lower-case hex');
    return hexToBytes(text);
  }

  /** Throws unless this value is what was computed. */
  is(computed: Uint8Array | string | number): void {
    const known = typeof computed === 'number' ? this.number() : this.text();
    const shown = computed instanceof Uint8Array ? bytesToHex(computed) : computed;
    if (known !== shown) this.fail(`is ${JSON.stringify(known)}, computed was ${JSON.stringify(shown)}`);
  }

  /** Throws unless `refusal` throws an error with this reason. */
  async refused(reason: string, refusal: () => unknown): Promise<void> {
    try {
      await refusal();
    } catch (error) {
      if ((error as { reason?: unknown }).reason === reason) return;
      throw error;
    }
    this.fail(`was not refused as ${reason}`);
  }

  fail(complaint: string): never {
    throw new Error(`vector ${this.path} ${complaint}`);
  }

  /** The paths of all values that nobody looked at. */
  unread(): string[] {
    if (typeof this.#value !== 'object' || this.#value === null)
      return this.#read.has(this.path) ? [] : [this.path];
    const below = Array.isArray(this.#value)
      ? this.items()
      : Object.keys(this.#value).map((key) => this.get(key));
    return below.flatMap((vector) => vector.unread());
  }

  #leaf<T>(value: T): T {
    this.#read.add(this.path);
    return value;
  }
}
