/**
 * Every key and where it comes from. One slow derivation turns the password into a root (Argon2id, RFC 9106); HKDF (RFC
 * 5869) with one label a purpose turns the root into the SRP secret and the master key, and a session's K into the two
 * keys of its directions.
 */
import { hkdf, utf8 } from './bytes.ts';
import { ProtocolError, requireLength } from './errors.ts';
import { type KdfParameters, requireAcceptableKdf } from './kdf.ts';
import { KEY_BYTES, SALT_BYTES } from './sizes.ts';

/**
 * Argon2id version 0x13 with 32 bytes of output, no secret and no associated data. Comes in from outside: Node and
 * browsers have different ones.
 */
export type Argon2id = (password: Uint8Array, salt: Uint8Array, kdf: KdfParameters) => Promise<Uint8Array>;

/** What a password is worth, 32 bytes each. */
export interface PasswordKeys {
  /** What the SRP verifier is made of. */
  readonly srpSecret: Uint8Array;
  /** AES-256 key of the vault header, and of nothing else. */
  readonly masterKey: Uint8Array;
}

/** The AES-256 keys of a session, one a direction, 32 bytes each. */
export interface SessionDirectionKeys {
  readonly clientToServer: Uint8Array;
  readonly serverToClient: Uint8Array;
}

/** `UTF-8(NFKC(password))`. Throws 'not Unicode' for a lone surrogate and 'empty password'. Nothing is trimmed. */
export function passwordBytes(password: string): Uint8Array {
  if (!password.isWellFormed()) throw new ProtocolError('not Unicode', 'the password holds a lone surrogate');
  const bytes = utf8(password.normalize('NFKC'));
  if (bytes.length === 0) throw new ProtocolError('empty password', 'the password is empty');
  return bytes;
}

/**
 * Both keys of a password. `masterKeySalt` has 32 bytes. Throws as `passwordBytes`, 'wrong length' for another salt and
 * 'key derivation parameters', all before anything is derived.
 */
export async function derivePasswordKeys(
  argon2id: Argon2id,
  password: string,
  masterKeySalt: Uint8Array,
  kdf: KdfParameters,
): Promise<PasswordKeys> {
  requireAcceptableKdf(kdf);
  requireLength('master_key_salt', masterKeySalt, SALT_BYTES);
  const secret = passwordBytes(password);
  const root = await argon2id(secret, masterKeySalt, kdf);
  secret.fill(0);
  requireLength('root', root, KEY_BYTES);
  const keys = {
    srpSecret: hkdf(root, 'passmanager/v1 srp secret'),
    masterKey: hkdf(root, 'passmanager/v1 master key'),
  };
  root.fill(0);
  return keys;
}

/** The keys of a session whose SRP session key is `sessionKey` (K, 32 bytes). */
export function deriveSessionKeys(sessionKey: Uint8Array): SessionDirectionKeys {
  requireLength('K', sessionKey, KEY_BYTES);
  return {
    clientToServer: hkdf(sessionKey, 'passmanager/v1 client to server'),
    serverToClient: hkdf(sessionKey, 'passmanager/v1 server to client'),
  };
}
