/** The collector of traces, where there is one. */
import { type Check, good, skipped, warning } from './check.ts';

/** Calls go on without a collector, so there is no failure here. */
export const TRACE_CHECKS: readonly Check[] = [
  {
    name: 'trace_collector',
    look: async ({ config: { tracing } }) => {
      if (tracing === undefined) return skipped('no call is traced');
      // Without the name and the password that the endpoint may hold.
      const { host, pathname } = new URL(tracing.endpoint);
      const place = `${host}${pathname.replace(/\/$/, '')}`;
      const { TraceExporter } = await import('../../server/trace_exporter.ts');
      const exporter = new TraceExporter(tracing.endpoint);
      try {
        const error = await exporter.probe();
        return error === undefined
          ? good(`${place} takes traces`)
          : warning(
              `${place}: ${error.message}`,
              'See whether the collector runs and takes OTLP over HTTP there. Calls go on without it.',
            );
      } finally {
        exporter.cut();
      }
    },
  },
];
