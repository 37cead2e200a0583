/**
 * Structured logs on stderr. Only fields that are named here are written, and only numbers, short texts and errors in them:
 * what is not known to be harmless is not written, but its name is, so that whoever added it notices.
 */
import { destination, pino } from 'pino';

/** From the most to the least talkative. */
export const LOG_LEVELS = ['trace', 'debug', 'info', 'warn', 'error', 'fatal', 'silent'] as const;
/** One of them. */
export type LogLevel = (typeof LOG_LEVELS)[number];

/** The fields of a line beside its level, time and message. */
export interface LogFields {
  /** Written by serializeError. */
  readonly err?: unknown;
  /** The full name of a method, from the contract. */
  readonly rpc?: string;
  /** Made by the server. */
  readonly requestId?: string;
  /** The constant message of an error code. */
  readonly failure?: string;
  /** The process, its exit code and signal, of the embedded PostgreSQL. */
  readonly pid?: number;
  readonly code?: number | null;
  readonly signal?: string;
  /** Of a thread. */
  readonly exitCode?: number;
  /** Of a server key. */
  readonly keyId?: number;
  /** Of a file. */
  readonly bytes?: number;
  /** How long something took. */
  readonly milliseconds?: number;
  /** A table, rows of it, and how many it has. */
  readonly table?: string;
  readonly rows?: number;
  readonly of?: number;
  /** Major versions of PostgreSQL. */
  readonly from?: string;
  readonly to?: string;
}

const KNOWN_FIELDS: ReadonlySet<string> = new Set(
  Object.keys({
    err: 0,
    rpc: 0,
    requestId: 0,
    failure: 0,
    pid: 0,
    code: 0,
    signal: 0,
    exitCode: 0,
    keyId: 0,
    bytes: 0,
    milliseconds: 0,
    table: 0,
    rows: 0,
    of: 0,
    from: 0,
    to: 0,
  } satisfies Record<keyof LogFields, 0>),
);

/** Writes a line. The message is a constant: what varies goes into the fields. */
interface Write {
  (message: string): void;
  (fields: LogFields, message: string): void;
}

/** What the parts of the server log to. */
export type Logger = Readonly<Record<'debug' | 'info' | 'warn' | 'error', Write>>;

/** How far causes, and the errors within an error, are followed. */
const DEEPEST_CAUSE = 5;

/** A logger to stderr, or to `stream`; its level can be set. */
export function createLogger(
  level: LogLevel,
  stream: { write(line: string): void } = destination(2),
): Logger & { level: LogLevel } {
  const formatters = { log: knownFields };
  const logger = pino({ level, base: null, formatters, serializers: { err: serializeError } }, stream);
  return logger as Logger & { level: LogLevel };
}

/** The fields that may be written. Others are named in `dropped`. */
function knownFields(fields: Record<string, unknown>): Record<string, unknown> {
  const kept: Record<string, unknown> = {};
  const dropped: string[] = [];
  for (const [name, value] of Object.entries(fields)) {
    if (KNOWN_FIELDS.has(name) && (name === 'err' || isPlain(value))) kept[name] = value;
    else dropped.push(name);
  }
  return dropped.length === 0 ? kept : { ...kept, dropped };
}

function isPlain(value: unknown): boolean {
  return typeof value === 'string' || typeof value === 'number' || value === undefined || value === null;
}

/**
 * What a log keeps of an error: its name, message, codes and stack, and the same of its causes; never the properties that a
 * driver hangs on it, which hold values of rows. PostgreSQL's messages quote a value in one class of errors only, the data
 * exceptions (SQLSTATE 22): theirs are left out.
 */
export function serializeError(error: unknown): unknown {
  return serialize(error, 0);
}

function serialize(error: unknown, depth: number): unknown {
  if (error === undefined) return undefined;
  if (!(error instanceof Error)) return { name: typeof error };
  const { code, sqlState } = error as { code?: unknown; sqlState?: unknown };
  const quotesValues = typeof code === 'string' && /^22[0-9A-Z]{3}$/.test(code);
  const inner = depth >= DEEPEST_CAUSE ? [] : error instanceof AggregateError ? error.errors : [];
  return {
    name: error.name,
    ...(quotesValues ? {} : { message: error.message }),
    ...(typeof code === 'string' ? { code } : {}),
    ...(typeof sqlState === 'string' ? { sqlState } : {}),
    stack: framesOf(error),
    ...(error.cause === undefined || depth >= DEEPEST_CAUSE
      ? {}
      : { cause: serialize(error.cause, depth + 1) }),
    ...(inner.length === 0 ? {} : { errors: inner.map((each) => serialize(each, depth + 1)) }),
  };
}

/** The lines of a stack that say where; the first ones repeat the message. */
function framesOf({ stack = '' }: Error): string[] {
  return stack.split('\n').flatMap((line) => {
    const place = line.trim();
    return place.startsWith('at ') ? [place] : [];
  });
}
