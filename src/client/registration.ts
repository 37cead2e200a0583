/** Registering: new credentials and a new vault key; the server gets a verifier, salts and a sealed header. */
import { UserService } from '../../gen/passmanager/user/v1/user_service_pb.ts';
import { equalBytes } from '../protocol/bytes.ts';
import { DEFAULT_KDF_PARAMETERS, type KdfParameters } from '../protocol/kdf.ts';
import { hashUsername, kdfMessage, makeCredentials, wipeKeys } from './credentials.ts';
import { InsecureTransportError, UntrustedAnswerError } from './errors.ts';
import { type CallContext, callPublic } from './public_call.ts';
import { CallFailure, toVaultError } from './server_failure.ts';
import { newVaultHeader, sealVaultHeader } from './vault_header.ts';

/** Who registers, and how. */
export interface RegistrationOptions {
  readonly username: string;
  readonly password: string;
  /** Where the server asks for one. */
  readonly inviteCode?: string;
  /** How much work a guess at the password is. Default: Argon2id with 64 MiB, 3 passes, 1 lane. */
  readonly kdf?: KdfParameters;
  /** Registers over a connection that others may read, too: whoever reads the verifier can guess at the password. */
  readonly allowInsecure?: boolean;
  readonly signal?: AbortSignal;
}

/**
 * Registers. Doing it again after a lost answer is safe within one call; a second call draws new salts and is told
 * 'username_exists'. Throws InsecureTransportError, InvalidInputError, ServerRefusalError ('username_exists',
 * 'registration_refused'), TooManyRequestsError or UnavailableError.
 */
export async function register(context: CallContext, options: RegistrationOptions): Promise<void> {
  if (!context.transport.confidential && !options.allowInsecure) throw new InsecureTransportError();
  const { platform } = context;
  const usernameHash = hashUsername(options.username);
  const credentials = await makeCredentials(
    platform,
    options.password,
    options.kdf ?? DEFAULT_KDF_PARAMETERS,
  );
  const header = newVaultHeader(platform.random);
  try {
    const { srpSalt, srpVerifier, masterKeySalt, kdf, masterKey } = credentials;
    const answer = await callPublic(context, UserService.method.registerUser, {
      usernameHash,
      srpSalt,
      srpVerifier,
      masterKeySalt,
      kdf: kdfMessage(kdf),
      inviteCode: options.inviteCode ?? '',
      encryptedVaultHeader: await sealVaultHeader(masterKey, header, platform.random),
    });
    if (!equalBytes(answer.usernameHash, usernameHash))
      throw new UntrustedAnswerError('another name was registered');
  } catch (error) {
    throw error instanceof CallFailure ? toVaultError(error) : error;
  } finally {
    wipeKeys(credentials);
    header.vaultKey.fill(0);
  }
}
