import { randomUUID } from 'node:crypto';
import { create, getOption } from '@bufbuild/protobuf';
import { Code } from '@connectrpc/connect';
import { expect } from 'chai';
import { Access, access } from '../../gen/passmanager/common/v1/access_pb.ts';
import { FailureSchema } from '../../gen/passmanager/common/v1/error_pb.ts';
import * as data from '../../gen/passmanager/data/v1/data_service_pb.ts';
import * as password from '../../gen/passmanager/password/v1/password_service_pb.ts';
import * as session from '../../gen/passmanager/session/v1/session_service_pb.ts';
import * as user from '../../gen/passmanager/user/v1/user_service_pb.ts';
import { sealSync } from '../../src/database/aead.ts';
import { methodPath, requestAad } from '../../src/protocol/aad.ts';
import { BulkTurns } from '../../src/server/bulk_turns.ts';
import { RpcError } from '../../src/server/errors.ts';
import { FieldRules } from '../../src/server/field_rules.ts';
import { createLogger } from '../../src/server/log.ts';
import { type PipelineParts, serviceRpcs } from '../../src/server/pipeline.ts';
import type { SealedCall } from '../../src/server/request_gate.ts';
import type { CallContext, Rpc, StreamingRpc, UnaryRpc } from '../../src/server/rpc.ts';
import {
  SESSION_KIND_LOGIN,
  SESSION_KIND_PASSWORD_CHANGE,
  sessionKeySet,
} from '../../src/server/session_keys.ts';
import { UserTurns } from '../../src/server/user_turns.ts';

const lines: string[] = [];
const parts = {
  rules: new FieldRules({ maxEntryNameBytes: 1_024, maxEntryDataBytes: 65_536, maxBatchEntries: 500 }),
  log: createLogger('debug', { write: (line: string) => void lines.push(line) }),
  sessionKeys: { known: () => undefined, find: async () => undefined },
  gate: {},
  turns: new UserTurns(),
  bulk: new BulkTurns(),
} as unknown as PipelineParts;

const context: CallContext = {
  requestId: 'r1',
  clientAddress: '127.0.0.1',
  signal: new AbortController().signal,
  protocol: 'grpc',
  traceparent: undefined,
};

/** A handler of a service whose methods all do the same. */
const handlerOf = (service: { methods: { localName: string }[] }, run: () => Promise<unknown>) =>
  Object.fromEntries(service.methods.map(({ localName }) => [localName, run])) as never;

const rpcOf = (rpcs: readonly { path: string }[], path: string) =>
  rpcs.find((rpc) => rpc.path === path) as unknown as UnaryRpc;

const errorOf = async (call: Promise<unknown>): Promise<RpcError> => {
  try {
    await call;
  } catch (error) {
    expect(error).to.be.instanceOf(RpcError);
    return error as RpcError;
  }
  throw new Error('nothing was thrown');
};

describe('the pipeline', () => {
  it('does not start with a method that has no handler', () => {
    expect(() => serviceRpcs(user.UserService, {} as never, parts)).to.throw(
      'passmanager.user.v1.UserService/RegisterUser has no handler',
    );
  });

  it('does not start with a method that has no access rule', () => {
    const method = data.DataService.method.getEntry;
    const bare = Object.create(method, { proto: { value: { ...method.proto, options: undefined } } });
    const service = { ...data.DataService, methods: [bare] } as unknown as typeof data.DataService;
    expect(() =>
      serviceRpcs(
        service,
        handlerOf(service, async () => ({})),
        parts,
      ),
    ).to.throw('has no access rule');
  });

  it('makes one RPC for every method of the contract, each with its path', () => {
    const rpcs = serviceRpcs(
      data.DataService,
      handlerOf(data.DataService, async () => ({})),
      parts,
    );
    expect(rpcs.map(({ path }) => path)).to.deep.equal(data.DataService.methods.map(methodPath));
    expect(rpcs.filter(({ kind }) => kind === 'server_streaming').map(({ path }) => path)).to.deep.equal([
      '/passmanager.data.v1.DataService/WatchEntries',
    ]);
  });

  it('answers whatever a handler throws by one of the contract’s failures, and logs the cause without sending it', async () => {
    const boom = async () => {
      throw new Error('the password is hunter2');
    };
    const rpcs = serviceRpcs(session.SessionService, handlerOf(session.SessionService, boom), parts);
    const request = create(session.StartSessionRequestSchema, {
      usernameHash: new Uint8Array(32),
      clientProtocol: 1,
    });
    lines.length = 0;
    const error = await errorOf(
      rpcOf(rpcs, '/passmanager.session.v1.SessionService/StartSession').call(request, context),
    );
    expect(error.status).to.equal(Code.Internal);
    expect(JSON.stringify(error.detail)).not.to.include('hunter2');
    expect(lines.join('')).to.include('r1').and.to.include('SVR00');
  });

  it('validates a public request before its handler sees it', async () => {
    let called = false;
    const rpcs = serviceRpcs(
      session.SessionService,
      handlerOf(session.SessionService, async () => {
        called = true;
      }),
      parts,
    );
    const error = await errorOf(
      rpcOf(rpcs, '/passmanager.session.v1.SessionService/StartSession').call(
        create(session.StartSessionRequestSchema),
        context,
      ),
    );
    expect(error.detailSchema).to.equal(FailureSchema);
    expect(called).to.equal(false);
  });

  it('answers a missing envelope with RQS00 and an unknown session with RQS01, in clear', async () => {
    const rpcs = serviceRpcs(
      data.DataService,
      handlerOf(data.DataService, async () => ({})),
      parts,
    );
    const get = rpcOf(rpcs, '/passmanager.data.v1.DataService/GetEntry');
    const without = await errorOf(get.call(create(data.GetEntryRequestSchema), context));
    expect(without.status).to.equal(Code.InvalidArgument);
    const secure = { sessionId: randomUUID(), requestNumber: 0n, encryptedData: new Uint8Array(28) };
    const unknown = await errorOf(get.call(create(data.GetEntryRequestSchema, { secure }), context));
    expect(unknown.status).to.equal(Code.Unauthenticated);
    expect(unknown.detailSchema).to.equal(FailureSchema);
  });
});

describe('the pipeline has as bulk work', () => {
  const { userId, sessionId } = { userId: randomUUID(), sessionId: randomUUID() };
  const keysOf = (kind: number) => sessionKeySet({ sessionId, userId, kind }, new Uint8Array(32));
  const SERVICES = [data.DataService, password.PasswordService, session.SessionService, user.UserService];
  const CHANGE_CALLS = [
    'GetEntry',
    'UpdateEntry',
    'BatchGetEntries',
    'BatchUpdateEntries',
    'CommitPasswordChange',
  ].map((name) => `/passmanager.password.v1.PasswordService/${name}`);
  /** No message of protobuf, which the pipeline refuses when it runs the call. */
  const NO_PAYLOAD = Uint8Array.of(255);

  /** Where a call came by. */
  let way: string[];

  /** The RPCs of all services for a session of a kind, with parts that tell where a call comes by. */
  function rpcsFor(kind: number) {
    const through = (name: string) => (of: string, caller: SealedCall, run: () => Promise<unknown>) => {
      expect([of, caller.signal]).to.deep.equal([userId, context.signal]);
      way.push(name);
      return run();
    };
    const told = {
      ...parts,
      sessionKeys: { known: () => keysOf(kind) },
      gate: { spend: async (call: SealedCall) => Object.assign(call, { spent: true }) },
      turns: { run: through('turn') },
      bulk: {
        run: through('piece'),
        otherBegins: () => way.push('begins'),
        otherEnds: () => way.push('ends'),
      },
    } as unknown as PipelineParts;
    const run = async function* () {
      yield { revision: 1n };
      yield { revision: 2n };
    };
    return SERVICES.flatMap((service) =>
      serviceRpcs(service as typeof data.DataService, handlerOf(service, run as never), told),
    );
  }

  /** A request of the session; `sealedAs`: the number that its seal is for. */
  const requestTo = ({ path, method }: Rpc, plaintext: Uint8Array, sealedAs = 0n) => {
    const aad = requestAad(path, sessionId, sealedAs);
    const encryptedData = sealSync(keysOf(SESSION_KIND_LOGIN).clientToServer, plaintext, aad);
    return create(method.input, { secure: { sessionId, requestNumber: 0n, encryptedData } } as never);
  };

  /** The paths of all sealed unary RPCs by where their calls came by. */
  async function waysOf(kind: number, sealedAs?: bigint): Promise<Record<string, string[]>> {
    const ways: Record<string, string[]> = {};
    for (const rpc of rpcsFor(kind)) {
      if (rpc.kind !== 'unary' || getOption(rpc.method, access) === Access.PUBLIC) continue;
      way = [];
      await errorOf(rpc.call(requestTo(rpc, NO_PAYLOAD, sealedAs), context));
      const name = way.join(', ');
      ways[name] = [...(ways[name] ?? []), rpc.path];
    }
    return ways;
  }

  it('no call of a log-in session; one into a change goes as others do, and none is slower for it', async () => {
    const ways = await waysOf(SESSION_KIND_LOGIN);
    expect(ways).to.have.all.keys('begins, turn, ends', 'turn');
    expect(ways.turn).to.have.members(CHANGE_CALLS);
  });

  it('no request that does not open', async () => {
    const ways = await waysOf(SESSION_KIND_PASSWORD_CHANGE, 1n);
    expect(ways).to.have.all.keys('');
    expect(ways['']).to.include.members(CHANGE_CALLS);
  });

  it('no watch, whose opening is over before its first message', async () => {
    way = [];
    const watch = rpcsFor(SESSION_KIND_LOGIN).find(({ kind }) => kind === 'server_streaming') as StreamingRpc;
    for await (const _ of watch.call(requestTo(watch, new Uint8Array()), context))
      expect(way).to.deep.equal(['turn', 'begins', 'ends']);
    expect(way).to.have.length(3);
  });

  it('the calls of a password change, which take a turn when they may begin, and not its abort', async () => {
    const ways = await waysOf(SESSION_KIND_PASSWORD_CHANGE);
    expect(ways).to.have.all.keys('begins, turn, ends', 'piece, turn');
    expect(ways['piece, turn']).to.have.members(CHANGE_CALLS);
  });
});

describe('the contract', () => {
  it('has three public RPCs, and a session for every other', () => {
    const services = [data.DataService, password.PasswordService, session.SessionService, user.UserService];
    const byAccess = (wanted: Access) =>
      services.flatMap(({ methods }) => methods.filter((method) => getOption(method, access) === wanted));
    expect(byAccess(Access.UNSPECIFIED)).to.deep.equal([]);
    expect(byAccess(Access.PUBLIC).map(({ name }) => name)).to.have.members([
      'RegisterUser',
      'StartSession',
      'AuthenticateSession',
    ]);
    expect(byAccess(Access.ANY_SESSION).map(({ name }) => name)).to.deep.equal(['AbortPasswordChange']);
    expect(byAccess(Access.LOGIN_SESSION_FIRST_REQUEST).map(({ name }) => name)).to.deep.equal([
      'ChangeUsername',
      'DeleteUser',
    ]);
  });
});
