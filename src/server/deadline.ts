/** Deadlines as callers write them, brought under a cap: timers overflow at 2^31 ms, and nobody is served for days. */

/** Milliseconds a unit of `grpc-timeout` stands for (gRPC over HTTP/2, "Requests"). */
const UNIT_MS: Readonly<Record<string, number>> = {
  H: 3_600_000,
  M: 60_000,
  S: 1000,
  m: 1,
  u: 1e-3,
  n: 1e-6,
};

/**
 * A `grpc-timeout` header of at most `capMs` milliseconds: the same text when it asks for less, the cap when it asks for
 * more, undefined when it is not 1 to 8 digits and a unit.
 */
export function capGrpcTimeout(header: string, capMs: number): string | undefined {
  const parts = /^(\d{1,8})([HMSmun])$/.exec(header);
  if (parts === null) return undefined;
  return Number(parts[1]) * UNIT_MS[parts[2]!]! > capMs ? asGrpcTimeout(capMs) : header;
}

/** A `connect-timeout-ms` header of at most `capMs` milliseconds; undefined when it is not 1 to 10 digits. */
export function capConnectTimeout(header: string, capMs: number): string | undefined {
  if (!/^\d{1,10}$/.test(header)) return undefined;
  return Number(header) > capMs ? String(capMs) : header;
}

/** The format has eight digits; beyond 99,999,999 ms whole seconds are close enough. */
function asGrpcTimeout(ms: number): string {
  return ms <= 99_999_999 ? `${ms}m` : `${Math.floor(ms / 1000)}S`;
}
