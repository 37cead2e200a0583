/** A transport that keeps count of what comes back, and every sealed request that was answered, to send it once more. */
import { Code, ConnectError, type Transport } from '@connectrpc/connect';
import { ErrorCode, FailureSchema } from '../../gen/passmanager/common/v1/error_pb.ts';
import { type SecureRequest, SecureResponseSchema } from '../../gen/passmanager/common/v1/secure_pb.ts';
import { markConfidential, type VaultTransport } from '../../src/client/node.ts';

/** What an attempt came to: the server's code, or `path` for what nobody of ours said. */
export type Outcome = 'ok' | 'SVR01' | 'SVR03' | 'RQS01' | 'other' | 'path';

type Unary = Transport['unary'];

/** A sealed request as it went over the wire. */
interface Recorded {
  readonly name: string;
  /** Sends the same bytes again. */
  again(): Promise<Outcome>;
}

export class Wire {
  readonly transport: VaultTransport;
  readonly counts: Record<Outcome, number> = { ok: 0, SVR01: 0, SVR03: 0, RQS01: 0, other: 0, path: 0 };
  /** Sessions that sealed requests named. */
  readonly sessions = new Set<string>();
  /** What was answered while `recording`. */
  readonly recorded: Recorded[] = [];
  recording = false;

  constructor(transport: Transport, url: string) {
    const send = transport.unary.bind(transport);
    const unary = (async (...call: Parameters<Unary>) => {
      const [method, , , , input] = call;
      const { secure } = input as { secure?: SecureRequest };
      if (secure !== undefined) this.sessions.add(secure.sessionId);
      try {
        const response = await send(...call);
        this.counts.ok += 1;
        if (this.recording && secure !== undefined)
          this.recorded.push({
            name: method.name,
            again: () =>
              send(method, undefined, 5_000, undefined, input).then(
                (): Outcome => 'ok',
                (error: unknown) => outcomeOf(error),
              ),
          });
        return response;
      } catch (error) {
        this.counts[outcomeOf(error)] += 1;
        throw error;
      }
    }) as Unary;
    this.transport = markConfidential({ unary, stream: transport.stream.bind(transport) }, url);
  }

  /** Attempts that failed. */
  get failures(): number {
    const { ok: _, ...failed } = this.counts;
    return Object.values(failed).reduce((sum, count) => sum + count, 0);
  }
}

function outcomeOf(error: unknown): Outcome {
  const status = ConnectError.from(error, Code.Unavailable);
  const code = status.findDetails(FailureSchema)[0]?.errorList[0]?.code;
  if (code === ErrorCode.OUTCOME_UNKNOWN) return 'SVR03';
  if (code === ErrorCode.NOT_DECRYPTED) return 'RQS01';
  const isSealed = status.findDetails(SecureResponseSchema).length > 0;
  if (code === ErrorCode.TEMPORARY_OUTAGE || (isSealed && status.code === Code.Unavailable)) return 'SVR01';
  return code === undefined && !isSealed ? 'path' : 'other';
}
