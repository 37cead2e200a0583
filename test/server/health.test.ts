import { create } from '@bufbuild/protobuf';
import { Code } from '@connectrpc/connect';
import { expect } from 'chai';
import { RpcError } from '../../src/server/errors.ts';
import { healthRpcs } from '../../src/server/health.ts';
import {
  HealthCheckRequestSchema,
  type HealthCheckResponse,
  ServingStatus,
} from '../../src/server/health_contract.ts';
import type { StreamingRpc, UnaryRpc } from '../../src/server/rpc.ts';
import { eventually } from '../support/eventually.ts';
import { FakeReadiness, fakeRpcs } from '../support/fake_rpcs.ts';
import { rejection } from '../support/rejection.ts';

describe('healthRpcs', () => {
  const services = [
    '',
    'grpc.health.v1.Health',
    'passmanager.user.v1.UserService',
    'passmanager.session.v1.SessionService',
    'passmanager.data.v1.DataService',
    'passmanager.password.v1.PasswordService',
  ];
  let readiness: FakeReadiness;
  let check: UnaryRpc;
  let watch: StreamingRpc;
  let aborter: AbortController;

  beforeEach(() => {
    readiness = new FakeReadiness();
    [check, watch] = healthRpcs(fakeRpcs().rpcs, readiness, 37) as [UnaryRpc, StreamingRpc];
    aborter = new AbortController();
  });

  const request = (service: string) => create(HealthCheckRequestSchema, { service });
  const context = () => ({
    requestId: 'r',
    clientAddress: 'p',
    signal: aborter.signal,
    protocol: 'grpc' as const,
    traceparent: undefined,
  });

  async function checked(service: string): Promise<ServingStatus> {
    return ((await check.call(request(service), context())) as HealthCheckResponse).status;
  }

  function watched(service: string): { seen: ServingStatus[]; end: Promise<unknown> } {
    const seen: ServingStatus[] = [];
    const end = (async () => {
      for await (const message of watch.call(request(service), context())) {
        seen.push((message as HealthCheckResponse).status);
      }
    })().catch((error: unknown) => error);
    return { seen, end };
  }

  it('answers Check of an unknown service with NOT_FOUND', async () => {
    try {
      await checked('passmanager.data.v1.Data');
      expect.fail();
    } catch (error) {
      expect(error).to.be.instanceOf(RpcError);
      expect((error as RpcError).status).to.equal(Code.NotFound);
    }
  });

  it('answers Watch of an unknown service with SERVICE_UNKNOWN and keeps the stream', async () => {
    const { seen, end } = watched('nobody');
    await eventually(() => seen.length === 1);
    readiness.set(false);
    readiness.set(true);
    await new Promise((resolve) => setTimeout(resolve, 20));
    expect(seen).to.deep.equal([ServingStatus.SERVICE_UNKNOWN]);
    aborter.abort();
    await end;
  });

  it('answers Check for the whole and for each service', async () => {
    for (const service of services) expect(await checked(service), service).to.equal(ServingStatus.SERVING);
    readiness.set(false);
    for (const service of services)
      expect(await checked(service), service).to.equal(ServingStatus.NOT_SERVING);
  });

  it('refuses more watches than one for four connections with RESOURCE_EXHAUSTED, until one ends', async () => {
    const first = watched('');
    const { signal } = new AbortController();
    const others = Array.from({ length: 9 }, (_, index) =>
      watch.call(request(''), { ...context(), signal, clientAddress: `10.0.0.${index}` }),
    );
    const reading = others.map((messages) => messages[Symbol.asyncIterator]());
    await Promise.all(reading.map((iterator) => iterator.next()));
    await eventually(() => first.seen.length === 1);
    const refused = (await watched('').end) as RpcError;
    expect(refused.status).to.equal(Code.ResourceExhausted);
    aborter.abort();
    await first.end;
    aborter = new AbortController();
    const again = watched('');
    await eventually(() => again.seen.length === 1);
    aborter.abort();
    await again.end;
    await Promise.all(reading.map((iterator) => iterator.return!()));
  });

  it('refuses a network more than a quarter of these, until one ends, and no other network', async () => {
    const { signal } = new AbortController();
    const open = async (clientAddress: string) => {
      const messages = watch.call(request(''), { ...context(), signal, clientAddress });
      const reading = messages[Symbol.asyncIterator]();
      await reading.next();
      return reading;
    };
    const reading = [await open('2001:db8::1'), await open('2001:db8::2'), await open('2001:db8::3')];
    const refused = (await rejection(open('2001:db8::4'))) as RpcError;
    expect(refused.status).to.equal(Code.ResourceExhausted);
    reading.push(await open('2001:db8:0:1::1'));
    await reading.shift()!.return!();
    reading.push(await open('2001:db8::4'));
    await Promise.all(reading.map((iterator) => iterator.return!()));
  });

  it('tells a watcher the status at once and every change of it', async () => {
    const { seen, end } = watched('passmanager.data.v1.DataService');
    await eventually(() => seen.length === 1);
    readiness.set(false);
    await eventually(() => seen.length === 2);
    readiness.set(true);
    await eventually(() => seen.length === 3);
    readiness.set(true);
    await new Promise((resolve) => setTimeout(resolve, 20));
    expect(seen).to.deep.equal([ServingStatus.SERVING, ServingStatus.NOT_SERVING, ServingStatus.SERVING]);
    aborter.abort();
    await end;
  });

  it('ends a watch with UNAVAILABLE when it is aborted, and leaves no listener', async () => {
    const { seen, end } = watched('');
    await eventually(() => seen.length === 1);
    expect(readiness.listening).to.equal(1);
    aborter.abort();
    const error = await end;
    expect(error).to.be.instanceOf(RpcError);
    expect((error as RpcError).status).to.equal(Code.Unavailable);
    expect(readiness.listening).to.equal(0);
  });

  it('leaves no listener when the caller stops reading', async () => {
    for await (const _ of watch.call(request(''), context())) break;
    expect(readiness.listening).to.equal(0);
  });
});
