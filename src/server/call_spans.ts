/**
 * Spans of calls, by the semantic conventions of OpenTelemetry (1.45, RPC and database): one for a call, and one below it for
 * each statement, transaction and piece of arithmetic that it waits for. Attributes are names of the program and of the
 * contract, codes, and the request's id of the log: never a name, a hash, a session, an entry or an address of anybody.
 */
import { AsyncLocalStorage } from 'node:async_hooks';
import {
  type Attributes,
  type Context,
  ROOT_CONTEXT,
  type Span,
  type SpanContext,
  SpanKind,
  type SpanOptions,
  SpanStatusCode,
  TraceFlags,
  type Tracer,
  trace,
} from '@opentelemetry/api';
import { parseTraceParent } from '@opentelemetry/core';
import type { Around, WorkKind } from '../database/around.ts';
import { DatabaseFault } from '../database/sqlstate.ts';
import { statementSummary } from '../database/statement_summary.ts';
import type { CallSampling } from './call_sampling.ts';
import { RpcError, RpcFailure, statusName } from './errors.ts';
import { outcomeOf } from './observed_rpcs.ts';
import type { CallContext, Rpc, StreamingRpc, UnaryRpc } from './rpc.ts';

/** Spans below one call. What comes after is counted. */
const MAX_SPANS_BELOW = 64;

/** The header has 55 characters; a later version of it may have more behind them. */
const MAX_TRACEPARENT_CHARACTERS = 256;

/** A call that is traced. */
interface TracedCall {
  readonly span: Span;
  spansBelow: number;
}

/** Where in a traced call the program is. */
interface Place {
  readonly call: TracedCall;
  /** Holds the span that what begins now lies below. */
  readonly context: Context;
}

/** Makes spans of calls, and of what they wait for. */
export class CallSpans {
  readonly #tracer: Tracer;
  readonly #sampling: CallSampling;
  readonly #places = new AsyncLocalStorage<Place>();

  constructor(tracer: Tracer, sampling: CallSampling) {
    this.#tracer = tracer;
    this.#sampling = sampling;
  }

  /** The RPCs, each with a span for the calls that are sampled. A stream has one from its opening to its end, and none below. */
  traced(rpcs: readonly Rpc[]): Rpc[] {
    return rpcs.map((rpc) => (rpc.kind === 'unary' ? this.#unary(rpc) : this.#stream(rpc)));
  }

  /** A span below that of the call which waits for this work; none outside of a traced call. */
  readonly around: Around = async (kind, detail, run) => {
    const place = this.#places.getStore();
    if (place === undefined || !place.call.span.isRecording()) return run();
    const { call, context } = place;
    call.spansBelow += 1;
    if (call.spansBelow > MAX_SPANS_BELOW) return run();
    const span = this.#tracer.startSpan(...spanOf(kind, detail), context);
    try {
      return await this.#places.run({ call, context: trace.setSpan(context, span) }, run);
    } catch (error) {
      fail(span, error);
      throw error;
    } finally {
      span.end();
    }
  };

  #unary(rpc: UnaryRpc): UnaryRpc {
    const inPlace = async <T>(place: Place, run: () => Promise<T>): Promise<T> => {
      let error: unknown;
      try {
        return await this.#places.run(place, run);
      } catch (thrown) {
        error = thrown;
        throw thrown;
      } finally {
        end(place.call, error);
      }
    };
    return {
      ...rpc,
      call: (request, context) => {
        const place = this.#begin(rpc, context);
        return place === undefined
          ? rpc.call(request, context)
          : inPlace(place, () => rpc.call(request, context));
      },
    };
  }

  #stream(rpc: StreamingRpc): StreamingRpc {
    const begin = (context: CallContext) => this.#begin(rpc, context);
    return {
      ...rpc,
      async *call(request, context) {
        const place = begin(context);
        let error: unknown;
        try {
          yield* rpc.call(request, context);
        } catch (thrown) {
          error = thrown;
          throw thrown;
        } finally {
          if (place !== undefined) end(place.call, error);
        }
      },
    };
  }

  /** Undefined: the call is not traced. */
  #begin(rpc: Rpc, context: CallContext): Place | undefined {
    const parent = parentOf(context.traceparent);
    const asked = parent && (parent.traceFlags & TraceFlags.SAMPLED) !== 0;
    if (!this.#sampling.takes(asked)) return undefined;
    const name = rpc.path.slice(1);
    const above = parent === undefined ? ROOT_CONTEXT : trace.setSpanContext(ROOT_CONTEXT, parent);
    const attributes = {
      'rpc.system.name': context.protocol === 'connect' ? 'connectrpc' : 'grpc',
      'rpc.method': name,
      'passmanager.request_id': context.requestId,
    };
    const span = this.#tracer.startSpan(name, { kind: SpanKind.SERVER, attributes }, above);
    return { call: { span, spansBelow: 0 }, context: trace.setSpan(above, span) };
  }
}

/** What a caller says of its own trace. Its `tracestate` is not read: that is text of anybody's. */
function parentOf(traceparent: string | undefined): SpanContext | undefined {
  if (traceparent === undefined || traceparent.length > MAX_TRACEPARENT_CHARACTERS) return undefined;
  const parent = parseTraceParent(traceparent);
  return parent === null ? undefined : { ...parent, isRemote: true };
}

/** Name and options of a span below a call. */
function spanOf(kind: WorkKind, detail: string): [string, SpanOptions] {
  if (kind === 'srp') return [`srp ${detail}`, { kind: SpanKind.INTERNAL }];
  const name = kind === 'statement' ? statementSummary(detail) : kind;
  const attributes = {
    'db.system.name': 'postgresql',
    ...(kind === 'statement' ? { 'db.query.summary': name } : {}),
  };
  return [name, { kind: SpanKind.CLIENT, attributes }];
}

/** Marks a span below a call as failed. A refusal that was thrown through a transaction is no failure of the database. */
function fail(span: Span, error: unknown): void {
  if (error instanceof RpcFailure) return;
  span.setStatus({ code: SpanStatusCode.ERROR });
  if (!(error instanceof DatabaseFault)) {
    span.setAttribute('error.type', '_OTHER');
    return;
  }
  span.setAttribute('error.type', error.kind);
  if (error.sqlState !== undefined) span.setAttribute('db.response.status_code', error.sqlState);
}

/** Ends the span of a call. An error of the span is what the server failed at, not what a caller was refused. */
function end({ span, spansBelow }: TracedCall, error: unknown): void {
  const outcome = error === undefined ? 'OK' : outcomeOf(error);
  const status =
    error === undefined ? 'OK' : error instanceof RpcError ? statusName(error.status) : 'INTERNAL';
  const attributes: Attributes = { 'rpc.status_code': status };
  if (outcome !== 'OK') attributes['passmanager.error_code'] = outcome;
  if (outcome.startsWith('SVR')) {
    span.setStatus({ code: SpanStatusCode.ERROR });
    attributes['error.type'] = status;
  }
  if (spansBelow > MAX_SPANS_BELOW) attributes['passmanager.spans_left_out'] = spansBelow - MAX_SPANS_BELOW;
  span.setAttributes(attributes).end();
}
