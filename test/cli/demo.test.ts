import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect } from 'chai';
import { runDemo, SAMPLE, type Stage } from '../../src/cli/demo.ts';
import { UnavailableError } from '../../src/client/node.ts';
import { rejection } from '../support/rejection.ts';
import { startTestServer, type TestServer } from '../support/test_server.ts';

describe('the demonstration', () => {
  let server: TestServer;
  const said: string[] = [];
  const stage: Stage = { say: (line) => void said.push(line), progress: () => {} };

  before(async () => {
    server = await startTestServer();
  });

  after(() => server.stop());

  const config = () => ({ ...server.config, grpcPort: server.running.grpcAddress.port });

  it('is refused by a server that is away, on an address of IPv6, too', async () => {
    const refused = await rejection(runDemo(SAMPLE, { ...config(), host: '::', grpcPort: 1 }, stage));
    expect(refused).to.be.instanceOf(UnavailableError);
  });

  it('imports the sample, changes the password, reads all and finds no clear text in the tables', async () => {
    const report = await runDemo(SAMPLE, config(), stage);
    expect(report.entries).to.equal(200);
    expect(report.searchedTexts).to.be.greaterThan(500);
    expect(report.foundTexts).to.equal(0);
    expect(report.tableBytes).to.be.greaterThan(60_000);
    expect(said.join('\n')).to.include('secure_data').and.to.include('0 found');
  }).timeout(60_000);

  it('leaves no account behind', async () => {
    expect(await server.database.query('select id from users')).to.deep.equal([]);
  });

  it('needs no authority for the certificate of the configuration, registers by an invite of its own, and leaves none', async () => {
    const fixtures = join(import.meta.dirname, '../fixtures/tls');
    const byInvite = await startTestServer({
      settings: {
        PASSMANAGER_REGISTRATION: 'invite',
        PASSMANAGER_TLS_CERT_FILE: join(fixtures, 'certificate.pem'),
        PASSMANAGER_TLS_KEY_FILE: join(fixtures, 'key.pem'),
      },
    });
    try {
      const { grpcAddress } = byInvite.running;
      const settings = { ...byInvite.config, grpcPort: grpcAddress.port };
      const directory = await mkdtemp(join(tmpdir(), 'pm-demo-'));
      const file = join(directory, 'export.csv');
      await writeFile(file, 'name,url,username,password\none,https://a.example,someone,secret\n');
      expect((await runDemo(file, settings, stage)).entries).to.equal(1);
      await rm(directory, { recursive: true });
      expect(await byInvite.database.query('select code_hash from invites')).to.deep.equal([]);
    } finally {
      await byInvite.stop();
    }
  }).timeout(60_000);

  it('would find a clear text if there were one', async () => {
    const directory = await mkdtemp(join(tmpdir(), 'pm-demo-'));
    try {
      const file = join(directory, 'export.csv');
      await writeFile(
        file,
        'name,url,username,password\nplanted,https://a.example,someone,plain text in a table\n',
      );
      await server.database.query(
        "insert into invites (code_hash, used_by, used_at) values (decode(md5('x') || md5('y'), 'hex'), $1, now())",
        [Buffer.from('plain text in a table'.padEnd(32))],
      );
      expect((await runDemo(file, config(), stage)).foundTexts).to.equal(1);
    } finally {
      await rm(directory, { recursive: true, force: true });
    }
  }).timeout(60_000);
});
