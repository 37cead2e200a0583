/**
 * A client that does just what a test says: it seals what it is told under the number it is told, and hands back what
 * came, opened. Made from the protocol and the contract, without the client library.
 */
import { randomBytes, randomUUID } from 'node:crypto';
import {
  create,
  type DescMessage,
  type DescMethodServerStreaming,
  type DescMethodUnary,
  fromBinary,
  type MessageInitShape,
  type MessageShape,
  toBinary,
} from '@bufbuild/protobuf';
import { Code, ConnectError, type Transport } from '@connectrpc/connect';
import { type Failure, FailureSchema } from '../../gen/passmanager/common/v1/error_pb.ts';
import { type SecureResponse, SecureResponseSchema } from '../../gen/passmanager/common/v1/secure_pb.ts';
import {
  type AuthenticateSessionResult,
  AuthenticateSessionResultSchema,
  SessionService,
} from '../../gen/passmanager/session/v1/session_service_pb.ts';
import { UserService } from '../../gen/passmanager/user/v1/user_service_pb.ts';
import { failureAad, loginResultAad, requestAad, responseAad, streamAad } from '../../src/protocol/aad.ts';
import { sha256, utf8 } from '../../src/protocol/bytes.ts';
import { loginContext } from '../../src/protocol/handshake.ts';
import type { KdfParameters } from '../../src/protocol/kdf.ts';
import { deriveSessionKeys } from '../../src/protocol/keys.ts';
import { importSealKey, open, type SealKey, seal } from '../../src/protocol/seal.ts';
import {
  clientProof,
  clientPublicA,
  clientSharedS,
  computeU,
  computeVerifier,
  computeX,
  type Modexp,
  modexp,
  serverProof,
  sessionKey,
} from '../../src/protocol/srp.ts';

export const TEST_KDF: KdfParameters = { algorithm: 1, memoryKib: 19_456, iterations: 2, parallelism: 1 };

const random = (bytes: number): Uint8Array => new Uint8Array(randomBytes(bytes));

/** What an account is registered with. The SRP secret stands for what Argon2id would give. */
export interface TestAccount {
  readonly usernameHash: Uint8Array;
  readonly srpSecret: Uint8Array;
  readonly srpSalt: Uint8Array;
  readonly srpVerifier: Uint8Array;
  readonly masterKeySalt: Uint8Array;
  readonly kdf: KdfParameters;
  readonly encryptedVaultHeader: Uint8Array;
}

export function makeAccount(name: string = randomUUID(), password = 'password'): TestAccount {
  const srpSalt = random(32);
  const srpSecret = sha256(utf8(`${password}`));
  return {
    usernameHash: sha256(utf8(name)),
    srpSecret,
    srpSalt,
    srpVerifier: computeVerifier(computeX(srpSalt, srpSecret)),
    masterKeySalt: random(32),
    kdf: TEST_KDF,
    encryptedVaultHeader: random(285),
  };
}

/** How a call failed: its status, its failure, and whether that came sealed. */
export interface Refusal {
  readonly status: Code;
  readonly failure: Failure | undefined;
  readonly sealed: boolean;
}

/** `RQS01 request`-like summary for assertions: codes and fields. */
export function reasons(refusal: Refusal): [number, string][] {
  return refusal.failure?.errorList.map(({ code, field }) => [code, field]) ?? [];
}

/** What a promise was refused with. Throws when it was not refused. */
export async function refusalOf(call: Promise<unknown>): Promise<Refusal> {
  try {
    await call;
  } catch (error) {
    if (error instanceof RefusedCall) return error.refusal;
    const connect = ConnectError.from(error);
    return { status: connect.code, failure: connect.findDetails(FailureSchema)[0], sealed: false };
  }
  throw new Error('the call was not refused');
}

class RefusedCall extends Error {
  readonly refusal: Refusal;

  constructor(refusal: Refusal) {
    super(
      `refused: ${Code[refusal.status]} ${JSON.stringify(reasons(refusal))}${refusal.sealed ? ' sealed' : ''}`,
    );
    this.refusal = refusal;
  }
}

/** One unary call with a message as it is. */
export async function callUnary<I extends DescMessage, O extends DescMessage>(
  transport: Transport,
  method: DescMethodUnary<I, O>,
  request: MessageInitShape<I>,
): Promise<MessageShape<O>> {
  const response = await transport.unary(method, undefined, undefined, undefined, request, undefined);
  return response.message;
}

export const register = (transport: Transport, account: TestAccount, inviteCode = '') =>
  callUnary(transport, UserService.method.registerUser, { ...account, inviteCode } as MessageInitShape<
    typeof UserService.method.registerUser.input
  >);

/** Keys and id of a session, and the next number. */
export class RawSession {
  readonly transport: Transport;
  readonly sessionId: string;
  readonly clientToServer: SealKey;
  readonly serverToClient: SealKey;
  next = 0n;

  constructor(transport: Transport, sessionId: string, clientToServer: SealKey, serverToClient: SealKey) {
    this.transport = transport;
    this.sessionId = sessionId;
    this.clientToServer = clientToServer;
    this.serverToClient = serverToClient;
  }

  static async fromKey(transport: Transport, sessionId: string, key: Uint8Array): Promise<RawSession> {
    const keys = deriveSessionKeys(key);
    return new RawSession(
      transport,
      sessionId,
      await importSealKey(keys.clientToServer),
      await importSealKey(keys.serverToClient),
    );
  }

  /** The same session on another way to a server. */
  over(transport: Transport): RawSession {
    const same = new RawSession(transport, this.sessionId, this.clientToServer, this.serverToClient);
    same.next = this.next;
    return same;
  }

  /** The sealed envelope of a payload. */
  async envelope(path: string, plaintext: Uint8Array, requestNumber: bigint) {
    const aad = requestAad(path, this.sessionId, requestNumber);
    return {
      sessionId: this.sessionId,
      requestNumber,
      encryptedData: await seal(this.clientToServer, plaintext, aad, random),
    };
  }

  /** One sealed call. `payload` is a message of the method's payload type, or bytes. */
  async call<P extends DescMessage>(
    method: DescMethodUnary,
    payloadSchema: P,
    payload: MessageInitShape<P> | Uint8Array,
    requestNumber: bigint = this.next++,
    // biome-ignore lint/suspicious/noExplicitAny: the result type follows from the method by the contract's naming rule.
  ): Promise<any> {
    const path = `/${method.parent.typeName}/${method.name}`;
    const plaintext =
      payload instanceof Uint8Array ? payload : toBinary(payloadSchema, create(payloadSchema, payload));
    const secure = await this.envelope(path, plaintext, requestNumber);
    return this.send(method, secure, requestNumber);
  }

  /** Sends an envelope as it is and opens what comes. */
  // biome-ignore lint/suspicious/noExplicitAny: as above.
  async send(method: DescMethodUnary, secure: unknown, requestNumber: bigint): Promise<any> {
    const path = `/${method.parent.typeName}/${method.name}`;
    let response: { secure: SecureResponse };
    try {
      response = (await callUnary(this.transport, method, { secure } as never)) as unknown as typeof response;
    } catch (error) {
      throw await this.refused(error, path, requestNumber);
    }
    const plaintext = await open(
      this.serverToClient,
      response.secure.encryptedData,
      responseAad(path, this.sessionId, requestNumber),
    );
    return fromBinary(resultSchema(method), plaintext);
  }

  /** A sealed stream, each message opened. */
  async *stream<P extends DescMessage>(
    method: DescMethodServerStreaming,
    payloadSchema: P,
    payload: MessageInitShape<P>,
    { requestNumber = this.next++, signal }: { requestNumber?: bigint; signal?: AbortSignal } = {},
    // biome-ignore lint/suspicious/noExplicitAny: as above.
  ): AsyncGenerator<any> {
    const path = `/${method.parent.typeName}/${method.name}`;
    const secure = await this.envelope(
      path,
      toBinary(payloadSchema, create(payloadSchema, payload)),
      requestNumber,
    );
    const messages = (async function* () {
      yield create(method.input, { secure } as never);
    })();
    let sequence = 0n;
    try {
      const response = await this.transport.stream(method, signal, undefined, undefined, messages, undefined);
      for await (const message of response.message) {
        const { encryptedData } = (message as unknown as { secure: SecureResponse }).secure;
        const aad = streamAad(path, this.sessionId, requestNumber, sequence);
        yield fromBinary(resultSchema(method), await open(this.serverToClient, encryptedData, aad));
        sequence += 1n;
      }
    } catch (error) {
      throw await this.refused(error, path, requestNumber);
    }
  }

  private async refused(error: unknown, path: string, requestNumber: bigint): Promise<Error> {
    if (!(error instanceof ConnectError)) return error as Error;
    const [sealed] = error.findDetails(SecureResponseSchema);
    if (sealed === undefined) {
      const [failure] = error.findDetails(FailureSchema);
      return new RefusedCall({ status: error.code, failure, sealed: false });
    }
    const plaintext = await open(
      this.serverToClient,
      sealed.encryptedData,
      failureAad(path, this.sessionId, requestNumber),
    );
    return new RefusedCall({
      status: error.code,
      failure: fromBinary(FailureSchema, plaintext),
      sealed: true,
    });
  }
}

function resultSchema(method: DescMethodUnary | DescMethodServerStreaming): DescMessage {
  const name = `${method.parent.file.proto.package}.${method.name}Result`;
  return method.parent.file.messages.find(({ typeName }) => typeName === name)!;
}

export interface LoginTerms {
  readonly maximumRequests?: bigint;
  readonly expirySeconds?: bigint;
  /** Changes the proof's inputs: for refusals. */
  readonly tamper?: (request: Record<string, unknown>) => void;
}

/** The first half of a log-in. */
export const startLogin = (transport: Transport, usernameHash: Uint8Array) =>
  callUnary(transport, SessionService.method.startSession, { usernameHash, clientProtocol: 1 });

/** A whole log-in. */
export async function logIn(
  transport: Transport,
  account: TestAccount,
  terms: LoginTerms = {},
): Promise<RawSession & { result: AuthenticateSessionResult }> {
  const started = await startLogin(transport, account.usernameHash);
  return finishLogin(transport, account, started, terms);
}

/** The second half of a log-in. */
export async function finishLogin(
  transport: Transport,
  account: TestAccount,
  started: Awaited<ReturnType<typeof startLogin>>,
  { maximumRequests = 0n, expirySeconds = 0n, tamper }: LoginTerms = {},
): Promise<RawSession & { result: AuthenticateSessionResult }> {
  const proof = proveSecret(account.srpSecret, started.srpSalt, started.ephPublicB, (publicA) => {
    void publicA;
    return loginContext({
      usernameHash: account.usernameHash,
      srpSalt: started.srpSalt,
      masterKeySalt: started.masterKeySalt,
      kdf: started.kdf!,
      maximumRequests,
      expirySeconds,
      clientProtocol: 1,
      serverProtocol: started.serverProtocol,
    });
  });
  const request = {
    usernameHash: account.usernameHash,
    ephemeralId: started.ephemeralId,
    ephPublicA: proof.publicA,
    clientProofM1: proof.m1,
    maximumRequests,
    expirySeconds,
  };
  tamper?.(request);
  const answer = await callUnary(transport, SessionService.method.authenticateSession, request);
  if (Buffer.compare(answer.serverProofM2, proof.m2) !== 0) throw new Error('M2 is wrong');
  const session = await RawSession.fromKey(transport, answer.sessionId, proof.key);
  const plaintext = await open(
    session.serverToClient,
    answer.encryptedResult,
    loginResultAad(answer.sessionId),
  );
  return Object.assign(session, { result: fromBinary(AuthenticateSessionResultSchema, plaintext) });
}

/** A, M1, the M2 to expect, and K. */
export function proveSecret(
  srpSecret: Uint8Array,
  srpSalt: Uint8Array,
  publicB: Uint8Array,
  contextOf: (publicA: Uint8Array) => Uint8Array,
  power: Modexp = modexp,
) {
  const a = random(40);
  const publicA = clientPublicA(a, power);
  const u = computeU(publicA, publicB);
  const key = sessionKey(clientSharedS(publicB, computeX(srpSalt, srpSecret), a, u, power));
  const m1 = clientProof(contextOf(publicA), srpSalt, publicA, publicB, key);
  return { publicA, m1, m2: serverProof(publicA, m1, key), key };
}
