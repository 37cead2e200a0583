import { expect } from 'chai';
import { UntrustedAnswerError } from '../../src/client/errors.ts';
import { proveSecret, requireServerProof } from '../../src/client/srp_proof.ts';
import {
  clientProof,
  computeU,
  computeVerifier,
  computeX,
  GROUP,
  padGroupElement,
  serverProof,
  serverPublicB,
  serverSharedS,
  sessionKey,
} from '../../src/protocol/srp.ts';

const random = (length: number) => crypto.getRandomValues(new Uint8Array(length));
const srpSalt = random(32);
const srpSecret = random(32);
const context = random(50);
const verifier = computeVerifier(computeX(srpSalt, srpSecret));
const b = random(40);
const publicB = serverPublicB(verifier, b);

describe("the client's proof", () => {
  for (const [what, refused] of [
    ['B = 0', padGroupElement(0n)],
    ['B = N', padGroupElement(GROUP.N)],
    ['B above N', new Uint8Array(512).fill(0xff)],
    ['B without its padding', padGroupElement(5n).slice(1)],
  ] as const) {
    it(`is not made for ${what}`, () => {
      expect(() => proveSecret(random, { publicB: refused, srpSalt, srpSecret, context })).to.throw(
        UntrustedAnswerError,
      );
    });
  }

  it('takes no other server proof than the one over its own A, M1 and K', () => {
    const proof = proveSecret(random, { publicB, srpSalt, srpSecret, context });
    const good = serverProof(proof.publicA, proof.clientProof, proof.sessionKey);
    for (const wrong of [good.with(0, good[0]! ^ 1), good.slice(1), new Uint8Array(32), new Uint8Array()]) {
      expect(() => requireServerProof(proof, wrong)).to.throw(UntrustedAnswerError);
    }
    requireServerProof(proof, good);
  });

  it('is the one that a server with the verifier computes', () => {
    const proof = proveSecret(random, { publicB, srpSalt, srpSecret, context });
    const u = computeU(proof.publicA, publicB);
    const key = sessionKey(serverSharedS(proof.publicA, verifier, u, b));
    expect(proof.sessionKey).to.deep.equal(key);
    expect(proof.clientProof).to.deep.equal(clientProof(context, srpSalt, proof.publicA, publicB, key));
  });

  it('draws a new exponent every time', () => {
    const proofs = [0, 1].map(() => proveSecret(random, { publicB, srpSalt, srpSecret, context }));
    expect(proofs[0]!.publicA).not.to.deep.equal(proofs[1]!.publicA);
  });
});
