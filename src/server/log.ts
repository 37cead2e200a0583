/**
 * Structured logs on stderr. Only what is named here is written of an error: its name, message, codes and stack, and the
 * same of its cause; never the properties that a driver hangs on it, which hold values.
 */
import { destination, type Logger, pino } from 'pino';

export type { Logger };

/** From the most to the least talkative. */
export const LOG_LEVELS = ['trace', 'debug', 'info', 'warn', 'error', 'fatal', 'silent'] as const;
export type LogLevel = (typeof LOG_LEVELS)[number];

/** What a log keeps of an error. */
export function serializeError(error: unknown): unknown {
  if (!(error instanceof Error)) return error === undefined ? undefined : { name: typeof error };
  const { code, sqlState } = error as { code?: unknown; sqlState?: unknown };
  return {
    name: error.name,
    message: error.message,
    ...(typeof code === 'string' ? { code } : {}),
    ...(typeof sqlState === 'string' ? { sqlState } : {}),
    stack: error.stack,
    ...(error.cause === undefined ? {} : { cause: serializeError(error.cause) }),
  };
}

/** A logger to stderr, or to `stream`. */
export function createLogger(
  level: LogLevel,
  stream: { write(line: string): void } = destination(2),
): Logger {
  return pino({ level, base: null, serializers: { err: serializeError } }, stream);
}
