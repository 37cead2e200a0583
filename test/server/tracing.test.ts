import { spawn } from 'node:child_process';
import { randomBytes, randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Interceptor } from '@connectrpc/connect';
import { createConnectTransport, createGrpcTransport } from '@connectrpc/connect-node';
import { expect } from 'chai';
import * as data from '../../gen/passmanager/data/v1/data_service_pb.ts';
import { createLogger } from '../../src/server/log.ts';
import type { CallContext, UnaryRpc } from '../../src/server/rpc.ts';
import { startTracing } from '../../src/server/tracing.ts';
import { COMPILE_CACHE } from '../support/compile_cache.ts';
import { eventually } from '../support/eventually.ts';
import { fakeRpcs } from '../support/fake_rpcs.ts';
import { freePort } from '../support/free_port.ts';
import { logIn, makeAccount, type RawSession, refusalOf, register } from '../support/raw_client.ts';
import { createTestDatabase } from '../support/test_database.ts';
import { databaseUrl, startTestServer, type TestServer } from '../support/test_server.ts';
import { startTraceCollector, type TraceCollector } from '../support/trace_collector.ts';

const MAIN = join(import.meta.dirname, '../../src/server/main.ts');
const TRACE_ID = '0af7651916cd43dd8448eb211c80319c';
const PARENT_ID = 'b7ad6b7169203331';
const { method } = data.DataService;

const create = (session: RawSession) =>
  session.call(method.createEntry, data.CreateEntryPayloadSchema, {
    entryId: randomUUID(),
    entryName: new Uint8Array(randomBytes(93)),
    entryData: new Uint8Array(randomBytes(285)),
  });
const getMissing = (session: RawSession) =>
  refusalOf(session.call(method.getEntry, data.GetEntryPayloadSchema, { entryId: randomUUID() }));

describe('tracing', function () {
  this.timeout(60_000);
  const ending: (() => Promise<unknown>)[] = [];

  afterEach(async () => {
    for (const end of ending.splice(0).reverse()) await end();
  });

  const collect = async (...parameters: Parameters<typeof startTraceCollector>): Promise<TraceCollector> => {
    const collector = await startTraceCollector(...parameters);
    ending.push(() => collector.stop());
    return collector;
  };
  const serve = async (endpoint: string, more: Record<string, string> = {}): Promise<TestServer> => {
    const server = await startTestServer({ settings: { PASSMANAGER_OTLP_ENDPOINT: endpoint, ...more } });
    ending.push(() => server.stop());
    return server;
  };
  /** The doors, each call with a header of a trace. */
  const doors = (server: TestServer, flags = '01') => {
    const inTrace: Interceptor = (next) => (request) => {
      request.header.set('traceparent', `00-${TRACE_ID}-${PARENT_ID}-${flags}`);
      request.header.set('tracestate', 'vendor=some-text-of-the-caller');
      return next(request);
    };
    const interceptors = [inTrace];
    return {
      connectrpc: createConnectTransport({ baseUrl: server.httpUrl, httpVersion: '1.1', interceptors }),
      grpc: createGrpcTransport({ baseUrl: `http://${server.grpcAddress}`, interceptors }),
    };
  };

  describe('does not disturb the server', () => {
    it('when nobody is there: calls are answered, the log says it once, and the stop ends', async () => {
      const server = await serve(`http://127.0.0.1:${await freePort()}`);
      const { grpc } = doors(server);
      const account = makeAccount();
      await register(grpc, account);
      const session = await logIn(grpc, account, { maximumRequests: -1n });
      for (let call = 0; call < 50; call += 1) await getMissing(session);
      await server.running.stop();
      const told = server.logged.filter((line) => line.includes('do not reach their collector'));
      expect(told.length).to.be.at.most(1);
    });

    it('when the collector never answers: what waits is bounded, the rest is dropped, and the stop ends', async () => {
      const silent = await collect(() => {});
      const tracing = startTracing({ endpoint: silent.endpoint, sampleRatio: 1 }, createLogger('silent'));
      const rpc = traced(tracing);
      for (let call = 0; call < 5_000; call += 1) await rpc();
      await tracing.stop();
      const sent = silent.spans().length;
      expect(sent)
        .to.be.greaterThan(0)
        .and.at.most(2_048 + 128);
      await rpc();
      await tracing.stop();
      expect(silent.spans()).to.have.length(sent);
    });

    it('when the collector refuses: the log says so once, and when it takes traces again', async () => {
      let status = 400;
      const collector = await collect((response) => response.writeHead(status).end('some text'));
      const logged: string[] = [];
      const log = createLogger('debug', { write: (line) => void logged.push(line) });
      const tracing = startTracing({ endpoint: collector.endpoint, sampleRatio: 1 }, log);
      ending.push(() => tracing.stop());
      const rpc = traced(tracing);
      const batch = async (answers: number) => {
        for (let call = 0; call < 128; call += 1) await rpc();
        await eventually(() => collector.requests.length === answers);
        await new Promise((resolve) => setTimeout(resolve, 20));
      };
      await batch(1);
      await batch(2);
      expect(logged.map((line) => JSON.parse(line).level)).to.deep.equal([40]);
      status = 200;
      await batch(3);
      await batch(4);
      expect(logged.map((line) => JSON.parse(line).level)).to.deep.equal([40, 30]);
      expect(logged.join('')).not.to.contain('some text');
    });
  });

  it('shows calls of both doors, good and refused, in the trace of their caller', async () => {
    const collector = await collect();
    const server = await serve(collector.endpoint);
    const account = makeAccount();
    await register(doors(server).grpc, account);
    await eventually(() => collector.calls('RegisterUser').length === 1);
    for (const [system, transport] of Object.entries(doors(server))) {
      collector.requests.splice(0);
      const session = await logIn(transport, account, { maximumRequests: -1n });
      await create(session);
      await getMissing(session);
      await refusalOf(register(transport, { ...makeAccount(), usernameHash: account.usernameHash }));
      await eventually(() => collector.calls('RegisterUser').length === 1);
      const spans = collector.spans();
      for (const { traceId, traceState, events, statusMessage } of spans)
        expect([traceId, traceState, events, statusMessage]).to.deep.equal([TRACE_ID, '', 0, '']);
      const calls = ['StartSession', 'AuthenticateSession', 'CreateEntry', 'GetEntry', 'RegisterUser'].map(
        (name) => collector.calls(name)[0]!,
      );
      for (const { parentSpanId, attributes, name } of calls) {
        expect(parentSpanId).to.equal(PARENT_ID);
        expect(attributes).to.include({ 'rpc.system.name': system, 'rpc.method': name });
      }
      expect(
        calls.map(({ attributes }) => [attributes['rpc.status_code'], attributes['passmanager.error_code']]),
      ).to.deep.equal([
        ['OK', undefined],
        ['OK', undefined],
        ['OK', undefined],
        ['NOT_FOUND', 'GNR01'],
        ['ALREADY_EXISTS', 'OPR00'],
      ]);
      expect(spans.filter(({ status }) => status === 2)).to.have.length(0);
      const below = calls.map((call) => collector.below(call).map(({ name }) => name));
      expect(below[0]).to.include.members(['select users', 'srp start', 'insert auth_ephemerals']);
      expect(below[1]).to.include.members([
        'delete auth_ephemerals',
        'srp verify',
        'insert login_sessions, delete login_sessions',
      ]);
      expect(below[2]).to.deep.equal([
        'select login_sessions',
        'update users, update login_sessions, insert secure_data',
      ]);
      expect(below[3]).to.deep.equal(['update login_sessions']);
      const [transaction] = collector.below(calls[4]!).filter(({ name }) => name === 'transaction');
      expect(collector.below(transaction!).map(({ name }) => name)).to.deep.equal(['select users']);
      for (const { nanoseconds } of spans) expect(nanoseconds >= 0n).to.equal(true);
    }
  });

  it('names the request by the id of its line in the log', async () => {
    const collector = await collect();
    const server = await serve(collector.endpoint);
    await refusalOf(register(doors(server).connectrpc, { ...makeAccount(), srpSalt: new Uint8Array(31) }));
    await server.running.stop();
    const [line] = server.logged.filter((text) => text.includes('RegisterUser'));
    expect(collector.calls('RegisterUser')[0]!.attributes['passmanager.request_id']).to.equal(
      JSON.parse(line!).requestId,
    );
  });

  it('leaves out what the caller’s trace leaves out, and goes by the ratio where nobody asks', async () => {
    const collector = await collect();
    const server = await serve(collector.endpoint, { PASSMANAGER_TRACE_SAMPLE_RATIO: '0' });
    const plain = createConnectTransport({ baseUrl: server.httpUrl, httpVersion: '1.1' });
    await register(plain, makeAccount());
    await register(doors(server, '00').grpc, makeAccount());
    await register(doors(server).connectrpc, makeAccount());
    await server.running.stop();
    expect(collector.calls('RegisterUser').map(({ parentSpanId }) => parentSpanId)).to.deep.equal([
      PARENT_ID,
    ]);
    for (const { traceId } of collector.spans()) expect(traceId).to.equal(TRACE_ID);
  });

  it('delivers the last calls when the server stops', async () => {
    const collector = await collect();
    const server = await serve(collector.endpoint);
    await register(doors(server).grpc, makeAccount());
    const watching = await watch(server);
    await server.running.stop();
    await watching;
    expect(collector.calls('RegisterUser')).to.have.length(2);
    expect(
      collector.calls('WatchEntries').map(({ attributes }) => attributes['rpc.status_code']),
    ).to.deep.equal(['UNAVAILABLE']);
  });

  it('tells processes apart', async () => {
    const collector = await collect();
    const settings = { endpoint: collector.endpoint, sampleRatio: 1 };
    for (let process = 0; process < 2; process += 1) {
      const tracing = startTracing(settings, createLogger('silent'));
      await traced(tracing)();
      await tracing.stop();
    }
    const resources = collector.spans().map(({ resource }) => resource);
    expect(new Set(resources.map((each) => each['service.instance.id']))).to.have.length(2);
    for (const resource of resources) {
      expect(resource).to.include({ 'service.name': 'passmanager' });
      expect(Object.keys(resource)).to.have.members([
        'service.name',
        'service.version',
        'service.instance.id',
        'telemetry.sdk.language',
        'telemetry.sdk.name',
        'telemetry.sdk.version',
      ]);
    }
  });

  it('loads its packages where there is an endpoint, and none of them where there is none', async () => {
    const hook = `import { registerHooks } from 'node:module';
      registerHooks({ resolve(specifier, context, next) {
        const found = next(specifier, context);
        if (found.url.includes('/@opentelemetry/')) process.stderr.write('loaded ' + found.url + '\\n');
        return found;
      } });`;
    const outputOf = async (settings: Record<string, string>): Promise<string> => {
      const database = await createTestDatabase();
      const directory = await mkdtemp(join(tmpdir(), 'pm-tracing-'));
      ending.push(
        () => database.drop(),
        () => rm(directory, { recursive: true, force: true }),
      );
      const child = spawn(
        process.execPath,
        ['--import', `data:text/javascript,${encodeURIComponent(hook)}`, MAIN],
        {
          env: {
            PATH: process.env.PATH,
            ...COMPILE_CACHE,
            PASSMANAGER_DATABASE_URL: databaseUrl(database),
            PASSMANAGER_DATA_DIR: directory,
            PASSMANAGER_GRPC_PORT: '0',
            PASSMANAGER_HTTP_PORT: '0',
            ...settings,
          },
          stdio: ['ignore', 'pipe', 'pipe'],
        },
      );
      const exited = once(child, 'exit');
      ending.push(async () => {
        child.kill('SIGKILL');
        await exited;
      });
      let output = '';
      for (const stream of [child.stdout, child.stderr])
        stream.on('data', (piece: Buffer) => {
          output += piece;
        });
      const url = () => /gRPC-Web +(http:\S+)\n/.exec(output)?.[1];
      await eventually(() => url() !== undefined, 40_000).catch(() => expect.fail(output));
      await register(createConnectTransport({ baseUrl: url()!, httpVersion: '1.1' }), makeAccount());
      child.kill('SIGTERM');
      await exited;
      return output;
    };
    const collector = await collect();
    const [without, along] = await Promise.all([
      outputOf({}),
      outputOf({ PASSMANAGER_OTLP_ENDPOINT: collector.endpoint }),
    ]);
    expect(without).not.to.contain('opentelemetry');
    expect(along).to.contain('opentelemetry');
    expect(collector.calls('RegisterUser')).to.have.length(1);
  });

  /** A call of an RPC that does nothing. */
  function traced(tracing: ReturnType<typeof startTracing>): () => Promise<unknown> {
    const [template] = fakeRpcs().rpcs;
    const answer = {} as never;
    const [rpc] = tracing.traced([{ ...template!, call: async () => answer } as UnaryRpc]) as UnaryRpc[];
    const context: CallContext = {
      requestId: 'r',
      clientAddress: 'p',
      signal: new AbortController().signal,
      protocol: 'grpc',
      traceparent: undefined,
    };
    return () => rpc!.call(answer, context);
  }

  /** Watches the entries of an account until the server ends that. */
  async function watch(server: TestServer): Promise<Promise<unknown>> {
    const { connectrpc } = doors(server);
    const account = makeAccount();
    await register(connectrpc, account);
    const session = await logIn(connectrpc, account);
    const messages = session.stream(method.watchEntries, data.WatchEntriesPayloadSchema, {});
    await messages.next();
    const ended = refusalOf(messages.next());
    return [ended] as never;
  }
});
