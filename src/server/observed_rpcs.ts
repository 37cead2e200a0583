/** RPCs whose calls are measured. Without an observer nothing is wrapped, and nothing is measured. */
import { RpcError, RpcFailure, tableRow } from './errors.ts';
import type { Rpc, StreamingRpc, UnaryRpc } from './rpc.ts';

/** What is told of every call. */
export interface RpcObserver {
  /** `outcome`: OK, or the short code of the first reason, such as RQS01. */
  ended(path: string, seconds: number, outcome: string): void;
  streamOpened(path: string): void;
  streamEnded(path: string, outcome: string): void;
}

/** The RPCs, each telling the observer. */
export function observedRpcs(rpcs: readonly Rpc[], observer: RpcObserver): Rpc[] {
  return rpcs.map((rpc) =>
    rpc.kind === 'unary' ? observedUnary(rpc, observer) : observedStream(rpc, observer),
  );
}

function observedUnary(rpc: UnaryRpc, observer: RpcObserver): UnaryRpc {
  return {
    ...rpc,
    async call(request, context) {
      const begin = performance.now();
      let outcome = 'OK';
      try {
        return await rpc.call(request, context);
      } catch (error) {
        outcome = outcomeOf(error);
        throw error;
      } finally {
        observer.ended(rpc.path, (performance.now() - begin) / 1_000, outcome);
      }
    },
  };
}

function observedStream(rpc: StreamingRpc, observer: RpcObserver): StreamingRpc {
  return {
    ...rpc,
    async *call(request, context) {
      observer.streamOpened(rpc.path);
      let outcome = 'OK';
      try {
        yield* rpc.call(request, context);
      } catch (error) {
        outcome = outcomeOf(error);
        throw error;
      } finally {
        observer.streamEnded(rpc.path, outcome);
      }
    },
  };
}

/** A label of a bounded set: no text of a caller is in it. */
export function outcomeOf(error: unknown): string {
  const failure = error instanceof RpcError ? error.cause : undefined;
  return failure instanceof RpcFailure ? tableRow(failure.errors[0]!.code).short : 'SVR00';
}
