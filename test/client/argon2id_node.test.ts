import { expect } from 'chai';
import { argon2idInWasm } from '../../src/client/argon2id_browser.ts';
import { argon2idInNode } from '../../src/client/argon2id_node.ts';
import { bytesToHex, utf8 } from '../../src/protocol/bytes.ts';

describe('Argon2id in Node', () => {
  const salt = new Uint8Array(32).fill(3);
  const kdf = { algorithm: 1, memoryKib: 19_456, iterations: 2, parallelism: 1 };

  it('gives other bytes for another password, salt or amount of work', async () => {
    const roots = await Promise.all([
      argon2idInNode(utf8('password'), salt, kdf),
      argon2idInNode(utf8('passwore'), salt, kdf),
      argon2idInNode(utf8('password'), salt.with(0, 4), kdf),
      argon2idInNode(utf8('password'), salt, { ...kdf, iterations: 3 }),
      argon2idInNode(utf8('password'), salt, { ...kdf, parallelism: 2 }),
    ]);
    expect(new Set(roots.map(bytesToHex)).size).to.equal(roots.length);
  });

  it('takes a password that is a part of a larger buffer', async () => {
    const part = utf8('xxpasswordxx').subarray(2, 10);
    expect(await argon2idInNode(part, salt, kdf)).to.deep.equal(
      await argon2idInNode(utf8('password'), salt, kdf),
    );
  });

  it('is the same function as in WebAssembly', async () => {
    for (const work of [kdf, { ...kdf, parallelism: 3, iterations: 4 }]) {
      const [native, wasm] = await Promise.all([
        argon2idInNode(utf8('password'), salt, work),
        argon2idInWasm(utf8('password'), salt, work),
      ]);
      expect(bytesToHex(native)).to.equal(bytesToHex(wasm));
      expect(native.length).to.equal(32);
    }
  });
});
