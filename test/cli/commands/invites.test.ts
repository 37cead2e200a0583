import { createConnectTransport } from '@connectrpc/connect-node';
import { expect } from 'chai';
import { runCli } from '../../support/cli.ts';
import { makeAccount, reasons, refusalOf, register } from '../../support/raw_client.ts';
import { startTestServer, type TestServer } from '../../support/test_server.ts';

describe('passmanager invites', () => {
  let server: TestServer;
  const cli = (line: string) => runCli(line.split(' '), server.settings);
  const create = async (more = ''): Promise<{ id: string; code: string; expiresAt: Date }> => {
    const { code, expiresAt, id } = JSON.parse((await cli(`invites create --json${more}`)).out);
    return { id, code, expiresAt: new Date(expiresAt) };
  };
  const list = async (): Promise<{ id: string; state: string }[]> =>
    JSON.parse((await cli('invites list --json')).out);

  before(async () => {
    server = await startTestServer({ settings: { PASSMANAGER_REGISTRATION: 'invite' } });
  });
  after(() => server.stop());

  it('revokes nothing that is not there or was used', async () => {
    expect((await cli('invites revoke 000000000000')).code).to.equal(1);
    const { id, code } = await create();
    const transport = createConnectTransport({ baseUrl: server.httpUrl, httpVersion: '1.1' });
    await register(transport, makeAccount(), code);
    expect((await cli(`invites revoke ${id}`)).code).to.equal(1);
    expect(await list()).to.deep.include.members([{ ...(await list()).find((each) => each.id === id)! }]);
    expect((await list()).find((each) => each.id === id)).to.have.property('state', 'used');
  });

  it('lets one account in with its code, while the server runs', async () => {
    const transport = createConnectTransport({ baseUrl: server.httpUrl, httpVersion: '1.1' });
    const { code, expiresAt } = await create();
    expect(expiresAt.getTime() - Date.now()).to.be.within(6.99 * 86_400_000, 7.01 * 86_400_000);
    await register(transport, makeAccount(), code);
    const second = await refusalOf(register(transport, makeAccount(), code));
    expect(reasons(second)).to.deep.equal([[46, 'invite_code']]);
  });

  it('lets nobody in once it is revoked', async () => {
    const transport = createConnectTransport({ baseUrl: server.httpUrl, httpVersion: '1.1' });
    const { id, code } = await create();
    expect(await cli(`invites revoke ${id}`)).to.deep.include({ code: 0 });
    expect(reasons(await refusalOf(register(transport, makeAccount(), code)))).to.deep.equal([
      [46, 'invite_code'],
    ]);
    expect((await list()).some((each) => each.id === id)).to.equal(false);
  });

  it('keeps the hash of a code and not the code, and shows it once', async () => {
    const { code, expiresAt } = await create(' --expires-in 90m');
    expect(expiresAt.getTime() - Date.now()).to.be.within(89 * 60_000, 91 * 60_000);
    expect(Buffer.from(code, 'base64url')).to.have.length(16);
    const rows = await server.database.query('select * from invites');
    expect(JSON.stringify(rows.map(({ code_hash }) => String(code_hash)))).to.not.include(code);
    const human = await cli('invites create');
    expect(human.out).to.match(/shown this once.*\n {2}[\w-]{22}$/);
    const listed = await cli('invites list');
    expect(listed.out).to.include('open').and.to.include('used').and.not.to.include(code);
  });
});
