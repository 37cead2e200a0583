/** Cross-origin requests of browsers (the Fetch standard's CORS protocol): nothing but for the origins named. */
import type { IncomingHttpHeaders } from 'node:http';
import { cors as connectCors } from '@connectrpc/connect';

/** How an HTTP answer is changed for a page of another origin. */
export interface Cors {
  /** Headers that let the page of this request read the answer; empty for origins that are not named. */
  responseHeaders(request: IncomingHttpHeaders): Record<string, string>;
  /** The headers of the answer to a preflight; undefined when it is refused. */
  preflightHeaders(request: IncomingHttpHeaders): Record<string, string> | undefined;
}

/** How long a browser may keep the answer to a preflight, in seconds; browsers cap it at two hours or less. */
const PREFLIGHT_SECONDS = 7200;

/** CORS for origins such as `https://vault.example.org`, compared exactly, without wildcards and without credentials. */
export function createCors(origins: readonly string[]): Cors {
  const named = new Set(origins);
  const exposed = connectCors.exposedHeaders.join(', ');
  const allowed = connectCors.allowedHeaders.join(', ');

  // An answer depends on the origin as soon as any origin is named; caches have to know.
  const vary: Record<string, string> = named.size === 0 ? {} : { vary: 'Origin' };

  return {
    responseHeaders({ origin }) {
      if (origin === undefined || !named.has(origin)) return vary;
      return { ...vary, 'access-control-allow-origin': origin, 'access-control-expose-headers': exposed };
    },
    preflightHeaders({ origin, ...request }) {
      if (origin === undefined || !named.has(origin)) return undefined;
      if (request['access-control-request-method'] !== 'POST') return undefined;
      return {
        ...vary,
        'access-control-allow-origin': origin,
        'access-control-allow-methods': 'POST',
        'access-control-allow-headers': allowed,
        'access-control-max-age': String(PREFLIGHT_SECONDS),
      };
    },
  };
}
