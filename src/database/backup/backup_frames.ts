/**
 * What is inside a backup: frames of `type (1 byte) | length (4 bytes, big-endian) | payload`. First the manifest, then for
 * each of its tables rows in PostgreSQL's COPY text format and a summary, then the end. docs/backup_format.md has the whole.
 */
import { DamagedBackupError, NewerBackupError } from './backup_errors.ts';

/** What a backup is, before its tables. */
export interface Manifest {
  readonly version: 1;
  /** ISO 8601. */
  readonly madeAt: string;
  /** Migrations that the database had run, in order. */
  readonly migrations: readonly string[];
  /** The 32 bytes of the key file, in hexadecimal digits. */
  readonly keyFile: string;
  readonly tables: readonly {
    readonly name: string;
    readonly columns: readonly string[];
    readonly rows: number;
  }[];
}

/** What a table was, after its rows. */
export interface TableSummary {
  readonly table: string;
  readonly rows: number;
  /** Of the rows as they are in the backup. */
  readonly bytes: number;
  readonly sha256: string;
}

/** A part of a backup: its type and what its payload says. */
export type Frame =
  | { readonly type: 'manifest'; readonly manifest: Manifest }
  | { readonly type: 'rows'; readonly bytes: Buffer }
  | { readonly type: 'summary'; readonly summary: TableSummary }
  | { readonly type: 'end' };

const TYPES = { manifest: 1, rows: 2, summary: 3, end: 4 } as const;
const HEAD_BYTES = 5;

/** The longest payload that is read: rows are cut into frames at row or message borders far below it. In bytes. */
const LONGEST_BYTES = 64 * 2 ** 20;

/** A frame as bytes. */
export function encodeFrame(frame: Frame): Buffer {
  const payload = payloadOf(frame);
  const head = Buffer.alloc(HEAD_BYTES);
  head.writeUInt8(TYPES[frame.type]);
  head.writeUInt32BE(payload.length, 1);
  return Buffer.concat([head, payload]);
}

/** The frames of bytes that come in any pieces. Throws DamagedBackupError when they end before the end. */
export async function* decodeFrames(source: AsyncIterable<Buffer>): AsyncGenerator<Frame> {
  let pieces: Buffer[] = [];
  let size = 0;
  let needed = HEAD_BYTES;
  let ended = false;
  for await (const piece of source) {
    pieces.push(piece);
    size += piece.length;
    // Joined once a frame is there, and not at every piece: a long frame comes in thousands.
    if (size < needed && !ended) continue;
    let held = Buffer.concat(pieces, size);
    for (;;) {
      if (ended && held.length > 0) throw new DamagedBackupError('there is more after its end');
      needed = HEAD_BYTES;
      if (held.length < needed) break;
      const length = held.readUInt32BE(1);
      if (length > LONGEST_BYTES) throw new DamagedBackupError('a part of it has an impossible length');
      needed += length;
      if (held.length < needed) break;
      const frame = decode(held.readUInt8(0), held.subarray(HEAD_BYTES, HEAD_BYTES + length));
      held = held.subarray(HEAD_BYTES + length);
      ended = frame.type === 'end';
      yield frame;
    }
    pieces = [held];
    size = held.length;
  }
  if (!ended || size > 0) throw new DamagedBackupError('it ends early');
}

function payloadOf(frame: Frame): Buffer {
  switch (frame.type) {
    case 'manifest':
      return Buffer.from(JSON.stringify(frame.manifest));
    case 'rows':
      return frame.bytes;
    case 'summary':
      return Buffer.from(JSON.stringify(frame.summary));
    case 'end':
      return Buffer.alloc(0);
  }
}

function decode(type: number, payload: Buffer): Frame {
  switch (type) {
    case TYPES.manifest: {
      const manifest = parsed(payload) as { version?: number };
      if (manifest.version !== 1) throw new NewerBackupError(`contents of version ${manifest.version}`);
      return { type: 'manifest', manifest: manifest as Manifest };
    }
    case TYPES.rows:
      return { type: 'rows', bytes: payload };
    case TYPES.summary:
      return { type: 'summary', summary: parsed(payload) as TableSummary };
    case TYPES.end:
      return { type: 'end' };
    default:
      throw new NewerBackupError(`a frame of type ${type}`);
  }
}

function parsed(payload: Buffer): unknown {
  try {
    return JSON.parse(payload.toString('utf8'));
  } catch {
    throw new DamagedBackupError('its description cannot be read');
  }
}
