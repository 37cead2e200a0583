import { randomUUID } from 'node:crypto';
import { createConnectTransport } from '@connectrpc/connect-node';
import { expect } from 'chai';
import { runCli } from '../../support/cli.ts';
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
