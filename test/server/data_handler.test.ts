import { randomBytes, randomUUID } from 'node:crypto';
import { createConnectTransport } from '@connectrpc/connect-node';
import { expect } from 'chai';
import * as data from '../../gen/passmanager/data/v1/data_service_pb.ts';
import { logIn, makeAccount, type RawSession, refusalOf, reasons, register } from '../support/raw_client.ts';
import { startTestServer, type TestServer } from '../support/test_server.ts';

const { method } = data.DataService;
const bytes = (length: number) => new Uint8Array(randomBytes(length));
const newEntry = () => ({ entryId: randomUUID(), entryName: bytes(93), entryData: bytes(285) });

describe('DataService', () => {
  let server: TestServer;
  let session: RawSession;

  before(async () => {
    server = await startTestServer();
    const transport = createConnectTransport({ baseUrl: server.httpUrl, httpVersion: '1.1' });
    const account = makeAccount();
    await register(transport, account);
    session = await logIn(transport, account, { maximumRequests: -1n });
  });

  after(() => { if (process.env.SHOWLOG) for (const l of server.logged) process.stderr.write(l); return server.stop(); });

  it('creates and gets', async () => {
    const entry = newEntry();
    const created = await session.call(method.createEntry, data.CreateEntryPayloadSchema, entry);
    expect(created.revision).to.equal(1n);
    const got = await session.call(method.getEntry, data.GetEntryPayloadSchema, { entryId: entry.entryId });
    expect(Buffer.from(got.entryName)).to.deep.equal(Buffer.from(entry.entryName));
    const again = await session.call(method.createEntry, data.CreateEntryPayloadSchema, entry);
    expect(again.revision).to.equal(1n);
    const other = await refusalOf(session.call(method.createEntry, data.CreateEntryPayloadSchema, { ...newEntry(), entryId: entry.entryId }));
    expect(reasons(other)).to.deep.equal([[45, 'entry_id']]);
    expect(other.sealed).to.equal(true);
  });
});
