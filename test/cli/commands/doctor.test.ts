import { expect } from 'chai';
import { CHECKS } from '../../../src/cli/commands/doctor.ts';
import { runCli } from '../../support/cli.ts';
import { remove, temporaryDirectory } from '../../support/embedded.ts';
import { startTestServer, type TestServer } from '../../support/test_server.ts';

describe('passmanager doctor', function () {
  this.timeout(30_000);

  it('refuses an address that is none', async () => {
    for (const url of ['nonsense', 'ftp://example.org'])
      expect(await runCli(['doctor', '--url', url])).to.include({ code: 64 });
  });

  it('says that nothing was ever started, and what to do', async () => {
    const directory = temporaryDirectory();
    const settings = {
      PASSMANAGER_DATA_DIR: `${directory}/data`,
      PASSMANAGER_GRPC_PORT: '1',
      PASSMANAGER_HTTP_PORT: '2',
    };
    const { code, out, notes } = await runCli(['doctor'], settings);
    remove(directory);
    expect(code).to.equal(2);
    expect(notes).to.contain('npm start');
    expect(out)
      .to.contain('FAILURE  database ')
      .and.to.match(/→ Start the server/);
  });

  describe('beside a server', () => {
    let server: TestServer;

    before(async () => {
      server = await startTestServer();
    });

    after(() => server.stop());

    const settings = () => ({
      ...server.settings,
      PASSMANAGER_GRPC_PORT: String(server.running.grpcAddress.port),
      PASSMANAGER_HTTP_PORT: String(server.running.httpAddress.port),
    });

    it('prints every check with state, detail and advice, and changes nothing', async () => {
      const snapshot = () =>
        server.database.query(
          `select (select count(*) from users) as users, (select count(*) from login_sessions) as sessions,
                  (select json_agg(a order by id) from audit_events a) as events,
                  (select json_agg(k order by id) from server_keys k) as keys`,
        );
      // Those of others stay.
      await server.database.query("insert into audit_events (event) values ('backup made')");
      const before = await snapshot();
      const { code, out } = await runCli(['doctor', '--json'], settings());
      const { checks } = JSON.parse(out) as { checks: Record<string, string>[] };
      expect(checks.map(({ name }) => name)).to.deep.equal(CHECKS.map(({ name }) => name));
      expect(checks.length).to.be.greaterThan(24);
      for (const check of checks) {
        expect(Object.keys(check)).to.deep.equal(['name', 'state', 'detail', 'advice']);
        expect(check.detail).not.to.equal('');
        if (check.state === 'warning' || check.state === 'failure') expect(check.advice).not.to.equal('');
      }
      const states = Object.fromEntries(checks.map(({ name, state }) => [name, state]));
      expect(states).to.include({
        database: 'good',
        schema: 'good',
        server_keys: 'good',
        recovery_code: 'warning',
        rate_limit: 'warning',
        grpc_round_trip: 'good',
        connect_round_trip: 'good',
      });
      expect(code).to.equal(checks.some(({ state }) => state === 'failure') ? 2 : 1);
      expect(await snapshot()).to.deep.equal(before);
    });

    it('says the same to a person, a line for each', async () => {
      const { out } = await runCli(['doctor'], settings());
      for (const { name } of CHECKS) expect(out).to.contain(`  ${name} `);
      expect(out).to.match(/\d+ good, \d+ warnings, \d+ failures, \d+ not looked at/);
    });
  });
});
