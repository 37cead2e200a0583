/** From what a person types to what the protocol needs. */
import { create } from '@bufbuild/protobuf';
import {
  type KdfAlgorithm,
  type KdfParameters as KdfParametersMessage,
  KdfParametersSchema,
} from '../../gen/passmanager/common/v1/kdf_pb.ts';
import { ProtocolError } from '../protocol/errors.ts';
import type { HandshakeParameters } from '../protocol/handshake.ts';
import { type KdfParameters, refusedKdfFields } from '../protocol/kdf.ts';
import { derivePasswordKeys, type PasswordKeys } from '../protocol/keys.ts';
import { SALT_BYTES } from '../protocol/sizes.ts';
import { computeVerifier, computeX } from '../protocol/srp.ts';
import { usernameHash } from '../protocol/username.ts';
import { InvalidInputError, UntrustedAnswerError } from './errors.ts';
import type { Platform } from './platform.ts';

/** The 32 bytes that stand for a username. Throws InvalidInputError for an empty or malformed one. */
export function hashUsername(username: string): Uint8Array {
  try {
    return usernameHash(username);
  } catch (error) {
    throw asInputError(error);
  }
}

/** New salts, and all that a password gives with them. */
export interface NewCredentials extends HandshakeParameters, PasswordKeys {
  /** PAD(v), 512 bytes. */
  readonly srpVerifier: Uint8Array;
}

/** Draws new salts and derives from them. Throws InvalidInputError for a refused password or refused parameters. */
export async function makeCredentials(
  platform: Platform,
  password: string,
  kdf: KdfParameters,
): Promise<NewCredentials> {
  const refused = refusedKdfFields(kdf);
  if (refused.length > 0) throw new InvalidInputError(`refused KDF parameters: ${refused.join(', ')}`);
  const srpSalt = platform.random(SALT_BYTES);
  const masterKeySalt = platform.random(SALT_BYTES);
  const keys = await deriveKeys(platform, password, masterKeySalt, kdf);
  const x = computeX(srpSalt, keys.srpSecret);
  const srpVerifier = computeVerifier(x);
  x.fill(0);
  return { srpSalt, masterKeySalt, kdf, srpVerifier, ...keys };
}

/**
 * Derives with parameters that a server named. Throws UntrustedAnswerError, before anything is derived, when they are weak or
 * absurd: a server that lowers them could guess the password from the proof. InvalidInputError for a refused password.
 */
export async function deriveKeys(
  platform: Platform,
  password: string,
  masterKeySalt: Uint8Array,
  kdf: KdfParameters,
): Promise<PasswordKeys> {
  const refused = refusedKdfFields(kdf);
  if (refused.length > 0) throw new UntrustedAnswerError(`refused KDF parameters: ${refused.join(', ')}`);
  if (masterKeySalt.length !== SALT_BYTES) throw new UntrustedAnswerError('a salt of a wrong length');
  try {
    return await derivePasswordKeys(platform.argon2id, password, masterKeySalt, kdf);
  } catch (error) {
    throw asInputError(error);
  }
}

/** The parameters as the contract's message. */
export function kdfMessage(kdf: KdfParameters): KdfParametersMessage {
  return create(KdfParametersSchema, { ...kdf, algorithm: kdf.algorithm as KdfAlgorithm });
}

/** Overwrites both keys. */
export function wipeKeys({ srpSecret, masterKey }: PasswordKeys): void {
  srpSecret.fill(0);
  masterKey.fill(0);
}

/** What the protocol refuses here, the person typed. */
function asInputError(error: unknown): unknown {
  return error instanceof ProtocolError ? new InvalidInputError(error.message, error) : error;
}
