import { SpanKind, SpanStatusCode } from '@opentelemetry/api';
import {
  InMemorySpanExporter,
  type ReadableSpan,
  SimpleSpanProcessor,
  TracerProvider,
} from '@opentelemetry/sdk-trace';
import { expect } from 'chai';
import { DatabaseFault } from '../../src/database/sqlstate.ts';
import { CallSampling } from '../../src/server/call_sampling.ts';
import { CallSpans } from '../../src/server/call_spans.ts';
import { notDecrypted, temporaryOutage } from '../../src/server/errors.ts';
import type { CallContext, Rpc, StreamingRpc, UnaryRpc } from '../../src/server/rpc.ts';
import { fakeRpcs } from '../support/fake_rpcs.ts';
import { rejection } from '../support/rejection.ts';

const TRACE_ID = '0af7651916cd43dd8448eb211c80319c';
const PARENT_ID = 'b7ad6b7169203331';
const TRACEPARENT = `00-${TRACE_ID}-${PARENT_ID}-01`;

describe('the spans of calls', () => {
  const exporter = new InMemorySpanExporter();
  const provider = new TracerProvider({ spanProcessors: [new SimpleSpanProcessor({ exporter })] });
  const spans = (ratio = 1) => new CallSpans(provider.getTracer('test'), new CallSampling({ ratio }));
  const answer = {} as never;
  const context = (more: Partial<CallContext> = {}): CallContext => ({
    requestId: 'r1',
    clientAddress: '192.0.2.7',
    signal: new AbortController().signal,
    protocol: 'connect',
    traceparent: undefined,
    ...more,
  });
  const [template] = fakeRpcs().rpcs;
  const PATH = '/passmanager.data.v1.DataService/GetEntry';

  const unary = (made: CallSpans, call: () => Promise<unknown>): UnaryRpc =>
    made.traced([{ ...template!, kind: 'unary', path: PATH, call } as Rpc])[0] as UnaryRpc;
  const stream = (made: CallSpans, call: () => AsyncGenerator<unknown>): StreamingRpc =>
    made.traced([{ ...template!, kind: 'server_streaming', path: PATH, call } as Rpc])[0] as StreamingRpc;
  const run = (call: () => Promise<unknown>, more?: Partial<CallContext>, made = spans()) =>
    unary(made, call).call(answer, context(more));
  const ended = (): ReadableSpan[] => exporter.getFinishedSpans();
  const named = (name: string): ReadableSpan => ended().find((span) => span.name === name)!;

  beforeEach(() => exporter.reset());

  it('tell the code of a refusal, which is no error of the server, and throw it on', async () => {
    const refusal = notDecrypted().inClear();
    expect(await rejection(run(() => Promise.reject(refusal)))).to.equal(refusal);
    const [span, ...others] = ended();
    expect(others).to.have.length(0);
    expect(span!.attributes).to.deep.equal({
      'rpc.system.name': 'connectrpc',
      'rpc.method': 'passmanager.data.v1.DataService/GetEntry',
      'rpc.status_code': 'UNAUTHENTICATED',
      'passmanager.error_code': 'RQS01',
      'passmanager.request_id': 'r1',
    });
    expect(span!.status).to.deep.equal({ code: SpanStatusCode.UNSET });
  });

  it('tell a failure of the server as an error, without a text', async () => {
    await rejection(run(() => Promise.reject(temporaryOutage(new Error('secret')).inClear())));
    await rejection(run(() => Promise.reject(new Error('secret'))));
    const codes = ended().map(({ attributes }) => [
      attributes['rpc.status_code'],
      attributes['error.type'],
      attributes['passmanager.error_code'],
    ]);
    expect(codes).to.deep.equal([
      ['UNAVAILABLE', 'UNAVAILABLE', 'SVR01'],
      ['INTERNAL', 'INTERNAL', 'SVR00'],
    ]);
    for (const { status, events } of ended()) {
      expect(status).to.deep.equal({ code: SpanStatusCode.ERROR });
      expect(events).to.have.length(0);
    }
  });

  it('begin a trace of their own where the caller’s is none, or not to be read', async () => {
    for (const traceparent of [
      undefined,
      '',
      'nonsense',
      TRACEPARENT.toUpperCase(),
      `00-${'0'.repeat(32)}-${PARENT_ID}-01`,
      `00-${TRACE_ID}-${'0'.repeat(16)}-01`,
      `ff-${TRACE_ID}-${PARENT_ID}-01`,
      `${TRACEPARENT}, ${TRACEPARENT}`,
      `01${TRACEPARENT.slice(2)}-${'x'.repeat(300)}`,
    ]) {
      exporter.reset();
      await run(async () => answer, { traceparent });
      expect(ended()[0]!.parentSpanContext, traceparent).to.equal(undefined);
      expect(ended()[0]!.spanContext().traceId, traceparent).to.match(/^[0-9a-f]{32}$/);
      expect(ended()[0]!.spanContext().traceId, traceparent).not.to.equal(TRACE_ID);
    }
  });

  it('leave a call out when its caller’s trace does, and trace one that is asked for', async () => {
    await run(async () => answer, { traceparent: TRACEPARENT.replace(/1$/, '0') });
    await run(async () => answer, {}, spans(0));
    expect(ended()).to.have.length(0);
    await run(async () => answer, { traceparent: TRACEPARENT }, spans(0));
    expect(ended()).to.have.length(1);
  });

  it('do not ask for the id of a call that is not traced, which would be made', async () => {
    const lazy = Object.defineProperty(context(), 'requestId', {
      get: () => expect.fail('it was asked for'),
    });
    expect(await unary(spans(0), async () => answer).call(answer, lazy)).to.equal(answer);
  });

  it('belong to the caller’s trace, and to the door’s protocol', async () => {
    expect(
      await run(async () => answer, { traceparent: TRACEPARENT, protocol: 'grpc', requestId: 'r2' }),
    ).to.equal(answer);
    const [span] = ended();
    expect(span!.name).to.equal('passmanager.data.v1.DataService/GetEntry');
    expect(span!.kind).to.equal(SpanKind.SERVER);
    expect(span!.spanContext().traceId).to.equal(TRACE_ID);
    expect(span!.parentSpanContext).to.include({ spanId: PARENT_ID, isRemote: true });
    expect(span!.attributes).to.deep.equal({
      'rpc.system.name': 'grpc',
      'rpc.method': 'passmanager.data.v1.DataService/GetEntry',
      'rpc.status_code': 'OK',
      'passmanager.request_id': 'r2',
    });
  });

  it('have those of what they wait for below them, statements of a transaction below that', async () => {
    const made = spans();
    const { around } = made;
    await run(
      async () => {
        await around('srp', 'verify', async () => {});
        await around('transaction', '', () =>
          around('statement', 'update users set a = $1 where id = $2', async () => {}),
        );
      },
      {},
      made,
    );
    const call = named('passmanager.data.v1.DataService/GetEntry').spanContext();
    const transaction = named('transaction');
    expect(named('srp verify').parentSpanContext).to.deep.equal(call);
    expect(named('srp verify').kind).to.equal(SpanKind.INTERNAL);
    expect(transaction.parentSpanContext).to.deep.equal(call);
    expect(transaction.attributes).to.deep.equal({ 'db.system.name': 'postgresql' });
    expect(named('update users').parentSpanContext).to.deep.equal(transaction.spanContext());
    expect(named('update users').kind).to.equal(SpanKind.CLIENT);
    expect(named('update users').attributes).to.deep.equal({
      'db.system.name': 'postgresql',
      'db.query.summary': 'update users',
    });
  });

  it('keep calls apart that run at once', async () => {
    const made = spans();
    const rpc = unary(made, async () => {
      await new Promise((resolve) => setImmediate(resolve));
      return made.around('statement', 'select 1', async () => answer);
    });
    await Promise.all(Array.from({ length: 20 }, () => rpc.call(answer, context())));
    const parents = ended().filter(({ kind }) => kind === SpanKind.CLIENT);
    expect(new Set(parents.map(({ parentSpanContext }) => parentSpanContext?.spanId))).to.have.length(20);
  });

  it('tell what failed below by kind and SQLSTATE, and a refusal in a transaction as none', async () => {
    const made = spans();
    const failWith = (error: Error) =>
      rejection(
        run(() => made.around('transaction', '', () => Promise.reject(error)), {}, made) as Promise<never>,
      );
    const errors = [
      new DatabaseFault('timeout', { sqlState: '57014' }),
      new DatabaseFault('outage'),
      new Error('secret'),
      notDecrypted(),
    ];
    for (const error of errors) expect(await failWith(error)).to.equal(error);
    const below = ended().filter(({ name }) => name === 'transaction');
    expect(
      below.map(({ attributes, status }) => [
        attributes['error.type'],
        attributes['db.response.status_code'],
        status.code,
        status.message,
      ]),
    ).to.deep.equal([
      ['timeout', '57014', SpanStatusCode.ERROR, undefined],
      ['outage', undefined, SpanStatusCode.ERROR, undefined],
      ['_OTHER', undefined, SpanStatusCode.ERROR, undefined],
      [undefined, undefined, SpanStatusCode.UNSET, undefined],
    ]);
  });

  it('are bounded below one call, and tell how many were left out', async () => {
    const made = spans();
    let ran = 0;
    await run(
      async () => {
        for (let index = 0; index < 100; index += 1)
          await made.around('statement', 'select 1', async () => {
            ran += 1;
          });
      },
      {},
      made,
    );
    expect(ran).to.equal(100);
    expect(ended()).to.have.length(65);
    expect(ended().at(-1)!.attributes['passmanager.spans_left_out']).to.equal(36);
  });

  it('are none for work outside of a call, nor for work that outlives it', async () => {
    const made = spans();
    expect(await made.around('statement', 'select 1', async () => answer)).to.equal(answer);
    let outlives: Promise<unknown> | undefined;
    await run(
      async () => {
        outlives = new Promise((resolve) => setTimeout(resolve, 5)).then(() =>
          made.around('statement', 'select 1', async () => answer),
        );
      },
      {},
      made,
    );
    expect(await outlives).to.equal(answer);
    expect(ended().map(({ kind }) => kind)).to.deep.equal([SpanKind.SERVER]);
  });

  it('last as long as a stream, also when nobody listens any more or it fails', async () => {
    const three = stream(spans(), async function* () {
      yield answer;
      expect(ended()).to.have.length(0);
      yield answer;
      throw temporaryOutage().inClear();
    });
    for await (const message of three.call(answer, context())) {
      expect(message).to.equal(answer);
      break;
    }
    expect(ended()[0]!.attributes['rpc.status_code']).to.equal('OK');
    exporter.reset();
    await rejection(
      (async () => {
        for await (const _ of three.call(answer, context({ traceparent: TRACEPARENT })));
      })(),
    );
    expect(ended()[0]!.attributes['passmanager.error_code']).to.equal('SVR01');
    expect(ended()[0]!.spanContext().traceId).to.equal(TRACE_ID);
    exporter.reset();
    for await (const _ of stream(spans(0), async function* () {
      yield answer;
    }).call(answer, context()));
    expect(ended()).to.have.length(0);
  });
});
