/** A user with a session and entries, for one lane of a load. */
import { createConnectTransport } from '@connectrpc/connect-node';
import * as data from '../../gen/passmanager/data/v1/data_service_pb.ts';
import { makeAccount, register } from '../../test/support/raw_client.ts';
import { grpcSender } from './load.ts';
import { BATCH_CREATE, newEntry, SealedSession } from './sealed_session.ts';
import type { ServerProcess } from './server_process.ts';

/** A session and what it may read. */
export interface Lane {
  readonly session: SealedSession;
  readonly entryIds: readonly string[];
}

/** How many entries a batch may create. */
const BATCH = 500;

/** An account with `count` entries and a session without limits. */
export async function newLane(server: ServerProcess, count = 100): Promise<Lane> {
  const account = makeAccount();
  const transport = createConnectTransport({ baseUrl: server.httpUrl, httpVersion: '1.1' });
  await register(transport, account);
  const session = await SealedSession.logIn(transport, account);
  const { send, close } = grpcSender(server.grpcPort);
  const entries = Array.from({ length: count }, newEntry);
  for (let start = 0; start < count; start += BATCH) {
    const payload = { entries: entries.slice(start, start + BATCH) };
    await send(BATCH_CREATE, session.seal(BATCH_CREATE, data.BatchCreateEntriesPayloadSchema, payload).bytes);
  }
  close();
  return { session, entryIds: entries.map(({ entryId }) => entryId) };
}
