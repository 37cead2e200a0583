import { readFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { expect } from 'chai';
import {
  createConnectTransport,
  createGrpcTransport,
  createGrpcWebTransport,
  logIn,
  registerUser,
  type ServerRefusalError,
  settlePasswordChange,
  type VaultTransport,
  WrongCredentialsError,
} from '../../src/client/node.ts';
import { rejection } from '../support/rejection.ts';
import { startTestServer, type TestServer } from '../support/test_server.ts';

const kdf = { algorithm: 1, memoryKib: 19_456, iterations: 2, parallelism: 1 };
const fixture = (name: string) => fileURLToPath(new URL(`../fixtures/tls/${name}`, import.meta.url));

/** The main job, over one transport. */
async function playThrough(transport: VaultTransport): Promise<void> {
  const username = `user-${crypto.randomUUID()}`;
  await registerUser(transport, { username, password: 'old password', kdf });
  const taken = (await rejection(
    registerUser(transport, { username, password: 'x', kdf }),
  )) as ServerRefusalError;
  expect([taken.code, taken.field, taken.verified]).to.deep.equal([
    'username_exists',
    'username_hash',
    false,
  ]);
  expect(await rejection(logIn(transport, { username, password: 'x' }))).to.be.instanceOf(
    WrongCredentialsError,
  );

  const vault = await logIn(transport, { username, password: 'old password' });
  const entry = await vault.create({ name: 'Bank', password: 'p', notes: 'x'.repeat(60_000) });
  const missing = (await rejection(vault.get(crypto.randomUUID()))) as ServerRefusalError;
  expect([missing.code, missing.verified]).to.deep.equal(['entry_not_found', true]);

  const other = await logIn(transport, { username, password: 'old password' });
  const controller = new AbortController();
  const revisions: bigint[] = [];
  for await (const { revision } of other.watch({ signal: controller.signal })) {
    revisions.push(revision);
    if (revisions.length === 1) await vault.update(entry, { password: 'q' });
    else controller.abort();
  }
  expect(revisions).to.deep.equal([1n, 2n]);
  expect((await other.sync()).changed).to.deep.equal([entry.id]);
  expect((await other.getLocal(entry.id))!.password).to.equal('q');
  other.close();

  await vault.changePassword({ currentPassword: 'old password', newPassword: 'new password', kdf });
  const settlement = { username, oldPassword: 'old password', newPassword: 'new password' };
  expect(await settlePasswordChange(transport, settlement)).to.equal('new');
  expect((await vault.get(entry.id)).notes!.length).to.equal(60_000);
  await vault.logOut();
}

describe('the client in Node', () => {
  let server: TestServer;
  before(async () => {
    server = await startTestServer();
  });
  after(() => server.stop());

  it('does its job over native gRPC', async () => {
    const transport = createGrpcTransport({ url: `http://${server.grpcAddress}` });
    try {
      await playThrough(transport);
    } finally {
      transport.close();
    }
  });

  it('does its job over Connect', () => playThrough(createConnectTransport({ url: server.httpUrl })));

  it('does its job over gRPC-Web', () => playThrough(createGrpcWebTransport({ url: server.httpUrl })));

  describe('under TLS', () => {
    let secure: TestServer;
    let ca: string;
    before(async () => {
      ca = await readFile(fixture('certificate.pem'), 'utf8');
      secure = await startTestServer({
        settings: {
          PASSMANAGER_TLS_CERT_FILE: fixture('certificate.pem'),
          PASSMANAGER_TLS_KEY_FILE: fixture('key.pem'),
        },
      });
    });
    after(() => secure.stop());

    for (const httpVersion of ['1.1', '2'] as const) {
      it(`does its job over Connect and HTTP/${httpVersion}`, () => {
        const url = secure.httpUrl.replace('http://127.0.0.1', 'https://localhost');
        return playThrough(createConnectTransport({ url, ca, httpVersion }));
      });
    }
  });
});
