/** Which payload and which result each sealed RPC of the contract carries. */
import type { DescMessage, DescMethod } from '@bufbuild/protobuf';
import * as data from '../../gen/passmanager/data/v1/data_service_pb.ts';
import * as password from '../../gen/passmanager/password/v1/password_service_pb.ts';
import * as session from '../../gen/passmanager/session/v1/session_service_pb.ts';
import * as user from '../../gen/passmanager/user/v1/user_service_pb.ts';

/** A sealed RPC: the method, and what its envelopes seal. */
export interface SealedRpc<
  P extends DescMessage = DescMessage,
  R extends DescMessage = DescMessage,
  M extends DescMethod = DescMethod,
> {
  readonly method: M;
  readonly payload: P;
  readonly result: R;
}

function sealed<P extends DescMessage, R extends DescMessage, M extends DescMethod>(
  method: M,
  payload: P,
  result: R,
): SealedRpc<P, R, M> {
  return { method, payload, result };
}

const { method: ofData } = data.DataService;
const { method: ofPassword } = password.PasswordService;
const { method: ofSession } = session.SessionService;
const { method: ofUser } = user.UserService;

/** UserService, DataService and SessionService, as a login session calls them. */
export const RPC = {
  changeUsername: sealed(
    ofUser.changeUsername,
    user.ChangeUsernamePayloadSchema,
    user.ChangeUsernameResultSchema,
  ),
  deleteUser: sealed(ofUser.deleteUser, user.DeleteUserPayloadSchema, user.DeleteUserResultSchema),
  listSessions: sealed(
    ofSession.listSessions,
    session.ListSessionsPayloadSchema,
    session.ListSessionsResultSchema,
  ),
  deleteSession: sealed(
    ofSession.deleteSession,
    session.DeleteSessionPayloadSchema,
    session.DeleteSessionResultSchema,
  ),
  deleteAllSessions: sealed(
    ofSession.deleteAllSessions,
    session.DeleteAllSessionsPayloadSchema,
    session.DeleteAllSessionsResultSchema,
  ),
  createEntry: sealed(ofData.createEntry, data.CreateEntryPayloadSchema, data.CreateEntryResultSchema),
  updateEntry: sealed(ofData.updateEntry, data.UpdateEntryPayloadSchema, data.UpdateEntryResultSchema),
  deleteEntry: sealed(ofData.deleteEntry, data.DeleteEntryPayloadSchema, data.DeleteEntryResultSchema),
  getEntry: sealed(ofData.getEntry, data.GetEntryPayloadSchema, data.GetEntryResultSchema),
  listEntries: sealed(ofData.listEntries, data.ListEntriesPayloadSchema, data.ListEntriesResultSchema),
  batchCreateEntries: sealed(
    ofData.batchCreateEntries,
    data.BatchCreateEntriesPayloadSchema,
    data.BatchCreateEntriesResultSchema,
  ),
  batchUpdateEntries: sealed(
    ofData.batchUpdateEntries,
    data.BatchUpdateEntriesPayloadSchema,
    data.BatchUpdateEntriesResultSchema,
  ),
  batchDeleteEntries: sealed(
    ofData.batchDeleteEntries,
    data.BatchDeleteEntriesPayloadSchema,
    data.BatchDeleteEntriesResultSchema,
  ),
  batchGetEntries: sealed(
    ofData.batchGetEntries,
    data.BatchGetEntriesPayloadSchema,
    data.BatchGetEntriesResultSchema,
  ),
  syncEntries: sealed(ofData.syncEntries, data.SyncEntriesPayloadSchema, data.SyncEntriesResultSchema),
  watchEntries: sealed(ofData.watchEntries, data.WatchEntriesPayloadSchema, data.WatchEntriesResultSchema),
} as const;

/** PasswordService, which has its own messages for entries. */
export const CHANGE_RPC = {
  start: sealed(
    ofPassword.startPasswordChange,
    password.StartPasswordChangePayloadSchema,
    password.StartPasswordChangeResultSchema,
  ),
  authenticate: sealed(
    ofPassword.authenticatePasswordChange,
    password.AuthenticatePasswordChangePayloadSchema,
    password.AuthenticatePasswordChangeResultSchema,
  ),
  getEntry: sealed(ofPassword.getEntry, password.GetEntryPayloadSchema, password.GetEntryResultSchema),
  updateEntry: sealed(
    ofPassword.updateEntry,
    password.UpdateEntryPayloadSchema,
    password.UpdateEntryResultSchema,
  ),
  batchGetEntries: sealed(
    ofPassword.batchGetEntries,
    password.BatchGetEntriesPayloadSchema,
    password.BatchGetEntriesResultSchema,
  ),
  batchUpdateEntries: sealed(
    ofPassword.batchUpdateEntries,
    password.BatchUpdateEntriesPayloadSchema,
    password.BatchUpdateEntriesResultSchema,
  ),
  commit: sealed(
    ofPassword.commitPasswordChange,
    password.CommitPasswordChangePayloadSchema,
    password.CommitPasswordChangeResultSchema,
  ),
  abort: sealed(
    ofPassword.abortPasswordChange,
    password.AbortPasswordChangePayloadSchema,
    password.AbortPasswordChangeResultSchema,
  ),
} as const;
