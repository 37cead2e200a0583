/** RPCs with the contract's descriptors and made-up behaviour, for tests of what stands in front of the pipeline. */
import {
  create,
  type DescMethodServerStreaming,
  type DescMethodUnary,
  type Message,
} from '@bufbuild/protobuf';
import { Code } from '@connectrpc/connect';
import { ErrorCode, FailureSchema } from '../../gen/passmanager/common/v1/error_pb.ts';
import { SecureResponseSchema } from '../../gen/passmanager/common/v1/secure_pb.ts';
import {
  DataService,
  type GetEntryRequest,
  GetEntryResponseSchema,
  WatchEntriesResponseSchema,
} from '../../gen/passmanager/data/v1/data_service_pb.ts';
import { PasswordService } from '../../gen/passmanager/password/v1/password_service_pb.ts';
import {
  SessionService,
  StartSessionResponseSchema,
} from '../../gen/passmanager/session/v1/session_service_pb.ts';
import {
  type RegisterUserRequest,
  RegisterUserResponseSchema,
  UserService,
} from '../../gen/passmanager/user/v1/user_service_pb.ts';
import { notDecrypted, RpcError, revisionConflict, temporaryOutage } from '../../src/server/errors.ts';
import type { Readiness } from '../../src/server/readiness.ts';
import type { CallContext, Rpc } from '../../src/server/rpc.ts';

/** The fakes, and what they saw. */
export interface FakeRpcs {
  readonly rpcs: Rpc[];
  /** One context per call that reached a handler, in order. */
  readonly contexts: CallContext[];
  /** Messages that WatchEntries has made so far. */
  readonly streamed: () => number;
  /** Lets the calls of StartSession finish. */
  release(): void;
}

/**
 * - RegisterUser answers the username_hash that it got, twice in a row for the invite code `double`.
 * - StartSession waits for release().
 * - AuthenticateSession fails in clear with RQS01.
 * - GetEntry answers encrypted_data, but fails with a sealed detail when it is empty.
 * - BatchUpdateEntries fails with OPR04 for as many entries as request_number says.
 * - UpdateEntry fails with OPR04, GetEntry's sibling in PasswordService throws what it must not throw.
 * - WatchEntries sends request_number messages, then waits until it is aborted and fails with SVR01.
 */
export function fakeRpcs(): FakeRpcs {
  const contexts: CallContext[] = [];
  let streamed = 0;
  let release = () => {};
  const released = new Promise<void>((resolve) => {
    release = resolve;
  });

  function unary(method: DescMethodUnary, answer: (request: Message) => Promise<Message>): Rpc {
    return {
      kind: 'unary',
      path: `/${method.parent.typeName}/${method.name}`,
      method,
      call(request, context) {
        contexts.push(context);
        return answer(request);
      },
    };
  }

  function stream(
    method: DescMethodServerStreaming,
    answer: (request: Message, signal: AbortSignal) => AsyncIterable<Message>,
  ): Rpc {
    return {
      kind: 'server_streaming',
      path: `/${method.parent.typeName}/${method.name}`,
      method,
      call(request, context) {
        contexts.push(context);
        return answer(request, context.signal);
      },
    };
  }

  return {
    contexts,
    streamed: () => streamed,
    release,
    rpcs: [
      unary(UserService.method.registerUser, async (request) => {
        const { usernameHash, inviteCode } = request as RegisterUserRequest;
        const answer = inviteCode === 'double' ? Buffer.concat([usernameHash, usernameHash]) : usernameHash;
        return create(RegisterUserResponseSchema, { usernameHash: answer });
      }),
      unary(SessionService.method.startSession, async () => {
        await released;
        return create(StartSessionResponseSchema, { ephemeralId: 'released' });
      }),
      unary(SessionService.method.authenticateSession, async () => {
        throw notDecrypted().inClear();
      }),
      unary(DataService.method.getEntry, async (request) => {
        const { encryptedData, sessionId } = (request as GetEntryRequest).secure!;
        if (encryptedData.length === 0) throw sealedError(sessionId);
        return create(GetEntryResponseSchema, { secure: { sessionId, encryptedData } });
      }),
      unary(DataService.method.updateEntry, async () => {
        throw revisionConflict(7n).inClear();
      }),
      unary(DataService.method.batchUpdateEntries, async (request) => {
        const count = Number((request as GetEntryRequest).secure!.requestNumber);
        const errorList = Array.from({ length: count }, (_, index) => ({
          field: `entries[${index}].expected_revision`,
          code: ErrorCode.REVISION_CONFLICT,
          description: 'revision conflict',
          currentRevision: 7n,
        }));
        // More reasons than a failure of ours ever names: what the doors do with a detail that is too large.
        throw new RpcError(Code.Aborted, FailureSchema, create(FailureSchema, { errorList }));
      }),
      unary(PasswordService.method.getEntry, async () => {
        throw new Error('a mistake of the programmer');
      }),
      stream(DataService.method.watchEntries, async function* (request, signal) {
        const { requestNumber } = (request as GetEntryRequest).secure!;
        for (let sent = 0n; sent < requestNumber; sent += 1n) {
          streamed += 1;
          yield create(WatchEntriesResponseSchema, { secure: { sessionId: String(sent) } });
        }
        if (!signal.aborted) {
          await new Promise<void>((resolve) => signal.addEventListener('abort', () => resolve()));
        }
        throw temporaryOutage().inClear();
      }),
    ],
  };
}

function sealedError(sessionId: string): RpcError {
  const detail = create(SecureResponseSchema, { sessionId, encryptedData: Uint8Array.of(1, 2, 3) });
  return new RpcError(notDecrypted().status, SecureResponseSchema, detail);
}

/** A readiness that a test switches. */
export class FakeReadiness implements Readiness {
  readonly #listeners = new Set<(serving: boolean) => void>();
  #serving = true;

  set(serving: boolean): void {
    this.#serving = serving;
    for (const listener of this.#listeners) listener(serving);
  }

  /** Listeners that have not gone yet. */
  get listening(): number {
    return this.#listeners.size;
  }

  isServing(): boolean {
    return this.#serving;
  }

  warning(): string | undefined {
    return undefined;
  }

  details(): Readonly<Record<string, unknown>> {
    return {};
  }

  onChange(listener: (serving: boolean) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }
}
