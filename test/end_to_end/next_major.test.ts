import { join } from 'node:path';
import { expect } from 'chai';
import { createConnectTransport, logIn, registerUser, type Vault } from '../../src/client/node.ts';
import { loadConfig } from '../../src/server/config.ts';
import { createLogger } from '../../src/server/log.ts';
import { type RunningServer, startServer } from '../../src/server/server.ts';
import { remove, temporaryDirectory } from '../support/embedded.ts';
import { freePort } from '../support/free_port.ts';
import { withPreviousRelease } from '../support/previous_release.ts';

const ACCOUNT = { username: 'alice@example.com', password: 'correct horse battery staple' };

describe('a release with the next major version of PostgreSQL', function () {
  this.timeout(120_000);

  it('goes on with the data directory, and its clients with their sessions', async () => {
    const directory = temporaryDirectory();
    const port = await freePort();
    const start = (more: Record<string, string> = {}): Promise<RunningServer> =>
      startServer(
        loadConfig({
          PASSMANAGER_DATA_DIR: join(directory, 'data'),
          PASSMANAGER_GRPC_PORT: '0',
          PASSMANAGER_HTTP_PORT: `${port}`,
          ...more,
        }),
        { log: createLogger('silent') },
      );
    const transport = createConnectTransport({ url: `http://127.0.0.1:${port}` });
    let vault: Vault | undefined;
    let id = '';

    await withPreviousRelease(directory, async ({ connection: { host, user, database } }) => {
      const server = await start({
        PASSMANAGER_DATABASE_URL: `postgres://${user}@localhost/${database}?host=${encodeURIComponent(host)}`,
      });
      try {
        await registerUser(transport, ACCOUNT);
        vault = await logIn(transport, ACCOUNT);
        ({ id } = await vault.create({ name: 'bank', password: 'of before' }));
      } finally {
        await server.stop();
      }
    });

    const server = await start();
    try {
      expect((await fetch(`http://127.0.0.1:${port}/readyz`)).status).to.equal(200);
      const entry = await vault!.get(id);
      expect(entry.password).to.equal('of before');
      await vault!.update(entry, { password: 'of now' });
      const other = await logIn(transport, ACCOUNT);
      expect((await other.get(id)).password).to.equal('of now');
      await other.logOut();
      await vault!.logOut();
    } finally {
      await server.stop();
      remove(directory);
    }
  });
});
