/** Brings spans to a collector, by OTLP over HTTP in protobuf. */
import { Agent as HttpAgent } from 'node:http';
import { Agent as HttpsAgent } from 'node:https';
import { ExportResultCode } from '@opentelemetry/core';
import { OTLPTraceExporter } from '@opentelemetry/exporter-trace-otlp-proto';
import type { ReadableSpan, SpanExporter } from '@opentelemetry/sdk-trace';

/** How long a delivery may take with everything that is tried again, in milliseconds. */
const DELIVERY_MS = 3_000;

/** Deliveries under way: as many as a full queue makes at the stop, and those before. */
const MAX_DELIVERIES = 32;

/** A name and a password in the endpoint go along as Basic authentication; headers of OTEL_EXPORTER_OTLP_HEADERS, too. */
export class TraceExporter implements SpanExporter {
  readonly #agent: HttpAgent;
  readonly #inner: OTLPTraceExporter;
  readonly #told: (error: Error | undefined) => void;

  /** `told`: hears what came of each delivery; undefined: it arrived. */
  constructor(endpoint: string, told: (error: Error | undefined) => void = () => {}) {
    const agent = endpoint.startsWith('https:')
      ? new HttpsAgent({ keepAlive: true })
      : new HttpAgent({ keepAlive: true });
    this.#agent = agent;
    this.#told = told;
    this.#inner = new OTLPTraceExporter({
      url: `${endpoint}/v1/traces`,
      timeoutMillis: DELIVERY_MS,
      concurrencyLimit: MAX_DELIVERIES,
      httpAgentOptions: () => agent,
    });
  }

  export(spans: ReadableSpan[], done: Parameters<SpanExporter['export']>[1]): void {
    this.#inner.export(spans, (result) => {
      const { code, error } = result;
      this.#told(code === ExportResultCode.SUCCESS ? undefined : (error ?? new Error('not delivered')));
      done(result);
    });
  }

  /** Delivers nothing, to see whether it arrives. Answers why it did not. */
  probe(): Promise<Error | undefined> {
    return new Promise((resolve) =>
      this.#inner.export([], ({ code, error }) =>
        resolve(code === ExportResultCode.SUCCESS ? undefined : (error ?? new Error('not delivered'))),
      ),
    );
  }

  /** Waits for what is under way. */
  shutdown(): Promise<void> {
    return this.#inner.shutdown();
  }

  /** Cuts what is under way, and opens no connection any more. */
  cut(): void {
    this.#agent.createConnection = (_options, done) => {
      done?.(new Error('the exporter was stopped'), undefined as never);
      return undefined;
    };
    this.#agent.destroy();
  }
}
