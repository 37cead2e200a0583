/**
 * What is the same for every call, composed once per method and shared by both doors: the access rule of the contract,
 * opening and sealing, validation of all fields at once, errors. A new RPC is an entry in the contract and a method of
 * its handler.
 */
import {
  create,
  type DescMessage,
  type DescMethod,
  type DescMethodServerStreaming,
  type DescMethodUnary,
  type DescService,
  fromBinary,
  getOption,
  type Message,
  type MessageInitShape,
  toBinary,
} from '@bufbuild/protobuf';
import { Access, access } from '../../gen/passmanager/common/v1/access_pb.ts';
import { FailureSchema } from '../../gen/passmanager/common/v1/error_pb.ts';
import {
  type SecureRequest,
  type SecureResponse,
  SecureResponseSchema,
} from '../../gen/passmanager/common/v1/secure_pb.ts';
import { openSync, sealSync } from '../database/aead.ts';
import { failureAad, methodPath, requestAad, responseAad, streamAad } from '../protocol/aad.ts';
import { REQUEST_NUMBER_LIMIT } from '../protocol/sizes.ts';
import { isUuid } from '../protocol/uuid.ts';
import type { BulkTurns } from './bulk_turns.ts';
import {
  fieldsInvalid,
  incorrectParameters,
  notDecrypted,
  RpcError,
  RpcFailure,
  toFailure,
} from './errors.ts';
import type { FieldRules } from './field_rules.ts';
import type { Logger } from './log.ts';
import type { RequestGate } from './request_gate.ts';
import { SealedCall } from './request_gate.ts';
import { type CallContext, READ_OPTIONS, type Rpc } from './rpc.ts';
import { SESSION_KIND_PASSWORD_CHANGE, type SessionKeys } from './session_keys.ts';
import type { UserTurns } from './user_turns.ts';

/** The methods of a handler class for a service of the contract. */
export type HandlerOf<S extends DescService> = {
  // biome-ignore lint/suspicious/noExplicitAny: each method declares its own payload and result; the pipeline holds them to the contract at start.
  [M in keyof S['method']]: (payload: any, call: any) => Promise<unknown> | AsyncIterable<unknown>;
};

/** What the pipeline needs. */
export interface PipelineParts {
  readonly sessionKeys: SessionKeys;
  readonly gate: RequestGate;
  readonly rules: FieldRules;
  readonly turns: UserTurns;
  readonly bulk: BulkTurns;
  readonly log: Logger;
}

/** A public call, as its handler sees it. */
export type PublicCall = CallContext;

type Method = (payload: Message, call: unknown) => Promise<unknown> | AsyncIterable<unknown>;

/**
 * The RPCs of one service. Throws when a method has no access rule, no handler, no payload or result of its own name, or
 * a field without a rule: what was forgotten does not start.
 */
export function serviceRpcs<S extends DescService>(
  service: S,
  handler: HandlerOf<S>,
  parts: PipelineParts,
): Rpc[] {
  return service.methods.map((method) => {
    const run = (handler as Record<string, unknown>)[method.localName];
    if (typeof run !== 'function') throw new Error(`${service.typeName}/${method.name} has no handler`);
    const bound = (run as Method).bind(handler);
    const rule = getOption(method, access);
    if (rule === Access.UNSPECIFIED) throw new Error(`${service.typeName}/${method.name} has no access rule`);
    return rule === Access.PUBLIC
      ? publicRpc(method, bound, parts)
      : new SealedRpc(method, rule, bound, parts).toRpc();
  });
}

/** The largest public request, RegisterUser with a full vault header, has some 17 KiB; anybody may send one. */
const MAX_PUBLIC_REQUEST_BYTES = 64 * 1024;

function publicRpc(method: DescMethod, run: Method, { rules, log }: PipelineParts): Rpc {
  if (!isUnary(method)) throw new Error(`${methodPath(method)}: a public RPC is unary`);
  rules.requireRules(method.input);
  const path = methodPath(method);
  return {
    kind: 'unary',
    path,
    method,
    maxRequestBytes: MAX_PUBLIC_REQUEST_BYTES,
    async call(request, context) {
      try {
        const refused = rules.refusedFields(method.input, request);
        if (refused.length > 0) throw fieldsInvalid(refused);
        return create(method.output, (await run(request, context)) as MessageInitShape<DescMessage>);
      } catch (error) {
        throw report(toFailure(error), path, context, log).inClear();
      }
    },
  };
}

/** One sealed RPC: opens, checks, runs, seals. */
class SealedRpc {
  readonly #method: DescMethod;
  readonly #access: Access;
  /** Whether only a password change calls it. */
  readonly #isBulk: boolean;
  readonly #run: Method;
  readonly #parts: PipelineParts;
  readonly #path: string;
  readonly #payloadSchema: DescMessage;
  readonly #resultSchema: DescMessage;

  constructor(method: DescMethod, rule: Access, run: Method, parts: PipelineParts) {
    this.#method = method;
    this.#access = rule;
    this.#isBulk = rule === Access.PASSWORD_CHANGE_SESSION;
    this.#run = run;
    this.#parts = parts;
    this.#path = methodPath(method);
    this.#payloadSchema = messageNamed(method, 'Payload');
    this.#resultSchema = messageNamed(method, 'Result');
    parts.rules.requireRules(this.#payloadSchema);
  }

  toRpc(): Rpc {
    const method = this.#method;
    if (isUnary(method)) {
      return {
        kind: 'unary',
        path: this.#path,
        method,
        call: (request, context) => this.#unary(request, context),
      };
    }
    if (isServerStreaming(method)) {
      return {
        kind: 'server_streaming',
        path: this.#path,
        method,
        call: (request, context) => this.#stream(request, context),
      };
    }
    throw new Error(`${this.#path}: streams of requests cannot be sealed`);
  }

  async #unary(request: Message, context: CallContext): Promise<Message> {
    const { turns, bulk } = this.#parts;
    let call: SealedCall | undefined;
    try {
      const opened = await this.#open(request, context);
      call = opened.call;
      const { userId, kind } = call.session;
      // Other sessions are refused, and stand in no line of a change.
      if (this.#isBulk && kind === SESSION_KIND_PASSWORD_CHANGE) return await this.#piece(opened);
      // What does not open is nobody's call, and no change rests for it.
      if (!this.#isBulk) bulk.otherBegins();
      return await turns.run(userId, call, () => this.#answer(opened));
    } catch (error) {
      throw this.#refused(error, call, context);
    } finally {
      if (!this.#isBulk && call !== undefined) bulk.otherEnds();
    }
  }

  /** Takes a turn of the user's when it may begin, not before: an abort of the change finds one while pieces wait. */
  #piece(opened: { call: SealedCall; plaintext: Buffer }): Promise<Message> {
    const { turns, bulk } = this.#parts;
    const { call } = opened;
    const { userId } = call.session;
    return bulk.run(userId, call, () => turns.run(userId, call, () => this.#answer(opened)));
  }

  async #answer({ call, plaintext }: { call: SealedCall; plaintext: Buffer }): Promise<Message> {
    const payload = await this.#checked(call, plaintext);
    const result = await (this.#run(payload, call) as Promise<MessageInitShape<DescMessage>>);
    const { path, requestNumber, session } = call;
    return this.#sealed(call, this.#encoded(result), responseAad(path, session.sessionId, requestNumber));
  }

  async *#stream(request: Message, context: CallContext): AsyncGenerator<Message> {
    let call: SealedCall | undefined;
    try {
      const opened = await this.#open(request, context);
      call = opened.call;
      const payload = await this.#parts.turns.run(call.session.userId, call, () => this.#begun(opened));
      let sequence = 0n;
      for await (const result of this.#run(payload, call) as AsyncIterable<MessageInitShape<DescMessage>>) {
        const { path, requestNumber, session } = call;
        yield this.#sealed(
          call,
          this.#encoded(result),
          streamAad(path, session.sessionId, requestNumber, sequence),
        );
        sequence += 1n;
      }
    } catch (error) {
      throw this.#refused(error, call, context);
    }
  }

  /** The payload of a stream, whose number is spent: what follows is in no turn, and may last for days. */
  async #begun({ call, plaintext }: { call: SealedCall; plaintext: Buffer }): Promise<Message> {
    const { gate, bulk } = this.#parts;
    bulk.otherBegins();
    try {
      const payload = await this.#checked(call, plaintext);
      await gate.spend(call);
      return payload;
    } finally {
      bulk.otherEnds();
    }
  }

  /** The associated data is over what was received: the fields of the envelope, never protobuf serialized again. */
  async #open(request: Message, context: CallContext): Promise<{ call: SealedCall; plaintext: Buffer }> {
    const { secure } = request as Message & { secure?: SecureRequest };
    if (secure === undefined) throw incorrectParameters();
    const { sessionId, requestNumber, encryptedData } = secure;
    if (!isUuid(sessionId) || requestNumber >= REQUEST_NUMBER_LIMIT) throw notDecrypted();
    const { sessionKeys } = this.#parts;
    const session = sessionKeys.known(sessionId) ?? (await sessionKeys.find(sessionId));
    if (session === undefined) throw notDecrypted();
    let plaintext: Buffer;
    try {
      plaintext = openSync(
        session.clientToServer,
        encryptedData,
        requestAad(this.#path, sessionId, requestNumber),
      );
    } catch {
      throw notDecrypted();
    }
    const call = new SealedCall({ session, requestNumber, access: this.#access, path: this.#path, context });
    return { call, plaintext };
  }

  /** The payload with all its fields good. A refused one costs its number. */
  async #checked(call: SealedCall, plaintext: Buffer): Promise<Message> {
    let payload: Message | undefined;
    let refusal: RpcFailure | undefined;
    try {
      payload = fromBinary(this.#payloadSchema, plaintext, READ_OPTIONS);
    } catch {
      refusal = incorrectParameters();
    }
    if (payload !== undefined) {
      const refused = this.#parts.rules.refusedFields(this.#payloadSchema, payload);
      if (refused.length === 0) return payload;
      refusal = fieldsInvalid(refused);
    }
    // What the gate says of a password change comes after what is wrong with the message itself.
    await this.#parts.gate.spend(call).catch((error: unknown) => {
      if (!(error instanceof RpcFailure && call.spent)) throw error;
    });
    throw refusal;
  }

  #encoded(result: MessageInitShape<DescMessage>): Uint8Array {
    return toBinary(this.#resultSchema, create(this.#resultSchema, result));
  }

  #sealed(call: SealedCall, plaintext: Uint8Array, aad: Uint8Array): Message {
    return {
      $typeName: this.#method.output.typeName,
      secure: secureResponse(call, plaintext, aad),
    } as Message;
  }

  /** The error as it leaves: sealed if and only if the number was spent, and never where nobody knows the outcome. */
  #refused(error: unknown, call: SealedCall | undefined, context: CallContext): RpcError {
    const failure = report(toFailure(error), this.#path, context, this.#parts.log);
    if (call === undefined || !call.spent || failure.isOutcomeUnknown) return failure.inClear();
    const { path, requestNumber, session } = call;
    const plaintext = toBinary(FailureSchema, failure.toMessage());
    const secure = secureResponse(call, plaintext, failureAad(path, session.sessionId, requestNumber));
    return new RpcError(failure.status, SecureResponseSchema, secure, failure);
  }
}

/** A message is an object with its name; `create` would only go through what is all set here, on every call. */
function secureResponse({ session }: SealedCall, plaintext: Uint8Array, aad: Uint8Array): SecureResponse {
  return {
    $typeName: SecureResponseSchema.typeName,
    sessionId: session.sessionId,
    encryptedData: sealSync(session.serverToClient, plaintext, aad),
  };
}

function isUnary(method: DescMethod): method is DescMethodUnary {
  return method.methodKind === 'unary';
}

function isServerStreaming(method: DescMethod): method is DescMethodServerStreaming {
  return method.methodKind === 'server_streaming';
}

/** Payload and result of a method by the contract's naming rule. */
function messageNamed(method: DescMethod, suffix: 'Payload' | 'Result'): DescMessage {
  const name = `${method.parent.file.proto.package}.${method.name}${suffix}`;
  const found = method.parent.file.messages.find((message) => message.typeName === name);
  if (found === undefined) throw new Error(`${methodPath(method)} has no ${name}`);
  return found;
}

/** Logs what an operator must know: the server's own failures with their cause. */
function report(failure: RpcFailure, path: string, { requestId }: CallContext, log: Logger): RpcFailure {
  if (failure.errors[0]!.field === 'server') {
    log.error({ requestId, rpc: path, failure: failure.message, err: failure.cause }, 'an RPC failed');
  } else {
    log.debug({ requestId, rpc: path, failure: failure.message }, 'an RPC was refused');
  }
  return failure;
}
