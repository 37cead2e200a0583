import { expect } from 'chai';
import { runCli } from '../../support/cli.ts';
import { startTestServer } from '../../support/test_server.ts';

describe('passmanager demo', function () {
  this.timeout(60_000);

  it('says that it needs the running server', async () => {
    const { code, notes } = await runCli(['demo'], { PASSMANAGER_GRPC_PORT: '1' });
    expect(code).to.equal(1);
    expect(notes).to.include('npm start').and.not.to.include('    at ');
  });

  it('refuses a file that is not there', async () => {
    const { code, notes } = await runCli(['demo', '/nonexistent.csv'], { PASSMANAGER_GRPC_PORT: '1' });
    expect(code).to.equal(1);
    expect(notes).to.include('/nonexistent.csv').and.not.to.include('    at ');
  });

  it('plays on the running server and says what it took', async () => {
    const server = await startTestServer();
    try {
      const port = String(server.running.grpcAddress.port);
      const { code, out } = await runCli(['demo'], { ...server.settings, PASSMANAGER_GRPC_PORT: port });
      expect(out).to.match(/200 entries: imported in \d+ ms, password changed in \d+ ms/);
      expect(code).to.equal(0);
    } finally {
      await server.stop();
    }
  });
});
