import { expect } from 'chai';
import { bytesToHex, hkdf, utf8 } from '../../src/protocol/bytes.ts';
import { DEFAULT_KDF_PARAMETERS, type KdfParameters } from '../../src/protocol/kdf.ts';
import {
  type Argon2id,
  derivePasswordKeys,
  deriveSessionKeys,
  passwordBytes,
} from '../../src/protocol/keys.ts';
import { nodeArgon2id } from '../support/argon2id.ts';
import { expectRefusal } from '../support/refusal.ts';

const SALT = new Uint8Array(32).fill(7);
const CHEAPEST: KdfParameters = { algorithm: 1, memoryKib: 19_456, iterations: 2, parallelism: 1 };
const mustNotRun: Argon2id = () => expect.fail('it derived');

describe('a password', () => {
  it('is refused when it is empty', async () => {
    await expectRefusal('empty password', () => passwordBytes(''));
    await expectRefusal('empty password', () => derivePasswordKeys(mustNotRun, '', SALT, CHEAPEST));
  });

  it('is refused with a lone surrogate', async () => {
    for (const password of ['\udfff', 'a\ud800b']) {
      await expectRefusal('not Unicode', () => passwordBytes(password));
      await expectRefusal('not Unicode', () => derivePasswordKeys(mustNotRun, password, SALT, CHEAPEST));
    }
  });

  it('is normalised, and neither trimmed nor put in lower case', () => {
    expect(bytesToHex(passwordBytes('a\u0308 ①ﬁ'))).to.equal(bytesToHex(utf8('ä 1fi')));
    expect(bytesToHex(passwordBytes(' A '))).to.equal('204120');
  });
});

describe('the keys of a password', () => {
  it('are not derived with refused parameters', async () => {
    for (const change of [
      { memoryKib: 19_455 },
      { memoryKib: 1_048_577 },
      { iterations: 1 },
      { algorithm: 2 },
    ]) {
      await expectRefusal('key derivation parameters', () =>
        derivePasswordKeys(mustNotRun, 'password', SALT, { ...CHEAPEST, ...change }),
      );
    }
  });

  it('are not derived with a salt of another length', async () => {
    for (const length of [0, 31, 33]) {
      await expectRefusal('wrong length', () =>
        derivePasswordKeys(mustNotRun, 'password', new Uint8Array(length), CHEAPEST),
      );
    }
  });

  it('are refused from an Argon2id that gives another length than 32 bytes', async () => {
    await expectRefusal('wrong length', () =>
      derivePasswordKeys(async () => new Uint8Array(16), 'password', SALT, CHEAPEST),
    );
  });

  it('come from one derivation of exactly what was given', async () => {
    const seen: unknown[] = [];
    await derivePasswordKeys(
      async (password, salt, kdf) => {
        seen.push([bytesToHex(password), bytesToHex(salt), kdf]);
        return new Uint8Array(32);
      },
      'ﬁ',
      SALT,
      DEFAULT_KDF_PARAMETERS,
    );
    expect(seen).to.deep.equal([['6669', bytesToHex(SALT), DEFAULT_KDF_PARAMETERS]]);
  });

  it('are two, by one label each, and the root and the password are wiped', async () => {
    const root = new Uint8Array(32).fill(9);
    const original = root.slice();
    let password = new Uint8Array();
    const keys = await derivePasswordKeys(
      async (bytes) => {
        password = bytes as Uint8Array<ArrayBuffer>;
        return root;
      },
      'password',
      SALT,
      CHEAPEST,
    );
    expect(keys.srpSecret).to.deep.equal(hkdf(original, 'passmanager/v1 srp secret'));
    expect(keys.masterKey).to.deep.equal(hkdf(original, 'passmanager/v1 master key'));
    expect(keys.srpSecret).not.to.deep.equal(keys.masterKey);
    expect([...root, ...password].every((byte) => byte === 0)).to.equal(true);
  });

  it('change with the password, the salt and each parameter', async () => {
    const derive = async (password: string, salt: Uint8Array, change: Partial<KdfParameters>) =>
      bytesToHex(
        (await derivePasswordKeys(nodeArgon2id, password, salt, { ...CHEAPEST, ...change })).masterKey,
      );
    const all = await Promise.all([
      derive('password', SALT, {}),
      derive('Password', SALT, {}),
      derive('password', new Uint8Array(32).fill(8), {}),
      derive('password', SALT, { memoryKib: 19_464 }),
      derive('password', SALT, { iterations: 3 }),
      derive('password', SALT, { parallelism: 2 }),
    ]);
    expect(new Set(all).size).to.equal(all.length);
    expect(await derive('password', SALT, {})).to.equal(all[0]);
  });
});

describe('the keys of a session', () => {
  it('are refused for a K of another length', async () => {
    for (const length of [0, 31, 33, 512]) {
      await expectRefusal('wrong length', () => deriveSessionKeys(new Uint8Array(length)));
    }
  });

  it('are one a direction', () => {
    const K = new Uint8Array(32).fill(3);
    const { clientToServer, serverToClient } = deriveSessionKeys(K);
    expect(clientToServer).to.deep.equal(hkdf(K, 'passmanager/v1 client to server'));
    expect(serverToClient).to.deep.equal(hkdf(K, 'passmanager/v1 server to client'));
    expect(clientToServer).not.to.deep.equal(serverToClient);
  });
});
