import { expect } from 'chai';
import { runCli } from '../../support/cli.ts';
import { startTestServer, type TestServer } from '../../support/test_server.ts';

describe('passmanager audit', () => {
  let server: TestServer;

  before(async () => {
    server = await startTestServer();
  });

  after(() => server.stop());

  it('refuses a time that is none', async () => {
    for (const since of ['yesterday', '0d', ''])
      expect(await runCli(['audit', '--since', since])).to.include({ code: 64 });
  });

  it('shows what commands changed, and of which account, in their order', async () => {
    expect((await runCli(['audit'], server.settings)).out).to.equal('Nothing changed.');
    const { out } = await runCli(['invites', 'create', '--json'], server.settings);
    const { id, code } = JSON.parse(out) as { id: string; code: string };
    await runCli(['invites', 'revoke', id], server.settings);
    await runCli(['keys', 'recovery-code'], server.settings);
    await runCli(['invites', 'revoke', id], server.settings);
    const events = JSON.parse((await runCli(['audit', '--json', '--since', '1h'], server.settings)).out);
    expect(events.map(({ event }: { event: string }) => event)).to.deep.equal([
      'invite made',
      'invite revoked',
      'recovery code made',
    ]);
    const shown = (await runCli(['audit'], server.settings)).out;
    expect(shown).to.contain('recovery code made').and.not.to.contain(code);
  });
});
