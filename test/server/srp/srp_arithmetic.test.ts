import { readFileSync } from 'node:fs';
import { expect } from 'chai';
import { bytesToHex, concatBytes, hexToBytes } from '../../../src/protocol/bytes.ts';
import { ProtocolError } from '../../../src/protocol/errors.ts';
import { GROUP, type modexp, padGroupElement, serverPublicBOf } from '../../../src/protocol/srp.ts';
import { createGroupModexp } from '../../../src/server/srp/openssl_modexp.ts';
import { generatorPowers, verifyClientProof } from '../../../src/server/srp/srp_arithmetic.ts';

const vectors = JSON.parse(readFileSync(new URL('../../vectors/protocol-v1.json', import.meta.url), 'utf8'));

const checkOf = (login: Record<string, string>) => ({
  publicA: hexToBytes(login.A!),
  verifier: hexToBytes(login.v!),
  privateB: hexToBytes(login.b!),
  publicB: hexToBytes(login.B!),
  srpSalt: hexToBytes(login.srp_salt!),
  context: hexToBytes(login.context!),
  clientProof: hexToBytes(login.M1!),
});

describe('the server’s side of SRP', () => {
  const power = createGroupModexp();

  for (const login of vectors.logins) {
    it(`computes the known answers of “${login.name}”`, () => {
      const powerOfB = generatorPowers(hexToBytes(login.b), power);
      expect(bytesToHex(serverPublicBOf(hexToBytes(login.v), powerOfB))).to.equal(login.B);
      const result = verifyClientProof(checkOf(login), power);
      if (!result.ok) throw new Error('the proof was refused');
      expect(bytesToHex(result.sessionKey)).to.equal(login.K);
      expect(bytesToHex(result.serverProof)).to.equal(login.M2);
    });
  }

  it('computes the powers of several b in their order, and refuses one that is cut off', () => {
    const [first, second] = [hexToBytes(vectors.logins[0].b), hexToBytes(vectors.logins[1].b)];
    expect(generatorPowers(concatBytes(first, second), power)).to.deep.equal(
      concatBytes(generatorPowers(first, power), generatorPowers(second, power)),
    );
    expect(() => generatorPowers(concatBytes(first, second.subarray(1)), power)).to.throw(ProtocolError);
  });

  const good = checkOf(vectors.logins[0]);

  for (const part of [
    'clientProof',
    'context',
    'srpSalt',
    'publicA',
    'publicB',
    'verifier',
    'privateB',
  ] as const) {
    it(`refuses a proof when one bit of ${part} is another`, () => {
      const changed = Uint8Array.from(good[part]);
      changed[changed.length - 1]! ^= 1;
      expect(verifyClientProof({ ...good, [part]: changed }, power)).to.deep.equal({ ok: false });
    });
  }

  it('refuses A of 0, N and 2^4096-1 after as many exponentiations as any proof takes', () => {
    let count = 0;
    const counting: typeof modexp = (base, exponent) => {
      count += 1;
      return power(base, exponent);
    };
    verifyClientProof(good, counting);
    const usual = count;
    for (const publicA of [padGroupElement(0n), padGroupElement(GROUP.N), new Uint8Array(512).fill(255)]) {
      count = 0;
      expect(verifyClientProof({ ...good, publicA }, counting)).to.deep.equal({ ok: false });
      expect(count).to.equal(usual);
    }
  });
});
