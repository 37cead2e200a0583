/** A write that comes late: sent before a password change, decided after it. */
import { randomBytes, randomUUID } from 'node:crypto';
import { createConnectTransport } from '@connectrpc/connect-node';
import { expect } from 'chai';
import * as data from '../../gen/passmanager/data/v1/data_service_pb.ts';
import { Database } from '../../src/database/database.ts';
import { beginChange, commitChange, updateMany } from '../support/password_change.ts';
import { logIn, makeAccount, reasons, refusalOf, register } from '../support/raw_client.ts';
import { startTestServer, type TestServer } from '../support/test_server.ts';

const bytes = (length: number) => new Uint8Array(randomBytes(length));

describe('a write that is decided late', () => {
  let server: TestServer;
  const { transaction } = Database.prototype;

  before(async () => {
    server = await startTestServer();
  });

  after(() => server.stop());

  afterEach(() => {
    Database.prototype.transaction = transaction;
  });

  it('does not put bytes under the old key over those of a password change that was committed meanwhile', async () => {
    const transport = createConnectTransport({ baseUrl: server.httpUrl, httpVersion: '1.1' });
    const account = makeAccount();
    await register(transport, account);
    const opened = await logIn(transport, account, { maximumRequests: -1n });
    const entry = { entryId: randomUUID(), entryName: bytes(93), entryData: bytes(285) };
    const { createEntry, updateEntry } = data.DataService.method;
    await opened.call(createEntry, data.CreateEntryPayloadSchema, entry);

    // The bytes that are there already: nothing is written, and a transaction of its own decides. It is held back.
    let go = () => {};
    const change = new Promise<void>((resolve) => {
      go = resolve;
    });
    const held = new Promise<void>((reached) => {
      Database.prototype.transaction = async function held(this: Database, work) {
        Database.prototype.transaction = transaction;
        reached();
        await change;
        return transaction.call(this, work) as never;
      };
    });
    const late = refusalOf(opened.call(updateEntry, data.UpdateEntryPayloadSchema, entry));
    await held;

    const begun = await beginChange(await logIn(transport, account), account);
    const renewed = { entryId: entry.entryId, entryName: bytes(93), entryData: bytes(285) };
    await updateMany(begun.change, [renewed]);
    await commitChange(begun.change, begun.started);
    go();

    const refusal = await late;
    expect(reasons(refusal)).to.deep.equal([[11, 'request']]);
    expect(refusal.sealed).to.equal(false);
    const [row] = await server.database.query('select entry_data from secure_data where entry_id = $1', [
      entry.entryId,
    ]);
    expect(Buffer.compare(row!.entry_data as Buffer, renewed.entryData)).to.equal(0);
  });
});
