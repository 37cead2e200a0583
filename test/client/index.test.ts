import { readdir, readFile } from 'node:fs/promises';
import { expect } from 'chai';
import * as library from '../../src/client/index.ts';

const SOURCES = new URL('../../src/client/', import.meta.url);
/** What only Node has, and the files that may import it. */
const ONLY_IN_NODE = ['argon2', '@grpc/grpc-js', '@connectrpc/connect-node'];
const NODE_FILES = ['node.ts', 'argon2id_node.ts', 'grpc_transport.ts'];

async function importsOf(file: string): Promise<string[]> {
  const text = await readFile(new URL(file, SOURCES), 'utf8');
  return [...text.matchAll(/\bfrom '([^']+)'|\bimport\(?\s*'([^']+)'/g)].map(
    ([, one, other]) => one ?? other!,
  );
}

describe('the client library', () => {
  it('imports no module of Node but where only Node loads it, and of this repository only the protocol and the generated contract', async () => {
    const files = (await readdir(SOURCES)).filter((file) => file.endsWith('.ts'));
    expect(files.length).to.be.greaterThan(30);
    for (const file of files) {
      for (const name of await importsOf(file)) {
        if (!NODE_FILES.includes(file)) expect(name, file).not.to.match(/^node:/);
        if (name.startsWith('.')) expect(name, file).to.match(/^(\.\/|\.\.\/protocol\/|\.\.\/\.\.\/gen\/)/);
        if (!NODE_FILES.includes(file)) expect(ONLY_IN_NODE, file).not.to.include(name);
        if (file !== 'node.ts')
          expect(
            NODE_FILES.map((one) => `./${one}`),
            file,
          ).not.to.include(name);
      }
    }
  });

  it('is the same in Node and in browsers but for transports and Argon2id', async () => {
    const [node, browser] = await Promise.all([
      import('../../src/client/node.ts'),
      import('../../src/client/browser.ts'),
    ]);
    for (const name of Object.keys(library)) {
      expect(node).to.have.property(name);
      expect(browser).to.have.property(name);
    }
    for (const entry of [node, browser]) {
      for (const name of [
        'registerUser',
        'logIn',
        'settlePasswordChange',
        'createConnectTransport',
        'createGrpcWebTransport',
      ]) {
        expect(entry).to.have.property(name);
      }
    }
  });

  it('uses the Argon2id that it is given', async () => {
    const seen: unknown[] = [];
    const client = library.createVaultClient({
      argon2id: async (password, salt, kdf) => {
        seen.push([password.length, salt.length, kdf]);
        throw new Error('given');
      },
    });
    const transport = { confidential: true } as library.VaultTransport;
    const failed = await client
      .registerUser(transport, { username: 'u', password: 'secret' })
      .catch((error: Error) => error.message);
    expect(failed).to.equal('given');
    expect(seen).to.deep.equal([[6, 32, library.DEFAULT_KDF_PARAMETERS]]);
  });
});
