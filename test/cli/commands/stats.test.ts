import { createConnectTransport } from '@connectrpc/connect-node';
import { expect } from 'chai';
import { runCli } from '../../support/cli.ts';
import { createEntries } from '../../support/password_change.ts';
import { logIn, makeAccount, register, startLogin } from '../../support/raw_client.ts';
import { startTestServer } from '../../support/test_server.ts';

describe('passmanager stats', () => {
  it('refuses what it does not know', async () => {
    expect(await runCli(['stats', '--all'])).to.include({ code: 64 });
  });

  it('counts what is there', async () => {
    const server = await startTestServer();
    try {
      const empty = JSON.parse((await runCli(['stats', '--json'], server.settings)).out);
      expect(empty).to.include({ accounts: 0, entries: 0, mostEntries: 0, sessions: 0 });
      const transport = createConnectTransport({ baseUrl: server.httpUrl, httpVersion: '1.1' });
      const account = makeAccount();
      await register(transport, account);
      await register(transport, makeAccount());
      await createEntries(await logIn(transport, account), 3);
      await startLogin(transport, account.usernameHash);
      const stats = JSON.parse((await runCli(['stats', '--json'], server.settings)).out);
      expect(stats).to.include({
        accounts: 2,
        accountsOfTheLast30Days: 2,
        accountsInUse: 1,
        entries: 3,
        deletedEntries: 0,
        mostEntries: 3,
        sessions: 1,
        pendingLogIns: 1,
        openPasswordChanges: 0,
        openInvites: 0,
      });
      expect(stats.databaseBytes).to.be.greaterThan(1e6);
      expect(stats.tables.map(({ name }: { name: string }) => name)).to.include.members([
        'users',
        'secure_data',
      ]);
      const { out } = await runCli(['stats'], server.settings);
      expect(out)
        .to.contain('entries    3, and 0 deleted')
        .and.to.match(/secure_data +\d+ +/);
    } finally {
      await server.stop();
    }
  });
});
