/** Logging in: SRP-6a in two calls, and the session that it opens (docs/authentication.md). */
import { create, fromBinary } from '@bufbuild/protobuf';
import {
  type AuthenticateSessionResponse,
  AuthenticateSessionResultSchema,
  SessionService,
  type StartSessionResponse,
  AuthenticateSessionRequestSchema,
} from '../../gen/passmanager/session/v1/session_service_pb.ts';
import { Code } from '@connectrpc/connect';
import { loginResultAad } from '../protocol/aad.ts';
import { equalBytes } from '../protocol/bytes.ts';
import { loginContext, PROTOCOL_VERSION } from '../protocol/handshake.ts';
import type { KdfParameters } from '../protocol/kdf.ts';
import type { PasswordKeys } from '../protocol/keys.ts';
import { open } from '../protocol/seal.ts';
import { SALT_BYTES } from '../protocol/sizes.ts';
import { deriveKeys, wipeKeys } from './credentials.ts';
import { SessionEndedError, UntrustedAnswerError, WrongCredentialsError } from './errors.ts';
import type { Platform } from './platform.ts';
import { callPublic } from './public_call.ts';
import type { RetryPolicy } from './retry.ts';
import { SealedSession, sessionSealKeys } from './sealed_session.ts';
import { CallFailure } from './server_failure.ts';
import { proveSecret, requireServerProof } from './srp_proof.ts';
import type { VaultTransport } from './transport.ts';

/** What a caller may ask of a session. The server may cap both, and says what is in force. */
export interface RequestedLimits {
  /** How many requests; 0n: the server's default; -1n: unlimited. */
  readonly maximumRequests: bigint;
  /** How many seconds from the log-in; 0n: the server's default; -1n: unlimited. */
  readonly expirySeconds: bigint;
}

/** The part of a derivation that proves the password again without asking for it. Cannot open the vault header. */
export interface KeptSecret {
  /** 32 bytes. */
  readonly srpSecret: Uint8Array;
  /** 32 bytes. */
  readonly masterKeySalt: Uint8Array;
  readonly kdf: KdfParameters;
}

/** What proves who one is. */
export type Secret = { readonly password: string } | { readonly kept: KeptSecret };

/** Where and as whom to log in. */
export interface LoginContext {
  readonly platform: Platform;
  readonly transport: VaultTransport;
  readonly retry: RetryPolicy;
  /** 32 bytes. */
  readonly usernameHash: Uint8Array;
  readonly limits: RequestedLimits;
  readonly signal?: AbortSignal | undefined;
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

/**
 * Logs in. Throws WrongCredentialsError for a wrong password or an unknown name, UntrustedAnswerError when the server does not
 * prove that it knows the verifier or names weak parameters, InvalidInputError for a refused password, SessionEndedError
 * when a kept secret no longer fits, UnavailableError when the server cannot be reached.
 */
export async function openSession(context: LoginContext, secret: Secret): Promise<Login> {
  for (let attempt = 0; ; attempt += 1) {
    const start = await startSession(context);
    const derived = await deriveSecret(context, secret, start);
    try {
      return await authenticate(context, start, derived);
    } catch (error) {
      // The attempt is spent, answered or not: a lost answer is settled by beginning again.
      if (error instanceof CallFailure && error.isTemporary && attempt + 1 < context.retry.attempts) continue;
      throw error;
    } finally {
      if ('password' in secret && derived.masterKey !== undefined) derived.masterKey = derived.masterKey;
    }
  }
}
