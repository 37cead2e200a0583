/**
 * SRP-6a as its papers write it, for any group and hash, so that published answers for groups and hashes which the protocol
 * does not use can be compared with. Numbers are bigint; everything that is hashed is padded to the length of N where RFC
 * 5054 says PAD, and has no leading zeros where the published answers have none.
 */
import { createHash } from 'node:crypto';

export interface ReferenceSrp {
  readonly hash: 'sha1' | 'sha256';
  readonly N: bigint;
  readonly g: bigint;
}

/** What the published answers say of a handshake, as hex without leading zeros. */
export interface ReferenceHandshake {
  readonly k: bigint;
  readonly x: bigint;
  readonly v: bigint;
  readonly A: bigint;
  readonly B: bigint;
  readonly u: bigint;
  readonly clientS: bigint;
  readonly serverS: bigint;
  readonly K: bigint;
  readonly M1: bigint;
  readonly M2: bigint;
}

const numberOf = (bytes: Uint8Array): bigint => BigInt(`0x0${Buffer.from(bytes).toString('hex')}`);

const bytesOf = (n: bigint): Buffer => {
  const hex = n.toString(16);
  return Buffer.from(hex.length % 2 === 0 ? hex : `0${hex}`, 'hex');
};

/** Square and multiply, bit by bit. */
function power(base: bigint, exponent: bigint, modulus: bigint): bigint {
  let result = 1n;
  for (const bit of exponent.toString(2)) {
    result = (result * result) % modulus;
    if (bit === '1') result = (result * base) % modulus;
  }
  return result;
}

/** A whole handshake of RFC 5054 §2, with K, M1 and M2 of RFC 2945 §3 over one hash of S. */
export function referenceHandshake(
  { hash, N, g }: ReferenceSrp,
  { I, P, s, a, b }: { I: string; P: string; s: Uint8Array; a: bigint; b: bigint },
): ReferenceHandshake {
  const H = (...parts: (Uint8Array | string)[]): Buffer => {
    const digest = createHash(hash);
    for (const part of parts) digest.update(part);
    return digest.digest();
  };
  const length = bytesOf(N).length;
  const PAD = (n: bigint): Buffer => Buffer.concat([Buffer.alloc(length - bytesOf(n).length), bytesOf(n)]);

  const k = numberOf(H(bytesOf(N), PAD(g)));
  const x = numberOf(H(s, H(`${I}:${P}`)));
  const v = power(g, x, N);
  const A = power(g, a, N);
  const B = (k * v + power(g, b, N)) % N;
  const u = numberOf(H(PAD(A), PAD(B)));
  const clientS = power((((B - k * power(g, x, N)) % N) + N) % N, a + u * x, N);
  const serverS = power((A * power(v, u, N)) % N, b, N);
  const K = H(bytesOf(clientS));
  const hashOfG = H(bytesOf(g));
  const groupHash = H(bytesOf(N)).map((byte, i) => byte ^ hashOfG[i]!);
  const M1 = H(groupHash, H(I), s, bytesOf(A), bytesOf(B), K);
  const M2 = H(bytesOf(A), M1, K);
  return { k, x, v, A, B, u, clientS, serverS, K: numberOf(K), M1: numberOf(M1), M2: numberOf(M2) };
}
