import { randomUUID } from 'node:crypto';
import { createConnectTransport } from '@connectrpc/connect-node';
import { expect } from 'chai';
import * as data from '../../../gen/passmanager/data/v1/data_service_pb.ts';
import { runCli } from '../../support/cli.ts';
import { createEntries, renewed } from '../../support/password_change.ts';
import { logIn, makeAccount, reasons, refusalOf, register } from '../../support/raw_client.ts';
import { startTestServer, type TestServer } from '../../support/test_server.ts';

describe('passmanager users', () => {
  let server: TestServer;
  const cli = (line: string, answers?: string[]) => runCli(line.split(' '), server.settings, answers);
  const list = async (): Promise<{ id: string; entries: number; sessions: number; bytes: number }[]> =>
    JSON.parse((await cli('users list --json')).out);

  /** An account with a session. */
  async function arrive() {
    const transport = createConnectTransport({ baseUrl: server.httpUrl, httpVersion: '1.1' });
    const account = makeAccount();
    const known = new Set((await list()).map(({ id }) => id));
    await register(transport, account);
    const session = await logIn(transport, account);
    const { id } = (await list()).find((each) => !known.has(each.id))!;
    return { transport, account, session, id };
  }

  before(async () => {
    server = await startTestServer();
  });
  after(() => server.stop());

  it('refuses what is no id, and one that names no account', async () => {
    for (const command of ['show', 'sessions', 'delete --yes']) {
      expect((await cli(`users ${command} nobody`)).code, command).to.equal(64);
      const { code, notes } = await cli(`users ${command} ${randomUUID()}`);
      expect(code, command).to.equal(1);
      expect(notes).to.include('passmanager users list');
    }
  });

  it('sets how many entries an account may have, for single and for batched writes, and takes it back', async () => {
    const { id, session } = await arrive();
    for (const wrong of ['-1', 'many', '1000001', ''])
      expect((await cli(`users quota ${id} ${wrong}`)).code).to.equal(64);
    expect((await cli(`users quota ${randomUUID()} 5`)).code).to.equal(1);
    expect((await cli(`users quota ${id} 2`)).out).to.include('2 entries');
    expect((await cli(`users show ${id}`)).out).to.include('2 at most');
    await createEntries(session, 1);
    expect(reasons(await refusalOf(createEntries(session, 2)))).to.deep.equal([[13, 'request']]);
    const one = () =>
      session.call(data.DataService.method.createEntry, data.CreateEntryPayloadSchema, renewed(randomUUID()));
    await one();
    expect(reasons(await refusalOf(one()))).to.deep.equal([[13, 'request']]);
    expect((await cli(`users quota ${id} default`)).out).to.include('setting');
    await one();
  });

  it('deletes nothing without a yes', async () => {
    const { id } = await arrive();
    expect((await cli(`users delete ${id}`)).notes).to.include('--yes');
    expect((await cli(`users delete ${id}`, ['n'])).code).to.equal(1);
    expect((await list()).map((user) => user.id)).to.include(id);
  });

  it('lists and shows accounts with their sessions, and neither a name nor what is sealed', async () => {
    const { id, account } = await arrive();
    const shown = JSON.parse((await cli(`users show ${id} --json`)).out);
    expect(shown).to.include({ id, entries: 0, bytes: 0, sessions: 1, passwordChangeOpen: false });
    const [session] = JSON.parse((await cli(`users sessions ${id} --json`)).out);
    expect(session).to.include({ kind: 'login', requests: 0 });
    const all = [`users list`, `users show ${id}`, `users sessions ${id}`, 'users list --json'];
    const said = (await Promise.all(all.map((line) => cli(line)))).map(({ out }) => out).join('\n');
    expect(said).to.include(id).and.to.include(session.id);
    expect(said).not.to.include(Buffer.from(account.usernameHash).toString('hex'));
    expect(Object.keys(shown)).to.have.members([
      'id',
      'createdAt',
      'lastUsedAt',
      'entries',
      'maxEntries',
      'bytes',
      'sessions',
      'passwordChangeOpen',
    ]);
  });

  it('deletes an account with its sessions, and no other', async () => {
    const [gone, other] = [await arrive(), await arrive()];
    expect(await cli(`users delete ${gone.id}`, ['yes'])).to.have.property('code', 0);
    const ids = (await list()).map((user) => user.id);
    expect(ids).to.include(other.id).and.not.to.include(gone.id);
    expect(
      await server.database.query('select id from login_sessions where user_id = $1', [gone.id]),
    ).to.have.length(0);
    expect(reasons(await refusalOf(logIn(gone.transport, gone.account)))).to.deep.equal([[11, 'request']]);
    await logIn(other.transport, other.account);
  });
});
