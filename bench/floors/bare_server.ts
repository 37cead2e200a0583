/**
 * The floor of a sealed call: the same stack without the server's code. It opens the seal, runs one prepared statement
 * that spends the request number and does the work, with the account's next revision where it writes, and seals the
 * result; no session is looked up, nothing is checked. A session and its user have the same id.
 * Run with its options as JSON in BARE_SERVER; prints its two ports.
 */
import { createCipheriv, createDecipheriv, randomBytes } from 'node:crypto';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { create, fromBinary, toBinary } from '@bufbuild/protobuf';
import { timestampFromDate } from '@bufbuild/protobuf/wkt';
import { connectNodeAdapter } from '@connectrpc/connect-node';
import { type handleUnaryCall, Server, ServerCredentials } from '@grpc/grpc-js';
import pg from 'pg';
import type { SecureRequest } from '../../gen/passmanager/common/v1/secure_pb.ts';
import * as data from '../../gen/passmanager/data/v1/data_service_pb.ts';
import { requestAad, responseAad } from '../../src/protocol/aad.ts';
import { CREATE_ENTRY, GET_ENTRY } from '../support/sealed_session.ts';
import type { BareServerOptions } from './bare_tables.ts';

const SPENT = `spent as (update bare_sessions set highest = greatest(highest, $2::bigint), request_window = request_window << 1 | 1,
  request_count = request_count + 1, last_used_at = clock_timestamp() where id = $1 returning 1)`;
const READ = `with ${SPENT} select e.entry_id, e.entry_name, e.entry_data, e.revision, e.created_at, e.updated_at
  from spent, bare_entries e where e.user_id = $1 and e.entry_id = $3`;
const WRITE = `with ${SPENT}, account as (update bare_users set revision = revision + 1, entry_count = entry_count + 1
    from spent where id = $1 returning revision)
  insert into bare_entries select $1, $3, $4, $5, revision, clock_timestamp(), clock_timestamp() from account returning revision`;

const options = JSON.parse(process.env.BARE_SERVER!) as BareServerOptions;
const sessions = new Map(
  Object.entries(options.sessions).map(([id, { clientToServer, serverToClient }]) => [
    id,
    [Buffer.from(clientToServer, 'hex'), Buffer.from(serverToClient, 'hex')] as const,
  ]),
);
pg.types.setTypeParser(pg.types.builtins.INT8, BigInt);
const reads = new pg.Pool({ ...options.connection, max: 5, options: '-c synchronous_commit=off' });
const writes = new pg.Pool({ ...options.connection, max: 10, options: '-c synchronous_commit=on' });

function opened({ sessionId, requestNumber, encryptedData }: SecureRequest, path: string): Buffer {
  const decipher = createDecipheriv(
    'aes-256-gcm',
    sessions.get(sessionId)![0],
    encryptedData.subarray(0, 12),
  );
  decipher.setAAD(requestAad(path, sessionId, requestNumber));
  decipher.setAuthTag(encryptedData.subarray(12, 28));
  return Buffer.concat([decipher.update(encryptedData.subarray(28)), decipher.final()]);
}

function sealed({ sessionId, requestNumber }: SecureRequest, path: string, plaintext: Uint8Array) {
  const nonce = randomBytes(12);
  const cipher = createCipheriv('aes-256-gcm', sessions.get(sessionId)![1], nonce);
  cipher.setAAD(responseAad(path, sessionId, requestNumber));
  const ciphertext = cipher.update(plaintext);
  cipher.final();
  return { sessionId, encryptedData: Buffer.concat([nonce, cipher.getAuthTag(), ciphertext]) };
}

async function getEntry(secure: SecureRequest) {
  const { entryId } = fromBinary(data.GetEntryPayloadSchema, opened(secure, GET_ENTRY));
  const values = [secure.sessionId, secure.requestNumber, entryId];
  const { rows } = await reads.query({ name: 'read', text: READ, values });
  const row = rows[0];
  const result = create(data.GetEntryResultSchema, {
    entryId: row.entry_id,
    entryName: row.entry_name,
    entryData: row.entry_data,
    revision: row.revision,
    createTime: timestampFromDate(row.created_at),
    updateTime: timestampFromDate(row.updated_at),
  });
  return { secure: sealed(secure, GET_ENTRY, toBinary(data.GetEntryResultSchema, result)) };
}

async function createEntry(secure: SecureRequest) {
  const payload = fromBinary(data.CreateEntryPayloadSchema, opened(secure, CREATE_ENTRY));
  const { entryId, entryName, entryData } = payload;
  const values = [secure.sessionId, secure.requestNumber, entryId, entryName, entryData];
  const { rows } = await writes.query({ name: 'write', text: WRITE, values });
  const result = create(data.CreateEntryResultSchema, { entryId, revision: rows[0].revision });
  return { secure: sealed(secure, CREATE_ENTRY, toBinary(data.CreateEntryResultSchema, result)) };
}

const server = new Server({ 'grpc.enable_channelz': 0 });
const bytes = (message: Uint8Array) => Buffer.from(message.buffer, message.byteOffset, message.byteLength);
function serve(work: (request: Buffer) => Promise<Uint8Array>): handleUnaryCall<Buffer, Uint8Array> {
  return ({ request }, callback) => void work(request).then((answer) => callback(null, answer), callback);
}
const identity = (message: Buffer) => message;
server.register(
  GET_ENTRY,
  serve(async (request) => {
    const { secure } = fromBinary(data.GetEntryRequestSchema, request);
    return toBinary(
      data.GetEntryResponseSchema,
      create(data.GetEntryResponseSchema, await getEntry(secure!)),
    );
  }),
  bytes,
  identity,
  'unary',
);
server.register(
  CREATE_ENTRY,
  serve(async (request) => {
    const { secure } = fromBinary(data.CreateEntryRequestSchema, request);
    return toBinary(
      data.CreateEntryResponseSchema,
      create(data.CreateEntryResponseSchema, await createEntry(secure!)),
    );
  }),
  bytes,
  identity,
  'unary',
);
process.on('SIGTERM', () => process.exit());
const grpcPort = await new Promise<number>((resolve, reject) => {
  server.bindAsync('127.0.0.1:0', ServerCredentials.createInsecure(), (error, port) =>
    error === null ? resolve(port) : reject(error),
  );
});
const http = createServer(
  connectNodeAdapter({
    routes: (router) => {
      router.rpc(data.DataService.method.getEntry, ({ secure }) => getEntry(secure!));
    },
  }),
);
http.listen(0, '127.0.0.1', () => {
  process.stdout.write(`${grpcPort} ${(http.address() as AddressInfo).port}\n`);
});
