/** From the password to the keys of the client, and from K to the keys of a session. */
import { hkdf, utf8 } from './bytes.ts';
import { ProtocolError } from './errors.ts';
import { type KdfParameters, refusedKdfFields } from './kdf.ts';
import { KEY_BYTES, SALT_BYTES } from './sizes.ts';

/** Argon2id, version 0x13 (RFC 9106): 32 bytes from the password's bytes and a salt of 32 bytes. */
export type Argon2id = (password: Uint8Array, salt: Uint8Array, kdf: KdfParameters) => Promise<Uint8Array>;

/** UTF-8(NFKC(password)). Throws ProtocolError 'password' for an empty one and for lone surrogates. */
export function passwordBytes(password: string): Uint8Array {
  if (password === '') throw new ProtocolError('password', 'a password is not empty');
  if (!password.isWellFormed()) throw new ProtocolError('password', 'a password has no lone surrogates');
  return utf8(password.normalize('NFKC'));
}

/** The keys that a password gives. 32 bytes each. */
export interface PasswordKeys {
  /** Proves the password to the server. */
  readonly srpSecret: Uint8Array;
  /** Seals the vault header. */
  readonly masterKey: Uint8Array;
}

/**
 * root = Argon2id(password, salt), and from it by HKDF the SRP secret and the master key. Refuses weak or absurd
 * parameters before it derives anything (ProtocolError 'kdf'). Overwrites the root and the password's bytes after use.
 */
export async function derivePasswordKeys(
  argon2id: Argon2id,
  password: string,
  masterKeySalt: Uint8Array,
  kdf: KdfParameters,
): Promise<PasswordKeys> {
  const refused = refusedKdfFields(kdf);
  if (refused.length > 0) throw new ProtocolError('kdf', `refused KDF parameters: ${refused.join(', ')}`);
  if (masterKeySalt.length !== SALT_BYTES) throw new ProtocolError('length', 'master_key_salt has 32 bytes');
  const secret = passwordBytes(password);
  const root = await argon2id(secret, masterKeySalt, kdf);
  secret.fill(0);
  if (root.length !== KEY_BYTES) throw new ProtocolError('length', 'Argon2id gives 32 bytes');
  const keys = {
    srpSecret: hkdf(root, 'passmanager/v1 srp secret'),
    masterKey: hkdf(root, 'passmanager/v1 master key'),
  };
  root.fill(0);
  return keys;
}

/** The keys of a session, one a direction. 32 bytes each. */
export interface SessionKeyPair {
  readonly clientToServer: Uint8Array;
  readonly serverToClient: Uint8Array;
}

/** The two keys of a session from K (32 bytes). */
export function deriveSessionKeys(sessionKey: Uint8Array): SessionKeyPair {
  return {
    clientToServer: hkdf(sessionKey, 'passmanager/v1 client to server'),
    serverToClient: hkdf(sessionKey, 'passmanager/v1 server to client'),
  };
}
