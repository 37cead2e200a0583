/**
 * What the proofs of a handshake are bound to: everything that either side said in clear before them, so that nothing of
 * it can be changed on the way and a later version cannot be talked down to this one. The context takes the place that
 * the identity has in RFC 2945's M1.
 */
import { concatBytes, frame, i64, sha256, u32 } from './bytes.ts';
import { requireLength } from './errors.ts';
import { type KdfParameters, kdfBytes } from './kdf.ts';
import { GROUP_ELEMENT_BYTES, HASH_BYTES, SALT_BYTES, USERNAME_HASH_BYTES } from './sizes.ts';

/** The highest protocol that this code speaks. */
export const PROTOCOL_VERSION = 1;

/** What the server hands out before a proof. Both salts have 32 bytes. */
export interface HandshakeParameters {
  readonly srpSalt: Uint8Array;
  readonly masterKeySalt: Uint8Array;
  readonly kdf: KdfParameters;
}

/** What the proofs of a log-in hold. */
export interface LoginHandshake extends HandshakeParameters {
  /** 32 bytes. */
  readonly usernameHash: Uint8Array;
  /** As asked for: 0 = the server's default, -1 = unlimited. */
  readonly maximumRequests: bigint;
  /** As asked for: 0 = the server's default, -1 = unlimited. */
  readonly expirySeconds: bigint;
  /** The highest protocol that the client named. */
  readonly clientProtocol: number;
  /** The highest protocol that the server named. */
  readonly serverProtocol: number;
}

/** What the proof of the current password holds. */
export interface PasswordChangeHandshake extends HandshakeParameters {
  /** The login session that the change was begun in. */
  readonly sessionId: string;
  /** `pendingDigest` of what was announced, 32 bytes. */
  readonly pending: Uint8Array;
}

/** What the proof of the new password holds. */
export interface PasswordCommitHandshake extends HandshakeParameters {
  /** The password-change session. */
  readonly changeSessionId: string;
  /** `pendingDigest` of what was announced, 32 bytes. */
  readonly pending: Uint8Array;
}

/** The new credentials as a password change announces them. */
export interface AnnouncedCredentials extends HandshakeParameters {
  /** 512 bytes. */
  readonly srpVerifier: Uint8Array;
  readonly encryptedVaultHeader: Uint8Array;
}

/** The context of a login's proofs. Throws 'wrong length' and 'out of range'. */
export function loginContext(login: LoginHandshake): Uint8Array {
  requireLength('username_hash', login.usernameHash, USERNAME_HASH_BYTES);
  return context('passmanager/v1 login', login.usernameHash, login, login, new Uint8Array(0));
}

/** The context that proves the CURRENT password in the session that began the change; salts and kdf are the current ones. */
export function passwordChangeContext(change: PasswordChangeHandshake): Uint8Array {
  requireLength('pending', change.pending, HASH_BYTES);
  return context('passmanager/v1 password change', change.sessionId, change, NO_LIMITS, change.pending);
}

/** The context that proves the NEW password in the change session; salts and kdf are the new ones. */
export function passwordCommitContext(commit: PasswordCommitHandshake): Uint8Array {
  requireLength('pending', commit.pending, HASH_BYTES);
  return context('passmanager/v1 password commit', commit.changeSessionId, commit, NO_LIMITS, commit.pending);
}

/** What a change announced, in 32 bytes: both of its proofs hold it, so nothing else can be committed. */
export function pendingDigest(announced: AnnouncedCredentials): Uint8Array {
  requireLength('srp_salt', announced.srpSalt, SALT_BYTES);
  requireLength('srp_verifier', announced.srpVerifier, GROUP_ELEMENT_BYTES);
  requireLength('master_key_salt', announced.masterKeySalt, SALT_BYTES);
  return sha256(
    frame(
      announced.srpSalt,
      announced.srpVerifier,
      announced.masterKeySalt,
      kdfBytes(announced.kdf),
      announced.encryptedVaultHeader,
    ),
  );
}

type Limits = Pick<LoginHandshake, 'maximumRequests' | 'expirySeconds' | 'clientProtocol' | 'serverProtocol'>;

const NO_LIMITS: Limits = { maximumRequests: 0n, expirySeconds: 0n, clientProtocol: 0, serverProtocol: 0 };

function context(
  label: string,
  subject: Uint8Array | string,
  parameters: HandshakeParameters,
  limits: Limits,
  pending: Uint8Array,
): Uint8Array {
  requireLength('srp_salt', parameters.srpSalt, SALT_BYTES);
  requireLength('master_key_salt', parameters.masterKeySalt, SALT_BYTES);
  return frame(
    label,
    subject,
    parameters.srpSalt,
    parameters.masterKeySalt,
    kdfBytes(parameters.kdf),
    i64(limits.maximumRequests),
    i64(limits.expirySeconds),
    concatBytes(u32(limits.clientProtocol), u32(limits.serverProtocol)),
    pending,
  );
}
