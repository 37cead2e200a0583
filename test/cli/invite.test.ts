import { createConnectTransport } from '@connectrpc/connect-node';
import { expect } from 'chai';
import { makeInvite, parseDuration, UsageError } from '../../src/cli/invite.ts';
import { makeAccount, reasons, refusalOf, register } from '../support/raw_client.ts';
import { rejection } from '../support/rejection.ts';
import { startTestServer, type TestServer } from '../support/test_server.ts';

describe('npm run invite', () => {
  let server: TestServer;

  before(async () => {
    server = await startTestServer({ settings: { PASSMANAGER_REGISTRATION: 'invite' } });
  });

  after(() => server.stop());

  it('refuses what is no duration, and parameters that it does not know', async () => {
    for (const text of ['', '0d', '7', '7w', '-1d', '1.5h', '99999999m', '3651d'])
      expect(() => parseDuration(text), text).to.throw(UsageError);
    for (const parameters of [['--expires'], ['7d'], ['--expires-in'], ['--expires-in', 'soon']])
      expect(await rejection(makeInvite(parameters, server.config))).to.be.instanceOf(UsageError);
  });

  it('knows minutes, hours and days', () => {
    expect(['90m', '12h', '7d'].map(parseDuration)).to.deep.equal([5_400, 43_200, 604_800]);
  });

  it('lets one account in with its code, while the server runs', async () => {
    const transport = createConnectTransport({ baseUrl: server.httpUrl, httpVersion: '1.1' });
    const { code, expiresAt } = await makeInvite([], server.config);
    expect(expiresAt.getTime() - Date.now()).to.be.within(6.99 * 86_400_000, 7.01 * 86_400_000);
    await register(transport, makeAccount(), code);
    const second = await refusalOf(register(transport, makeAccount(), code));
    expect(reasons(second)).to.deep.equal([[46, 'invite_code']]);
  });

  it('keeps the hash of a code and not the code', async () => {
    const { code, expiresAt } = await makeInvite(['--expires-in', '90m'], server.config);
    expect(expiresAt.getTime() - Date.now()).to.be.within(89 * 60_000, 91 * 60_000);
    expect(Buffer.from(code, 'base64url')).to.have.length(16);
    const rows = await server.database.query('select * from invites');
    expect(JSON.stringify(rows.map(({ code_hash }) => String(code_hash)))).to.not.include(code);
  });
});
