/**
 * Traces of calls for a collector. The packages of OpenTelemetry are loaded with this module, and it is loaded by those
 * alone who have an endpoint. Nothing is registered for the whole process, and no variable of the environment counts but
 * what trace_exporter.ts says.
 */
import { randomUUID } from 'node:crypto';
import { defaultResource, resourceFromAttributes } from '@opentelemetry/resources';
import { AlwaysOnSampler, BatchSpanProcessor, TracerProvider } from '@opentelemetry/sdk-trace';
import type { Around } from '../database/around.ts';
import { CallSampling } from './call_sampling.ts';
import { CallSpans } from './call_spans.ts';
import type { TracingSettings } from './config.ts';
import type { Logger } from './log.ts';
import { packageOfProgram } from './package.ts';
import type { Rpc } from './rpc.ts';
import { TraceExporter } from './trace_exporter.ts';

/** How long spans wait for others to go with them, in milliseconds. */
const DELAY_MS = 1_000;

/** Spans that wait; more are dropped. */
const QUEUE_SPANS = 2_048;

/** Spans of one delivery: writing them down holds up the process by about a millisecond. */
const BATCH_SPANS = 128;

/** How long what still waits may take to leave when the server stops, in milliseconds. */
const STOP_MS = 1_500;

/** A server's traces. */
export interface Tracing {
  /** The RPCs, each traced. */
  traced(rpcs: readonly Rpc[]): Rpc[];
  /** For what the calls wait for. */
  readonly around: Around;
  /** Delivers what waits, within 1.5 seconds, and drops what is left. Never rejects. */
  stop(): Promise<void>;
}

/** Starts tracing. Connects when there is something to deliver; a collector that is away costs nothing but its traces. */
export function startTracing({ endpoint, sampleRatio }: TracingSettings, log: Logger): Tracing {
  let isAway = false;
  const exporter = new TraceExporter(endpoint, (error) => {
    if (error !== undefined && !isAway) log.warn({ err: error }, 'traces do not reach their collector');
    if (error === undefined && isAway) log.info('traces reach their collector again');
    isAway = error !== undefined;
  });
  const { version } = packageOfProgram();
  const provider = new TracerProvider({
    resource: defaultResource().merge(
      resourceFromAttributes({
        'service.name': 'passmanager',
        'service.version': version,
        // Of this process: each of several has its own.
        'service.instance.id': randomUUID(),
      }),
    ),
    // What is not to be traced has no span.
    sampler: new AlwaysOnSampler(),
    spanProcessors: [
      new BatchSpanProcessor({
        exporter,
        scheduledDelayMillis: DELAY_MS,
        maxQueueSize: QUEUE_SPANS,
        maxExportBatchSize: BATCH_SPANS,
      }),
    ],
  });
  const spans = new CallSpans(
    provider.getTracer('passmanager', version),
    new CallSampling({ ratio: sampleRatio }),
  );
  let stopped: Promise<void> | undefined;
  return {
    traced: (rpcs) => spans.traced(rpcs),
    around: spans.around,
    stop: () => {
      stopped ??= Promise.race([
        provider.shutdown().catch(() => {}),
        new Promise<void>((resolve) => setTimeout(resolve, STOP_MS).unref()),
      ]).finally(() => exporter.cut());
      return stopped;
    },
  };
}
