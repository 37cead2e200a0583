import { expect } from 'chai';
import { CHECKS } from '../../../src/cli/commands/doctor.ts';
import { runCli } from '../../support/cli.ts';
import { remove, temporaryDirectory } from '../../support/embedded.ts';
import { createTestDatabase } from '../../support/test_database.ts';
import { databaseUrl, startTestServer, type TestServer } from '../../support/test_server.ts';

describe('passmanager doctor', function () {
  this.timeout(60_000);

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
    const { code, out } = await runCli(['doctor'], settings);
    remove(directory);
    expect(code).to.equal(2);
    expect(out)
      .to.contain('npm start')
      .and.to.contain('FAILURE  database ')
      .and.to.match(/→ Start the server/);
  });

  it('tells a bad configuration as it tells everything, to programs, too', async () => {
    const settings = { PASSMANAGER_GRPC_PORT: 'x' };
    const { code, out } = await runCli(['doctor', '--json'], settings);
    expect(code).to.equal(2);
    const { checks } = JSON.parse(out) as { checks: Record<string, string>[] };
    expect(checks).to.have.length(1);
    expect(checks[0]).to.include({ name: 'configuration', state: 'failure' });
    expect(checks[0]!.detail).to.contain('PASSMANAGER_GRPC_PORT');
    expect((await runCli(['doctor'], settings)).out).to.contain('FAILURE  configuration ');
  });

  it('says of a database that is down why, and once', async () => {
    const { code, out } = await runCli(['doctor', '--json'], {
      PASSMANAGER_DATABASE_URL: 'postgres://me:geheim@127.0.0.1:1/vaults',
      PASSMANAGER_GRPC_PORT: '1',
      PASSMANAGER_HTTP_PORT: '2',
    });
    expect(code).to.equal(2);
    const { checks } = JSON.parse(out) as { checks: Record<string, string>[] };
    expect(checks.find(({ name }) => name === 'database')!.detail).to.contain('ECONNREFUSED');
    expect(out.match(/ECONNREFUSED/g)!.length).to.be.lessThan(6);
    expect(out).not.to.contain('geheim').and.not.to.contain('outage');
    for (const name of ['schema', 'fsync', 'server_keys', 'recovery_code'])
      expect(checks.find((check) => check.name === name)).to.include({ state: 'skipped' });
  });

  it('says of a database without tables that there is no schema, and once', async () => {
    const empty = await createTestDatabase({ migrated: false });
    const { out } = await runCli(['doctor', '--json'], {
      PASSMANAGER_DATABASE_URL: databaseUrl(empty),
      PASSMANAGER_GRPC_PORT: '1',
      PASSMANAGER_HTTP_PORT: '2',
    });
    await empty.drop();
    expect(out).not.to.contain('42P01');
    const { checks } = JSON.parse(out) as { checks: Record<string, string>[] };
    expect(checks.find(({ name }) => name === 'schema')).to.include({ state: 'failure' });
    for (const name of ['whole_rows', 'database_size', 'server_keys'])
      expect(checks.find((check) => check.name === name)).to.include({ state: 'skipped' });
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
      expect(out).to.match(/\d+ good, \d+ warnings?, \d+ failures?, \d+ not looked at/);
    });
  });
});
