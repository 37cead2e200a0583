/** Drives a password change step by step, by the raw client. */
import { randomBytes } from 'node:crypto';
import * as data from '../../gen/passmanager/data/v1/data_service_pb.ts';
import * as password from '../../gen/passmanager/password/v1/password_service_pb.ts';
import { passwordChangeContext, passwordCommitContext, pendingDigest } from '../../src/protocol/handshake.ts';
import { makeAccount, proveSecret, RawSession, type TestAccount } from './raw_client.ts';

const { method } = password.PasswordService;

/** New credentials for an account, under another password. */
export function announce(account: TestAccount, newPassword: string): TestAccount {
  return { ...makeAccount('', newPassword), usernameHash: account.usernameHash };
}

export type Started = Awaited<ReturnType<typeof startChange>>;

/** StartPasswordChange from a log-in session. */
export async function startChange(session: RawSession, announced: TestAccount) {
  const { usernameHash: _, srpSecret: __, ...payload } = announced;
  const result = await session.call(
    method.startPasswordChange,
    password.StartPasswordChangePayloadSchema,
    payload as never,
  );
  return { result, pending: pendingDigest(announced), announced };
}

/** The proof of the current password for a start. */
export function proveCurrent(session: RawSession, account: TestAccount, { result, pending }: Started) {
  return proveSecret(account.srpSecret, result.srpSalt, result.ephPublicB, () =>
    passwordChangeContext({
      sessionId: session.sessionId,
      srpSalt: result.srpSalt,
      masterKeySalt: result.masterKeySalt,
      kdf: result.kdf,
      pending,
    }),
  );
}

/** AuthenticatePasswordChange; `spoil` changes the payload. */
export async function openChange(
  session: RawSession,
  account: TestAccount,
  started: Started,
  spoil: Record<string, unknown> = {},
) {
  const proof = proveCurrent(session, account, started);
  const result = await session.call(
    method.authenticatePasswordChange,
    password.AuthenticatePasswordChangePayloadSchema,
    {
      ephemeralId: started.result.ephemeralId,
      ephPublicA: proof.publicA,
      clientProofM1: proof.m1,
      ...spoil,
    } as never,
  );
  if (Buffer.compare(result.serverProofM2, proof.m2) !== 0) throw new Error('M2 is wrong');
  return { result, change: await RawSession.fromKey(session.transport, result.sessionId, proof.key) };
}

/** An open change: start and proof. */
export async function beginChange(
  session: RawSession,
  account: TestAccount,
  newPassword = 'another password',
) {
  const started = await startChange(session, announce(account, newPassword));
  const { result, change } = await openChange(session, account, started);
  return { started, change, opened: result, announced: started.announced };
}

const bytes = (length: number) => new Uint8Array(randomBytes(length));

/** New bytes for an entry. */
export const renewed = (entryId: string) => ({ entryId, entryName: bytes(93), entryData: bytes(285) });

export const updateOne = (change: RawSession, entry: ReturnType<typeof renewed>) =>
  change.call(method.updateEntry, password.UpdateEntryPayloadSchema, entry);

export const updateMany = (change: RawSession, entries: ReturnType<typeof renewed>[]) =>
  change.call(method.batchUpdateEntries, password.BatchUpdateEntriesPayloadSchema, { entries });

/** CommitPasswordChange with the proof of the new password; `spoil` changes the payload. */
export async function commitChange(
  change: RawSession,
  started: Started,
  spoil: Record<string, unknown> = {},
) {
  const { announced, pending, result } = started;
  const proof = proveSecret(announced.srpSecret, announced.srpSalt, result.newEphPublicB, () =>
    passwordCommitContext({
      changeSessionId: change.sessionId,
      srpSalt: announced.srpSalt,
      masterKeySalt: announced.masterKeySalt,
      kdf: announced.kdf,
      pending,
    }),
  );
  const answer = await change.call(method.commitPasswordChange, password.CommitPasswordChangePayloadSchema, {
    newEphPublicA: proof.publicA,
    newClientProofM1: proof.m1,
    ...spoil,
  } as never);
  if (Buffer.compare(answer.newServerProofM2, proof.m2) !== 0) throw new Error('the new M2 is wrong');
}

export const abortChange = (session: RawSession) =>
  session.call(method.abortPasswordChange, password.AbortPasswordChangePayloadSchema, {});

/** Creates entries and answers them. */
export async function createEntries(session: RawSession, count: number) {
  const entries = Array.from({ length: count }, () => renewed(crypto.randomUUID()));
  await session.call(data.DataService.method.batchCreateEntries, data.BatchCreateEntriesPayloadSchema, {
    entries,
  });
  return entries;
}
