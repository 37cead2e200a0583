import { expect } from 'chai';
import {
  deriveKeys,
  hashUsername,
  kdfMessage,
  makeCredentials,
  wipeKeys,
} from '../../src/client/credentials.ts';
import { InvalidInputError, UntrustedAnswerError } from '../../src/client/errors.ts';
import { completePlatform } from '../../src/client/platform.ts';
import { DEFAULT_KDF_PARAMETERS } from '../../src/protocol/kdf.ts';
import { computeVerifier, computeX } from '../../src/protocol/srp.ts';
import { rejection } from '../support/rejection.ts';

let derivations = 0;
const platform = completePlatform({
  argon2id: async (password) => {
    derivations += 1;
    return new Uint8Array(32).fill(password[0]!);
  },
});
const salt = new Uint8Array(32);

describe('credentials', () => {
  for (const username of ['', ' \u3000', '\ud800']) {
    it(`refuse the username ${JSON.stringify(username)}`, () => {
      expect(() => hashUsername(username)).to.throw(InvalidInputError);
    });
  }

  for (const password of ['', '\udc00']) {
    it(`refuse the password ${JSON.stringify(password)}`, async () => {
      const refused = makeCredentials(platform, password, DEFAULT_KDF_PARAMETERS);
      expect(await rejection(refused)).to.be.instanceOf(InvalidInputError);
    });
  }

  for (const [what, change] of [
    ['too little memory', { memoryKib: 19_455 }],
    ['one pass', { iterations: 1 }],
    ['no lane', { parallelism: 0 }],
    ['another algorithm', { algorithm: 2 }],
    ['absurd memory', { memoryKib: 1_048_577 }],
    ['absurd passes', { iterations: 65 }],
    ['absurd work in all', { memoryKib: 1_048_576, iterations: 5 }],
  ] as const) {
    it(`refuse ${what} before anything is derived, from a server and from a person`, async () => {
      const kdf = { ...DEFAULT_KDF_PARAMETERS, ...change };
      derivations = 0;
      expect(await rejection(deriveKeys(platform, 'p', salt, kdf))).to.be.instanceOf(UntrustedAnswerError);
      expect(await rejection(makeCredentials(platform, 'p', kdf))).to.be.instanceOf(InvalidInputError);
      expect(derivations).to.equal(0);
    });
  }

  it('refuse a salt of another length', async () => {
    const refused = deriveKeys(platform, 'p', new Uint8Array(31), DEFAULT_KDF_PARAMETERS);
    expect(await rejection(refused)).to.be.instanceOf(UntrustedAnswerError);
  });

  it('are new every time, and the verifier is of their own salt', async () => {
    const [one, other] = [
      await makeCredentials(platform, 'p', DEFAULT_KDF_PARAMETERS),
      await makeCredentials(platform, 'p', DEFAULT_KDF_PARAMETERS),
    ];
    expect(one.srpSalt).not.to.deep.equal(other.srpSalt);
    expect(one.masterKeySalt).not.to.deep.equal(other.masterKeySalt);
    expect(one.srpVerifier).to.deep.equal(computeVerifier(computeX(one.srpSalt, one.srpSecret)));
  });

  it('are overwritten when they are wiped', async () => {
    const keys = await deriveKeys(platform, 'p', salt, DEFAULT_KDF_PARAMETERS);
    wipeKeys(keys);
    expect([...keys.srpSecret, ...keys.masterKey].every((byte) => byte === 0)).to.equal(true);
  });

  it('carry their parameters as the contract spells them', () => {
    const { $typeName, ...fields } = kdfMessage(DEFAULT_KDF_PARAMETERS);
    expect($typeName).to.equal('passmanager.common.v1.KdfParameters');
    expect(fields).to.deep.equal({ ...DEFAULT_KDF_PARAMETERS });
  });
});
