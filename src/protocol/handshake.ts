/** What a proof is about: everything that either side said in clear before it. */
import { concatBytes, frame, i64, sha256, u32 } from './bytes.ts';
import { type KdfParameters, kdfBytes } from './kdf.ts';

/** The highest protocol that this code speaks. */
export const PROTOCOL_VERSION = 1;

/** The salts and parameters that a proof is made with. */
export interface ProofParameters {
  /** 32 bytes. */
  readonly srpSalt: Uint8Array;
  /** 32 bytes. */
  readonly masterKeySalt: Uint8Array;
  readonly kdf: KdfParameters;
}

/** What a log-in binds beside the parameters. The limits are those that were asked for, not those in force. */
export interface LoginTerms extends ProofParameters {
  /** 32 bytes. */
  readonly usernameHash: Uint8Array;
  readonly maximumRequests: bigint;
  readonly expirySeconds: bigint;
  readonly clientProtocol: number;
  readonly serverProtocol: number;
}

/** The context of a log-in. */
export function loginContext(terms: LoginTerms): Uint8Array {
  return handshakeContext('passmanager/v1 login', terms.usernameHash, terms, new Uint8Array(0));
}

/** The context of the proof of the current password: session_id of the log-in session, current parameters. */
export function passwordChangeContext(
  terms: ProofParameters & { sessionId: string; pending: Uint8Array },
): Uint8Array {
  return handshakeContext(
    'passmanager/v1 password change',
    terms.sessionId,
    withoutLimits(terms),
    terms.pending,
  );
}

/** The context of the proof of the new password: the change session's id, new parameters. */
export function passwordCommitContext(
  terms: ProofParameters & { changeSessionId: string; pending: Uint8Array },
): Uint8Array {
  return handshakeContext(
    'passmanager/v1 password commit',
    terms.changeSessionId,
    withoutLimits(terms),
    terms.pending,
  );
}

/** The digest of announced credentials, 32 bytes: what was announced is what gets committed. */
export function pendingDigest(announced: {
  /** 32 bytes. */
  readonly srpSalt: Uint8Array;
  /** PAD(v), 512 bytes. */
  readonly srpVerifier: Uint8Array;
  /** 32 bytes. */
  readonly masterKeySalt: Uint8Array;
  readonly kdf: KdfParameters;
  readonly encryptedVaultHeader: Uint8Array;
}): Uint8Array {
  const { srpSalt, srpVerifier, masterKeySalt, kdf, encryptedVaultHeader } = announced;
  return sha256(frame(srpSalt, srpVerifier, masterKeySalt, kdfBytes(kdf), encryptedVaultHeader));
}

type Limits = Pick<LoginTerms, 'maximumRequests' | 'expirySeconds' | 'clientProtocol' | 'serverProtocol'>;

function withoutLimits(parameters: ProofParameters): ProofParameters & Limits {
  return { ...parameters, maximumRequests: 0n, expirySeconds: 0n, clientProtocol: 0, serverProtocol: 0 };
}

function handshakeContext(
  label: string,
  subject: Uint8Array | string,
  terms: ProofParameters & Limits,
  pending: Uint8Array,
): Uint8Array {
  return frame(
    label,
    subject,
    terms.srpSalt,
    terms.masterKeySalt,
    kdfBytes(terms.kdf),
    i64(terms.maximumRequests),
    i64(terms.expirySeconds),
    concatBytes(u32(terms.clientProtocol), u32(terms.serverProtocol)),
    pending,
  );
}
