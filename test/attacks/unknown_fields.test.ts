/** Fields that the server does not know. Kept, 4 MB of the smallest took a second and 400 MB, of anybody. */
import { randomUUID } from 'node:crypto';
import { create, type Message, toBinary } from '@bufbuild/protobuf';
import { createConnectTransport, createGrpcTransport } from '@connectrpc/connect-node';
import { expect } from 'chai';
import * as data from '../../gen/passmanager/data/v1/data_service_pb.ts';
import * as session from '../../gen/passmanager/session/v1/session_service_pb.ts';
import { DataHandler } from '../../src/server/data_handler.ts';
import { SessionHandler } from '../../src/server/session_handler.ts';
import { callUnary, logIn, makeAccount, refusalOf, register } from '../support/raw_client.ts';
import { startTestServer, type TestServer } from '../support/test_server.ts';

/** Field 15, a varint of one byte. */
const UNKNOWN = { no: 15, wireType: 0, data: new Uint8Array(1) };

describe('fields that the server does not know', () => {
  const { startSession } = SessionHandler.prototype;
  const { getEntry } = DataHandler.prototype;
  let server: TestServer;
  let seen: Message[];

  before(async () => {
    SessionHandler.prototype.startSession = function spied(this: SessionHandler, request, call) {
      seen.push(request);
      return startSession.call(this, request, call);
    };
    DataHandler.prototype.getEntry = function spied(this: DataHandler, payload, call) {
      seen.push(payload);
      return getEntry.call(this, payload, call);
    };
    server = await startTestServer();
  });

  after(async () => {
    SessionHandler.prototype.startSession = startSession;
    DataHandler.prototype.getEntry = getEntry;
    await server.stop();
  });

  for (const door of ['gRPC', 'HTTP']) {
    it(`are skipped and not kept, in clear and sealed, at the ${door} door`, async () => {
      const transport =
        door === 'gRPC'
          ? createGrpcTransport({ baseUrl: `http://${server.grpcAddress}` })
          : createConnectTransport({ baseUrl: server.httpUrl, httpVersion: '1.1', useBinaryFormat: true });
      seen = [];
      const account = makeAccount();
      await register(transport, account);
      const request = create(session.StartSessionRequestSchema, {
        usernameHash: account.usernameHash,
        clientProtocol: 1,
      });
      request.$unknown = [UNKNOWN];
      await callUnary(transport, session.SessionService.method.startSession, request);

      const payload = create(data.GetEntryPayloadSchema, { entryId: randomUUID() });
      payload.$unknown = [UNKNOWN];
      const bytes = toBinary(data.GetEntryPayloadSchema, payload);
      const opened = await logIn(transport, account);
      await refusalOf(opened.call(data.DataService.method.getEntry, data.GetEntryPayloadSchema, bytes));

      expect(seen).to.have.length(3);
      for (const message of seen) expect(message.$unknown).to.equal(undefined);
    });
  }
});
