/** After a password change whose end was not seen: which password is in force (docs/design/password_change_lifecycle.md). */
import {
  PasswordNotChangedError,
  SessionEndedError,
  UnavailableError,
  WrongCredentialsError,
} from './errors.ts';
import { discardLogin, type Login, type LoginContext, openSession } from './login.ts';
import { CHANGE_RPC } from './sealed_rpcs.ts';
import { SessionKeeper } from './session_keeper.ts';
import { openVaultHeader, vaultKeyId } from './vault_header.ts';

/** How often to look again when a commit may still be running. */
const MAXIMUM_ROUNDS = 5;
/** How long to wait for it, in milliseconds. */
const ROUND_WAIT_MS = 1_000;

/** Which side of a change is in force, with a session of it. */
export interface Settlement {
  readonly inForce: 'new' | 'old';
  readonly login: Login;
}

/**
 * Logs in with the new password; the vault key in the header tells whether the change is in force. If not, logs in with the
 * old one and aborts: only when that succeeds is the old one in force, else a commit may still have been running and all
 * begins again. Throws WrongCredentialsError when neither password fits.
 */
export async function settle(
  context: LoginContext,
  passwords: { readonly old: string; readonly new: string },
  isNewKey: (vaultKeyId: string) => boolean,
): Promise<Settlement> {
  for (let round = 0; round < MAXIMUM_ROUNDS; round += 1) {
    if (round > 0) await context.platform.sleep(ROUND_WAIT_MS, context.signal);
    const withNew = await logInIfAccepted(context, passwords.new);
    if (withNew !== undefined && isNewKey(withNew.keyId)) return { inForce: 'new', login: withNew.login };
    const login = withNew?.login ?? (await openSession(context, { password: passwords.old }));
    if (await abortChange(context, login)) return { inForce: 'old', login };
    discardLogin(login);
  }
  throw new UnavailableError(new PasswordNotChangedError());
}

async function logInIfAccepted(
  context: LoginContext,
  password: string,
): Promise<{ login: Login; keyId: string } | undefined> {
  try {
    const login = await openSession(context, { password });
    const header = await openVaultHeader(login.masterKey!, login.encryptedVaultHeader);
    const keyId = vaultKeyId(header.vaultKey);
    header.vaultKey.fill(0);
    return { login, keyId };
  } catch (error) {
    if (error instanceof WrongCredentialsError) return undefined;
    throw error;
  }
}

/** Whether the change is dropped now; false when the session is gone, as after a commit. */
async function abortChange(context: LoginContext, { session }: Login): Promise<boolean> {
  const { platform, transport, retry, signal } = context;
  const keeper = new SessionKeeper({ platform, transport, retry, session });
  try {
    await keeper.call(CHANGE_RPC.abort, {}, { signal });
    return true;
  } catch (error) {
    if (error instanceof SessionEndedError) return false;
    throw error;
  }
}
