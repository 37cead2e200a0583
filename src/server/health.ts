/** grpc.health.v1 for both doors: a status for the whole server (the empty name) and for each service it offers. */
import { create, type DescMethod, type Message } from '@bufbuild/protobuf';
import { networkOf } from './client_address.ts';
import { fieldNotFound, temporaryOutage, tooManyRequests } from './errors.ts';
import {
  type HealthCheckRequest,
  type HealthCheckResponse,
  HealthCheckResponseSchema,
  HealthService,
  ServingStatus,
} from './health_contract.ts';
import { OpenCounts } from './open_counts.ts';
import type { Readiness } from './readiness.ts';
import type { CallContext, Rpc } from './rpc.ts';

/**
 * Anybody may watch, and a watch keeps a connection at work, which then makes room for nobody. So no more than one for each
 * of so many connections of a door are open at a time; others are refused.
 */
const CONNECTIONS_PER_WATCH = 4;

/** What part of these one network may have: it would keep everybody else's out. */
const NETWORK_SHARE = 1 / 4;

/**
 * Check and Watch over the services of `rpcs`. All share one status: they live and die with the database. `maxConnections`:
 * those that the door has.
 */
export function healthRpcs(rpcs: readonly Rpc[], readiness: Readiness, maxConnections: number): Rpc[] {
  const maxWatches = Math.ceil(maxConnections / CONNECTIONS_PER_WATCH);
  const maxOfNetwork = Math.ceil(maxWatches * NETWORK_SHARE);
  const names = new Set(['', HealthService.typeName, ...rpcs.map(({ method }) => method.parent.typeName)]);

  let watches = 0;
  /** Of them, by network. */
  const ofNetworks = new OpenCounts();

  function count(network: string, more: 1 | -1): void {
    watches += more;
    ofNetworks.add(network, more);
  }

  function statusOf(service: string): ServingStatus {
    if (!names.has(service)) return ServingStatus.SERVICE_UNKNOWN;
    return readiness.isServing() ? ServingStatus.SERVING : ServingStatus.NOT_SERVING;
  }

  return [
    {
      kind: 'unary',
      ...methodNamed('Check', 'unary'),
      async call(request) {
        const answer = statusOf(serviceOf(request));
        // The specification's NOT_FOUND for Check, where Watch has a status of its own.
        if (answer === ServingStatus.SERVICE_UNKNOWN) throw fieldNotFound('service').inClear();
        return response(answer);
      },
    },
    {
      kind: 'server_streaming',
      ...methodNamed('Watch', 'server_streaming'),
      call: (request, context) => watch(serviceOf(request), context),
    },
  ];

  /** The status now and at every change; ends only with the signal. */
  async function* watch(
    service: string,
    { signal, clientAddress }: CallContext,
  ): AsyncGenerator<HealthCheckResponse> {
    const network = networkOf(clientAddress);
    if (watches >= maxWatches || ofNetworks.of(network) >= maxOfNetwork) throw tooManyRequests().inClear();
    count(network, 1);
    let wake = () => {};
    const ended = () => wake();
    const forget = readiness.onChange(() => wake());
    signal.addEventListener('abort', ended);
    try {
      let told: ServingStatus | undefined;
      while (!signal.aborted) {
        const changed = new Promise<void>((resolve) => {
          wake = resolve;
        });
        const now = statusOf(service);
        if (now !== told) {
          told = now;
          yield response(now);
        } else await changed;
      }
      throw temporaryOutage().inClear();
    } finally {
      count(network, -1);
      forget();
      signal.removeEventListener('abort', ended);
    }
  }
}

function methodNamed<K extends DescMethod['methodKind']>(
  name: string,
  kind: K,
): { path: string; method: DescMethod & { methodKind: K } } {
  const method = HealthService.methods.find((candidate) => candidate.name === name);
  if (method?.methodKind !== kind) throw new Error(`grpc.health.v1.Health/${name} is not ${kind}`);
  return { path: `/${HealthService.typeName}/${name}`, method: method as DescMethod & { methodKind: K } };
}

function serviceOf(request: Message): string {
  return (request as HealthCheckRequest).service;
}

function response(status: ServingStatus): HealthCheckResponse {
  return create(HealthCheckResponseSchema, { status });
}
