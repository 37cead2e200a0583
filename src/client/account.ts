/**
 * What is done to an account as a whole. The server wants each as the first request of a session, so each takes a log-in of
 * its own, and the log-in of the next attempt tells what became of one whose answer was lost.
 */
import { hashUsername } from './credentials.ts';
import { SessionEndedError, UnavailableError, WrongCredentialsError } from './errors.ts';
import { BRIEF_LIMITS, discardLogin, type LoginContext, openSession } from './login.ts';
import { RPC } from './sealed_rpcs.ts';
import { SessionKeeper } from './session_keeper.ts';

/**
 * Changes the name of `context`'s account. Answers the hash of the new one, 32 bytes. Throws ServerRefusalError
 * ('username_exists'), InvalidInputError for a refused name, and what logging in throws.
 */
export async function changeUsername(
  context: LoginContext,
  { newUsername, password }: { readonly newUsername: string; readonly password: string },
): Promise<Uint8Array> {
  const newUsernameHash = hashUsername(newUsername);
  const renamed = { ...context, usernameHash: newUsernameHash };
  for (let attempt = 1; ; attempt += 1) {
    if (attempt > 1 && (await logsIn(renamed, password))) return newUsernameHash;
    try {
      await inSessionOfItsOwn(context, password, async (keeper) => {
        await keeper.call(RPC.changeUsername, { newUsernameHash }, { signal: context.signal, retry: false });
      });
      return newUsernameHash;
    } catch (error) {
      if (!isLost(error) || attempt === context.retry.attempts) throw error;
    }
  }
}

/** Deletes `context`'s account, for good. Throws what logging in throws. */
export async function deleteAccount(context: LoginContext, password: string): Promise<void> {
  for (let attempt = 1; ; attempt += 1) {
    try {
      await inSessionOfItsOwn(context, password, async (keeper) => {
        await keeper.call(RPC.deleteUser, {}, { signal: context.signal, retry: false });
      });
      return;
    } catch (error) {
      // After a lost answer, a name that is no longer known means that it was done.
      if (error instanceof WrongCredentialsError && attempt > 1) return;
      if (!isLost(error) || attempt === context.retry.attempts) throw error;
    }
  }
}

/** Logs in for one purpose, and ends the session afterwards as far as that is possible. */
async function inSessionOfItsOwn(
  context: LoginContext,
  password: string,
  work: (keeper: SessionKeeper) => Promise<void>,
): Promise<void> {
  const login = await openSession({ ...context, limits: BRIEF_LIMITS }, { password });
  login.masterKey?.fill(0);
  login.kept.srpSecret.fill(0);
  const keeper = new SessionKeeper({ ...context, session: login.session });
  try {
    await work(keeper);
    await keeper
      .call(RPC.deleteSession, { sessionId: login.session.id }, { signal: context.signal, retry: false })
      .catch(() => undefined);
  } finally {
    keeper.close();
  }
}

async function logsIn(context: LoginContext, password: string): Promise<boolean> {
  try {
    discardLogin(await openSession({ ...context, limits: BRIEF_LIMITS }, { password }));
    return true;
  } catch (error) {
    if (error instanceof WrongCredentialsError) return false;
    throw error;
  }
}

function isLost(error: unknown): boolean {
  return error instanceof UnavailableError || error instanceof SessionEndedError;
}
