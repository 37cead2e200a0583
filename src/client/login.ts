/** Logging in: SRP-6a in two calls, and the session that it opens (docs/authentication.md). */
import { fromBinary } from '@bufbuild/protobuf';
import { Code } from '@connectrpc/connect';
import {
  type AuthenticateSessionResponse,
  type AuthenticateSessionResult,
  AuthenticateSessionResultSchema,
  SessionService,
  type StartSessionResponse,
} from '../../gen/passmanager/session/v1/session_service_pb.ts';
import { loginResultAad } from '../protocol/aad.ts';
import { equalBytes } from '../protocol/bytes.ts';
import { loginContext, PROTOCOL_VERSION } from '../protocol/handshake.ts';
import { isSameKdf, type KdfParameters } from '../protocol/kdf.ts';
import { open } from '../protocol/seal.ts';
import { SALT_BYTES } from '../protocol/sizes.ts';
import { isUuid } from '../protocol/uuid.ts';
import { deriveKeys } from './credentials.ts';
import { SessionEndedError, UntrustedAnswerError, WrongCredentialsError } from './errors.ts';
import { type CallContext, callOnce, callPublic, waitOrGiveUp } from './public_call.ts';
import { SealedSession, type SessionSealKeys, sessionSealKeys } from './sealed_session.ts';
import { CallFailure, toVaultError } from './server_failure.ts';
import { proveSecret, requireServerProof } from './srp_proof.ts';

/** What a caller may ask of a session. The server may cap both, and says what is in force. */
export interface RequestedLimits {
  /** How many requests; 0n: the server's default; -1n: unlimited. */
  readonly maximumRequests: bigint;
  /** How many seconds from the log-in; 0n: the server's default; -1n: unlimited. */
  readonly expirySeconds: bigint;
}

/** What a log-in that serves one purpose asks for. */
export const BRIEF_LIMITS: RequestedLimits = { maximumRequests: 10n, expirySeconds: 300n };

/** The part of a derivation that proves the password again without asking for it. It cannot open the vault header. */
export interface KeptSecret {
  /** 32 bytes. */
  readonly srpSecret: Uint8Array;
  /** 32 bytes. */
  readonly masterKeySalt: Uint8Array;
  readonly kdf: KdfParameters;
}

/** What proves who one is. */
export type Secret = { readonly password: string } | { readonly kept: KeptSecret };

/** As whom to log in, and for how long. */
export interface LoginContext extends CallContext {
  /** 32 bytes. */
  readonly usernameHash: Uint8Array;
  readonly limits: RequestedLimits;
}

/** A session that both sides have proved, and what came with it. */
export interface Login {
  readonly session: SealedSession;
  readonly encryptedVaultHeader: Uint8Array;
  readonly serverFeatures: readonly string[];
  readonly kept: KeptSecret;
  /** 32 bytes; undefined after a log-in with a kept secret. Whoever takes it overwrites it. */
  readonly masterKey: Uint8Array | undefined;
}

/** Lets go of a log-in that nobody goes on with: of its session's keys, and of what the password gave. */
export function discardLogin({ session, kept, masterKey }: Login): void {
  session.close();
  kept.srpSecret.fill(0);
  masterKey?.fill(0);
}

type Derived = KeptSecret & { readonly masterKey: Uint8Array | undefined };

/**
 * Logs in. Throws WrongCredentialsError for a wrong password or an unknown name, UntrustedAnswerError when the server does
 * not prove that it knows the verifier or names weak parameters, InvalidInputError for a refused password,
 * SessionEndedError when a kept secret no longer fits, UnavailableError when the server cannot be reached.
 */
export async function openSession(context: LoginContext, secret: Secret): Promise<Login> {
  let derived: Derived | undefined;
  try {
    for (let attempt = 0; ; attempt += 1) {
      const start = await startSession(context);
      if (derived === undefined || !isSameDerivation(derived, start))
        derived = await derive(context, secret, start);
      try {
        return await authenticate(context, start, derived);
      } catch (error) {
        // The server's attempt is spent, answered or not: a lost answer is settled by beginning again.
        await waitOrGiveUp(context, error, attempt);
      }
    }
  } catch (error) {
    if (derived !== undefined && 'password' in secret) derived.srpSecret.fill(0);
    derived?.masterKey?.fill(0);
    if (!(error instanceof CallFailure)) throw error;
    throw error.status === Code.Unauthenticated ? new WrongCredentialsError(error) : toVaultError(error);
  }
}

interface Start extends StartSessionResponse {
  readonly kdf: NonNullable<StartSessionResponse['kdf']>;
}

async function startSession(context: LoginContext): Promise<Start> {
  const start = await callPublic(context, SessionService.method.startSession, {
    usernameHash: context.usernameHash,
    clientProtocol: PROTOCOL_VERSION,
  });
  if (start.kdf === undefined) throw new UntrustedAnswerError('no KDF parameters');
  if (start.srpSalt.length !== SALT_BYTES || start.masterKeySalt.length !== SALT_BYTES) {
    throw new UntrustedAnswerError('a salt of a wrong length');
  }
  if (start.serverProtocol < PROTOCOL_VERSION) throw new UntrustedAnswerError('no protocol in common');
  if (!isUuid(start.ephemeralId)) throw new UntrustedAnswerError('an attempt without an id');
  return start as Start;
}

async function derive({ platform }: LoginContext, secret: Secret, start: Start): Promise<Derived> {
  const { masterKeySalt, kdf } = start;
  if ('password' in secret) {
    return { ...(await deriveKeys(platform, secret.password, masterKeySalt, kdf)), masterKeySalt, kdf };
  }
  if (!isSameDerivation(secret.kept, start)) throw new SessionEndedError();
  return { ...secret.kept, masterKey: undefined };
}

/** Whether a server names the salt and the parameters that a secret was derived with. */
export function isSameDerivation(
  kept: KeptSecret,
  { masterKeySalt, kdf }: { readonly masterKeySalt: Uint8Array; readonly kdf?: KdfParameters | undefined },
): boolean {
  return equalBytes(kept.masterKeySalt, masterKeySalt) && kdf !== undefined && isSameKdf(kept.kdf, kdf);
}

async function authenticate(context: LoginContext, start: Start, derived: Derived): Promise<Login> {
  const { platform, transport, usernameHash, limits } = context;
  const { srpSalt, masterKeySalt, kdf, serverProtocol } = start;
  const proof = proveSecret(platform.random, {
    publicB: start.ephPublicB,
    srpSalt,
    srpSecret: derived.srpSecret,
    context: loginContext({
      usernameHash,
      srpSalt,
      masterKeySalt,
      kdf,
      ...limits,
      clientProtocol: PROTOCOL_VERSION,
      serverProtocol,
    }),
  });
  const openedAt = platform.now();
  const answer = await callOnce(context, SessionService.method.authenticateSession, {
    usernameHash,
    ephemeralId: start.ephemeralId,
    ephPublicA: proof.publicA,
    clientProofM1: proof.clientProof,
    ...limits,
  });
  requireServerProof(proof, answer.serverProofM2);
  const keys = await sessionSealKeys(proof.sessionKey);
  const result = await openResult(answer, keys);
  const session = new SealedSession({
    transport,
    platform,
    id: answer.sessionId,
    keys,
    limits: { maximumRequests: result.maximumRequests, expirySeconds: result.expirySeconds },
    openedAt,
  });
  const { srpSecret, masterKey } = derived;
  return {
    session,
    encryptedVaultHeader: result.encryptedVaultHeader,
    serverFeatures: result.serverFeatures,
    kept: { srpSecret, masterKeySalt, kdf },
    masterKey,
  };
}

async function openResult(
  answer: AuthenticateSessionResponse,
  keys: SessionSealKeys,
): Promise<AuthenticateSessionResult> {
  try {
    const plaintext = await open(
      keys.serverToClient,
      answer.encryptedResult,
      loginResultAad(answer.sessionId),
    );
    return fromBinary(AuthenticateSessionResultSchema, plaintext);
  } catch (error) {
    throw new UntrustedAnswerError('the result of the log-in does not open', error);
  }
}
