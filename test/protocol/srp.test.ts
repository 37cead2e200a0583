import { getDiffieHellman } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { expect } from 'chai';
import fc from 'fast-check';
import { bytesToHex, hexToBytes, sha256, utf8 } from '../../src/protocol/bytes.ts';
import {
  bytesToBigint,
  clientProof,
  clientPublicA,
  clientSharedS,
  computeU,
  computeVerifier,
  computeX,
  GROUP,
  generatorPower,
  isAcceptableA,
  isAcceptableB,
  isAcceptableU,
  isAcceptableVerifier,
  modexp,
  padGroupElement,
  privateExponent,
  serverProof,
  serverPublicB,
  serverPublicBOf,
  serverSharedS,
  sessionKey,
} from '../../src/protocol/srp.ts';
import { referenceHandshake } from '../support/reference_srp.ts';
import { expectRefusal } from '../support/refusal.ts';

const { N, g, k } = GROUP;

const readVectors = (name: string) =>
  JSON.parse(readFileSync(new URL(`../vectors/${name}`, import.meta.url), 'utf8'));
const hexOf = (n: bigint): string => bytesToHex(padGroupElement(n));
const exponentOf = (hex: string): Uint8Array => hexToBytes(hex.padStart(80, '0'));

const A_GOOD = padGroupElement(g);
const X = new Uint8Array(32).fill(1);
const U = new Uint8Array(32).fill(2);
const EXPONENT = new Uint8Array(40).fill(3);

describe('the SRP group', () => {
  it("is RFC 3526's group 16 with the generator 5", () => {
    expect(N.toString(16)).to.equal(getDiffieHellman('modp16').getPrime('hex'));
    expect(g).to.equal(5n);
    expect(k).to.equal(bytesToBigint(sha256(padGroupElement(N), padGroupElement(5n))));
  });

  it('pads every element to 512 bytes', () => {
    expect(hexOf(0n)).to.equal('00'.repeat(512));
    expect(hexOf(5n)).to.equal(`${'00'.repeat(511)}05`);
    expect(hexOf(N)).to.equal(N.toString(16));
  });

  it('refuses to pad what is negative or longer than 512 bytes', async () => {
    await expectRefusal('out of range', () => padGroupElement(-1n));
    await expectRefusal('out of range', () => padGroupElement(2n ** 4096n));
    expect(hexOf(2n ** 4096n - 1n)).to.equal('ff'.repeat(512));
  });

  it('reads bytes as a big-endian number', () => {
    expect(bytesToBigint(new Uint8Array(0))).to.equal(0n);
    expect(bytesToBigint(Uint8Array.of(0, 1, 0))).to.equal(256n);
    fc.assert(
      fc.property(fc.bigInt(0n, N), (n) => {
        expect(bytesToBigint(padGroupElement(n))).to.equal(n);
      }),
    );
  });
});

describe('modular exponentiation', () => {
  /** Bit by bit. */
  const simple = (base: bigint, exponent: bigint): bigint => {
    let result = 1n;
    for (const bit of exponent.toString(2)) {
      result = (result * result) % N;
      if (bit === '1') result = (result * base) % N;
    }
    return result;
  };

  it('holds at the edges', () => {
    expect(modexp(5n, 0n)).to.equal(1n);
    expect(modexp(5n, 1n)).to.equal(5n);
    expect(modexp(0n, 7n)).to.equal(0n);
    expect(modexp(1n, 2n ** 320n)).to.equal(1n);
    expect(modexp(N - 1n, 2n)).to.equal(1n);
    expect(modexp(N - 1n, 3n)).to.equal(N - 1n);
    expect(modexp(5n, 16n)).to.equal(5n ** 16n);
    // Fermat's little theorem: only for a prime.
    expect(modexp(5n, N - 1n)).to.equal(1n);
  });

  it('is what squaring and multiplying bit by bit gives', () => {
    fc.assert(
      fc.property(fc.bigInt(0n, N - 1n), fc.bigInt(0n, 2n ** 64n), (base, exponent) => {
        expect(modexp(base, exponent)).to.equal(simple(base, exponent));
      }),
      { numRuns: 30 },
    );
  });
});

describe('public values of the other side', () => {
  const hostile = { '0': 0n, N, 'N + 1': N + 1n, '2^4096 - 1': 2n ** 4096n - 1n };

  for (const [name, value] of Object.entries(hostile)) {
    it(`are refused by the client and the server when they are ${name}`, async () => {
      const element = padGroupElement(value);
      expect(isAcceptableB(element)).to.equal(false);
      expect(isAcceptableA(element)).to.equal(false);
      await expectRefusal('server public value', () => clientSharedS(element, X, EXPONENT, U));
    });
  }

  it('are refused at another length than 512 bytes', async () => {
    for (const length of [0, 511, 513]) {
      const element = new Uint8Array(length).fill(1);
      expect(isAcceptableA(element)).to.equal(false);
      expect(isAcceptableB(element)).to.equal(false);
      expect(isAcceptableVerifier(element)).to.equal(false);
      await expectRefusal('wrong length', () => clientSharedS(element, X, EXPONENT, U));
      await expectRefusal('wrong length', () => computeU(element, A_GOOD));
      await expectRefusal('wrong length', () => computeU(A_GOOD, element));
      await expectRefusal('wrong length', () => serverSharedS(element, A_GOOD, U, EXPONENT));
    }
  });

  it('are accepted from 1 to N - 1', () => {
    for (const value of [1n, 2n, N - 1n]) {
      expect(isAcceptableA(padGroupElement(value))).to.equal(true);
      expect(isAcceptableB(padGroupElement(value))).to.equal(true);
    }
  });

  it('are refused when u is 0', async () => {
    const zero = new Uint8Array(32);
    expect(isAcceptableU(zero)).to.equal(false);
    expect(isAcceptableU(new Uint8Array(0))).to.equal(false);
    expect(isAcceptableU(new Uint8Array(32).fill(1, 31))).to.equal(true);
    expect(isAcceptableU(new Uint8Array(32).fill(1, 0, 1))).to.equal(true);
    await expectRefusal('server public value', () => clientSharedS(A_GOOD, X, EXPONENT, zero));
  });

  it('let the server compute all the same, so that a refusal takes as long as a wrong password', () => {
    const v = computeVerifier(X);
    expect(bytesToBigint(serverSharedS(padGroupElement(0n), v, U, EXPONENT))).to.equal(0n);
    expect(bytesToBigint(serverSharedS(padGroupElement(N), v, U, EXPONENT))).to.equal(0n);
    expect(serverSharedS(padGroupElement(N + 1n), v, U, EXPONENT)).to.deep.equal(
      serverSharedS(padGroupElement(1n), v, U, EXPONENT),
    );
  });
});

describe('a verifier', () => {
  it('is refused unless 1 < v < N - 1', () => {
    for (const v of [0n, 1n, N - 1n, N, N + 1n]) {
      expect(isAcceptableVerifier(padGroupElement(v))).to.equal(false);
    }
    for (const v of [2n, N - 2n]) expect(isAcceptableVerifier(padGroupElement(v))).to.equal(true);
  });

  it('is g^x', () => {
    expect(bytesToBigint(computeVerifier(hexToBytes('03'.padStart(64, '0'))))).to.equal(125n);
  });
});

describe('inputs of another length', () => {
  it('are refused everywhere', async () => {
    const short = new Uint8Array(31);
    const wrong: (() => unknown)[] = [
      () => computeX(short, X),
      () => computeX(X, short),
      () => computeVerifier(short),
      () => clientPublicA(X),
      () => serverPublicB(X, EXPONENT),
      () => serverPublicB(A_GOOD, X),
      () => serverPublicBOf(A_GOOD, X),
      () => serverPublicBOf(X, A_GOOD),
      () => generatorPower(X),
      () => clientSharedS(A_GOOD, short, EXPONENT, U),
      () => clientSharedS(A_GOOD, X, X, U),
      () => clientSharedS(A_GOOD, X, EXPONENT, short),
      () => serverSharedS(A_GOOD, X, U, EXPONENT),
      () => serverSharedS(A_GOOD, A_GOOD, short, EXPONENT),
      () => serverSharedS(A_GOOD, A_GOOD, U, X),
      () => sessionKey(X),
      () => clientProof(X, short, A_GOOD, A_GOOD, X),
      () => clientProof(X, X, X, A_GOOD, X),
      () => clientProof(X, X, A_GOOD, X, X),
      () => clientProof(X, X, A_GOOD, A_GOOD, short),
      () => serverProof(X, X, X),
      () => serverProof(A_GOOD, short, X),
      () => serverProof(A_GOOD, X, short),
      () => privateExponent(() => new Uint8Array(32)),
    ];
    for (const action of wrong) await expectRefusal('wrong length', action);
  });
});

describe('x', () => {
  it('is the hash of the salt and of the hash of a colon and the secret', () => {
    const salt = new Uint8Array(32).fill(4);
    const secret = new Uint8Array(32).fill(5);
    expect(computeX(salt, secret)).to.deep.equal(sha256(salt, sha256(utf8(':'), secret)));
  });
});

describe('a private exponent', () => {
  it('is 40 bytes of the random source, untouched', () => {
    const asked: number[] = [];
    const source = (length: number) => {
      asked.push(length);
      return new Uint8Array(length).fill(0xff);
    };
    expect(bytesToHex(privateExponent(source))).to.equal('ff'.repeat(40));
    expect(asked).to.deep.equal([40]);
  });
});

describe('a handshake', () => {
  const exponent = fc.uint8Array({ minLength: 40, maxLength: 40 });
  const hash = fc.uint8Array({ minLength: 32, maxLength: 32 });

  it('gives both sides the same S, and another with a wrong password', () => {
    fc.assert(
      fc.property(hash, exponent, exponent, (x, a, b) => {
        const v = computeVerifier(x);
        const A = clientPublicA(a);
        const B = serverPublicB(v, b);
        const u = computeU(A, B);
        const S = serverSharedS(A, v, u, b);
        expect(bytesToHex(clientSharedS(B, x, a, u))).to.equal(bytesToHex(S));
        const wrongX = x.with(31, x[31]! ^ 1);
        if (a.some((byte) => byte !== 0)) {
          expect(bytesToHex(clientSharedS(B, wrongX, a, u))).not.to.equal(bytesToHex(S));
        }
      }),
      { numRuns: 10 },
    );
  });

  it('uses the exponentiation that was handed in', () => {
    let calls = 0;
    const counting = (base: bigint, power: bigint) => {
      calls++;
      return modexp(base, power);
    };
    const v = computeVerifier(X, counting);
    const A = clientPublicA(EXPONENT, counting);
    const B = serverPublicB(v, EXPONENT, counting);
    expect(calls).to.equal(3);
    clientSharedS(B, X, EXPONENT, U, counting);
    expect(calls).to.equal(5);
    serverSharedS(A, v, U, EXPONENT, counting);
    expect(calls).to.equal(7);
  });

  it('binds both proofs to everything that they are made of', () => {
    const K = new Uint8Array(32).fill(6);
    const other = new Uint8Array(32).fill(7);
    const B = padGroupElement(25n);
    const proofs = [
      clientProof(X, U, A_GOOD, B, K),
      clientProof(other, U, A_GOOD, B, K),
      clientProof(X, other, A_GOOD, B, K),
      clientProof(X, U, B, B, K),
      clientProof(X, U, A_GOOD, A_GOOD, K),
      clientProof(X, U, A_GOOD, B, other),
      serverProof(A_GOOD, X, K),
      serverProof(B, X, K),
      serverProof(A_GOOD, other, K),
      serverProof(A_GOOD, X, other),
    ].map(bytesToHex);
    expect(new Set(proofs).size).to.equal(proofs.length);
  });
});

describe('the published answers', () => {
  const published = readVectors('srp-published.json');
  const big = (hex: string): bigint => BigInt(`0x${hex}`);

  for (const [name, hash] of [
    ['rfc5054_appendix_b', 'sha1'],
    ['srptools_sha256_4096', 'sha256'],
  ] as const) {
    it(`of ${name} are what the reference of these tests computes`, () => {
      const vector = published[name];
      const handshake = referenceHandshake(
        { hash, N: vector.N === undefined ? N : big(vector.N), g: big(vector.g) },
        { I: vector.I, P: vector.P, s: hexToBytes(vector.s), a: big(vector.a), b: big(vector.b) },
      );
      const { clientS, serverS, ...rest } = handshake;
      for (const [letter, value] of Object.entries(rest)) expect(value, letter).to.equal(big(vector[letter]));
      expect(clientS).to.equal(big(vector.S));
      expect(serverS).to.equal(big(vector.S));
    });
  }

  it('of the 4096-bit group are what the protocol computes, from x on', () => {
    const vector = published.srptools_sha256_4096;
    const x = hexToBytes(vector.x.padStart(64, '0'));
    const [a, b] = [exponentOf(vector.a), exponentOf(vector.b)];
    const v = computeVerifier(x);
    const A = clientPublicA(a);
    const B = serverPublicB(v, b);
    const u = computeU(A, B);
    const S = clientSharedS(B, x, a, u);
    const K = sessionKey(S);
    expect(k.toString(16)).to.equal(vector.k);
    expect({
      v: bytesToHex(v),
      A: bytesToHex(A),
      B: bytesToHex(B),
      u: bytesToHex(u),
      S: bytesToHex(S),
      K: bytesToHex(K),
      M2: bytesToHex(serverProof(A, hexToBytes(vector.M1), K)),
    }).to.deep.equal({
      v: vector.v,
      A: vector.A,
      B: vector.B,
      u: vector.u,
      S: vector.S,
      K: vector.K,
      M2: vector.M2,
    });
    expect(serverSharedS(A, v, u, b)).to.deep.equal(S);
  });
});

describe('values with leading zeros', () => {
  for (const vector of readVectors('srp-4096-padding.json').testVectors) {
    it(`are padded everywhere: ${vector.name}`, () => {
      expect([vector.H, vector.size, vector.g]).to.deep.equal(['sha256', 4096, '05']);
      const [a, b, x] = [hexToBytes(vector.a), hexToBytes(vector.b), hexToBytes(vector.x)];
      const v = computeVerifier(x);
      const A = clientPublicA(a);
      const B = serverPublicB(v, b);
      const u = computeU(A, B);
      const S = clientSharedS(B, x, a, u);
      const K = sessionKey(S);
      // The identity of these answers stands where the protocol has its context.
      const M1 = clientProof(utf8(vector.I), hexToBytes(vector.s), A, B, K);
      const M2 = serverProof(A, M1, K);
      const computed = Object.entries({ v, A, B, u, S, K, M1, M2 });
      for (const [letter, bytes] of computed) expect(bytesToHex(bytes), letter).to.equal(vector[letter]);
      expect(serverSharedS(A, v, u, b)).to.deep.equal(S);
    });
  }
});
