import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { expect } from 'chai';
import { BACKUP_ADVICE } from '../../../src/cli/doctor/backup_checks.ts';
import { DOOR_CHECKS } from '../../../src/cli/doctor/door_checks.ts';
import { openDatabase } from '../../../src/database/database.ts';
import { BACKUP_WARNINGS } from '../../../src/server/backup_schedule.ts';
import { WRITES_REFUSED } from '../../../src/server/readiness.ts';
import { look, subjectOf } from '../../support/doctor.ts';
import { startTestServer, type TestServer } from '../../support/test_server.ts';

describe('the checks of the doors', function () {
  this.timeout(60_000);
  const servers: { stop(): Promise<void> }[] = [];
  afterEach(async () => {
    for (const server of servers.splice(0)) await server.stop();
  });

  const start = async (settings: Record<string, string> = {}): Promise<TestServer> => {
    const server = await startTestServer({ settings });
    servers.push(server);
    return server;
  };
  const at = (server: TestServer, more: Record<string, string> = {}) => ({
    PASSMANAGER_GRPC_PORT: String(server.running.grpcAddress.port),
    PASSMANAGER_HTTP_PORT: String(server.running.httpAddress.port),
    ...more,
  });
  const rows = async (server: TestServer) =>
    (
      await server.database.query(
        `select (select count(*) from users)::int + (select count(*) from invites)::int + (select count(*) from login_sessions)::int +
                (select count(*) from audit_events)::int as n`,
      )
    )[0]!.n;

  it('find that nobody listens', async () => {
    const nobody = subjectOf({ PASSMANAGER_GRPC_PORT: '1', PASSMANAGER_HTTP_PORT: '2' });
    for (const { name } of DOOR_CHECKS.filter(({ name }) => name !== 'readiness')) {
      const found = await look(DOOR_CHECKS, name, nobody);
      expect(found, name).to.include({ state: 'failure' });
      expect(found.advice).to.contain('Start the server');
    }
  });

  it('find that somebody else listens', async () => {
    const other: Server = createServer((_, response) => response.end('hello'));
    await new Promise<void>((resolve) => other.listen(0, '127.0.0.1', resolve));
    const port = String((other.address() as AddressInfo).port);
    const http = subjectOf({ PASSMANAGER_HTTP_PORT: port });
    const grpc = subjectOf({ PASSMANAGER_GRPC_PORT: port });
    try {
      for (const name of ['http_door', 'connect_round_trip', 'readiness'])
        expect((await look(DOOR_CHECKS, name, http)).state, name).to.equal('failure');
      expect((await look(DOOR_CHECKS, 'grpc_door', grpc)).state).to.equal('failure');
    } finally {
      other.closeAllConnections();
      other.close();
    }
  });

  it('say what fits the warning of the server', async () => {
    let body: object = {};
    const other = createServer((_, response) => response.end(JSON.stringify(body)));
    await new Promise<void>((resolve) => other.listen(0, '127.0.0.1', resolve));
    const port = String((other.address() as AddressInfo).port);
    const advice = async (warning: string): Promise<string> => {
      body = { status: 'ready', warning };
      const found = await look(DOOR_CHECKS, 'readiness', subjectOf({ PASSMANAGER_HTTP_PORT: port }));
      expect(found).to.include({ state: 'warning', detail: warning });
      return found.advice;
    };
    try {
      const disk = await advice(WRITES_REFUSED);
      expect(disk).to.contain('disk');
      expect(await advice(BACKUP_WARNINGS.backup)).to.equal(BACKUP_ADVICE.backup);
      expect(await advice(BACKUP_WARNINGS.command)).to.equal(BACKUP_ADVICE.command);
      expect(await advice(`${WRITES_REFUSED}; ${BACKUP_WARNINGS.overdue}`)).to.equal(
        `${disk} ${BACKUP_ADVICE.backup}`,
      );
      expect(await advice('something of a later version')).not.to.equal('');
    } finally {
      other.closeAllConnections();
      other.close();
    }
  });

  it('find a server whose database is gone', async () => {
    const server = await start();
    await server.database.query('select 1');
    await server.database.drop();
    const subject = subjectOf(at(server));
    const deadline = Date.now() + 10_000;
    while ((await look(DOOR_CHECKS, 'readiness', subject)).state !== 'failure') {
      if (Date.now() > deadline) throw new Error('the server still says that it is ready');
      await new Promise((resolve) => setTimeout(resolve, 100));
    }
    expect((await look(DOOR_CHECKS, 'grpc_round_trip', subject)).state).to.equal('failure');
    expect((await look(DOOR_CHECKS, 'http_door', subject)).state).to.equal('good');
  });

  it('do not try what nobody may: registration is closed, or by invite without a database', async () => {
    const server = await start({ PASSMANAGER_REGISTRATION: 'closed' });
    const closed = subjectOf(at(server, { PASSMANAGER_REGISTRATION: 'closed' }));
    expect((await look(DOOR_CHECKS, 'grpc_round_trip', closed)).state).to.equal('skipped');
    const invite = subjectOf(at(server, { PASSMANAGER_REGISTRATION: 'invite' }));
    expect((await look(DOOR_CHECKS, 'connect_round_trip', invite)).state).to.equal('skipped');
    expect((await look(DOOR_CHECKS, 'grpc_door', closed)).state).to.equal('good');
  });

  it('use a vault through both doors, by an invite where one is needed, and leave nothing behind', async () => {
    for (const registration of ['open', 'invite']) {
      const server = await start({ PASSMANAGER_REGISTRATION: registration });
      const database = await openDatabase({ connection: server.database.connection, poolSize: 1 });
      const subject = subjectOf(at(server, { PASSMANAGER_REGISTRATION: registration }), { database });
      try {
        for (const { name } of DOOR_CHECKS)
          expect(await look(DOOR_CHECKS, name, subject), name).to.include({ state: 'good', advice: '' });
        expect(await rows(server)).to.equal(0);
      } finally {
        await database.close();
      }
    }
  });
});
