import { randomUUID } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { createConnectTransport } from '@connectrpc/connect-node';
import { expect } from 'chai';
import * as user from '../../gen/passmanager/user/v1/user_service_pb.ts';
import { AUDIT_EVENTS, DELETE_OLD_EVENTS, readEvents, recordEvent } from '../../src/database/audit_log.ts';
import { type Database, openDatabase } from '../../src/database/database.ts';
import { beginChange, commitChange } from '../support/password_change.ts';
import { logIn, makeAccount, refusalOf, register } from '../support/raw_client.ts';
import { createTestDatabase, type TestDatabase } from '../support/test_database.ts';
import { startTestServer } from '../support/test_server.ts';

describe('the audit log', () => {
  let own: TestDatabase;
  let database: Database;

  before(async () => {
    own = await createTestDatabase();
    database = await openDatabase({ connection: own.connection, poolSize: 1 });
  });

  after(async () => {
    await database.close();
    await own.drop();
  });

  it('shows the events of a time, in order, and drops those of a year ago', async () => {
    const id = randomUUID();
    await recordEvent(database.writes, 'invite made');
    await recordEvent(database.writes, 'account registered', id);
    await own.query("update audit_events set at = at - interval '2 h' where event = 'invite made'");
    expect(
      (await readEvents(database.reads, 3_600)).map(({ event, userId }) => [event, userId]),
    ).to.deep.equal([['account registered', id]]);
    expect((await readEvents(database.reads, 10_000)).map(({ event }) => event)).to.deep.equal([
      'invite made',
      'account registered',
    ]);
    await own.query("update audit_events set at = at - interval '366 days' where user_id is null");
    expect(await own.query(DELETE_OLD_EVENTS, [10])).to.have.length(1);
  });

  it('is written by RPCs in their own transaction: what failed left no event, and log-ins leave none', async () => {
    const server = await startTestServer();
    const transport = createConnectTransport({ baseUrl: server.httpUrl, httpVersion: '1.1' });
    const account = makeAccount();
    await register(transport, account);
    await register(transport, account);
    await refusalOf(register(transport, { ...makeAccount(), usernameHash: account.usernameHash }));
    const session = await logIn(transport, account, { maximumRequests: -1n });
    await refusalOf(logIn(transport, makeAccount()));
    const { change, started } = await beginChange(session, account);
    await commitChange(change, started);
    const { method } = user.UserService;
    const renamed = makeAccount().usernameHash;
    await (await logIn(transport, started.announced)).call(
      method.changeUsername,
      user.ChangeUsernamePayloadSchema,
      {
        newUsernameHash: renamed,
      },
    );
    const last = await logIn(transport, { ...started.announced, usernameHash: renamed });
    await last.call(method.deleteUser, user.DeleteUserPayloadSchema, {});
    const rows = await server.database.query('select event, user_id from audit_events order by at');
    expect(rows.map(({ event }) => event)).to.deep.equal([
      'account registered',
      'password changed',
      'username changed',
      'account deleted',
    ]);
    expect(new Set(rows.map(({ user_id }) => user_id)).size).to.equal(1);
    await server.stop();
  });

  it('has no event that nobody records', () => {
    const sources = [
      'src/server/user_handler.ts',
      'src/server/password_handler.ts',
      'src/cli/commands/users.ts',
      'src/cli/commands/invites.ts',
      'src/cli/commands/keys.ts',
      'src/database/server_keys.ts',
      'src/database/backup/backup.ts',
      'src/database/backup/restore_snapshot.ts',
    ].map((file) => readFileSync(join(import.meta.dirname, '../..', file), 'utf8'));
    for (const event of AUDIT_EVENTS)
      expect(
        sources.some((text) => text.includes(`'${event}'`)),
        event,
      ).to.equal(true);
  });
});
