/**
 * SRP-6a (RFC 5054, with the proofs of RFC 2945 §3) in the 4096-bit group of RFC 5054 Appendix A with SHA-256.
 *
 * What differs from RFC 5054: every group element is hashed padded to 512 bytes; the identity in x is empty and the
 * password is the 32-byte SRP secret, so that a name can change without a new verifier; M1 holds the hash of a context
 * (handshake.ts) where RFC 2945 has the hash of the identity.
 *
 * Bytes in, bytes out: group elements have 512 bytes, hashes and x 32, private exponents 40. BigInt arithmetic does not
 * run in constant time. On the server the secrets are b and v, and its own modular exponentiation comes in as `power`
 * (src/server/srp); on the client the secrets are the person's own.
 */
import { bytesToHex, hexToBytes, type RandomBytes, sha256 } from './bytes.ts';
import { ProtocolError, requireLength } from './errors.ts';
import {
  GROUP_ELEMENT_BYTES,
  HASH_BYTES,
  KEY_BYTES,
  PRIVATE_EXPONENT_BYTES,
  PROOF_BYTES,
  SALT_BYTES,
} from './sizes.ts';

/** `base^exponent mod N`, of 0 ≤ base < N and exponent ≥ 0. */
export type Modexp = (base: bigint, exponent: bigint) => bigint;

/** The prime of RFC 5054 Appendix A, 4096 bits (RFC 3526 group 16). */
const N = BigInt(
  '0xffffffffffffffffc90fdaa22168c234c4c6628b80dc1cd129024e088a67cc74' +
    '020bbea63b139b22514a08798e3404ddef9519b3cd3a431b302b0a6df25f1437' +
    '4fe1356d6d51c245e485b576625e7ec6f44c42e9a637ed6b0bff5cb6f406b7ed' +
    'ee386bfb5a899fa5ae9f24117c4b1fe649286651ece45b3dc2007cb8a163bf05' +
    '98da48361c55d39a69163fa8fd24cf5f83655d23dca3ad961c62f356208552bb' +
    '9ed529077096966d670c354e4abc9804f1746c08ca18217c32905e462e36ce3b' +
    'e39e772c180e86039b2783a2ec07a28fb5c55df06f4c52c9de2bcbf695581718' +
    '3995497cea956ae515d2261898fa051015728e5a8aaac42dad33170d04507a33' +
    'a85521abdf1cba64ecfb850458dbef0a8aea71575d060c7db3970f85a6e1e4c7' +
    'abf5ae8cdb0933d71e8c94e04a25619dcee3d2261ad2ee6bf12ffa06d98a0864' +
    'd87602733ec86a64521f2b18177b200cbbe117577a615d6c770988c0bad946e2' +
    '08e24fa074e5ab3143db5bfce0fd108e4b82d120a92108011a723c12a787e6d7' +
    '88719a10bdba5b2699c327186af4e23c1a946834b6150bda2583e9ca2ad44ce8' +
    'dbbbc2db04de8ef92e8efc141fbecaa6287c59474e6bc05d99b2964fa090c3a2' +
    '233ba186515be7ed1f612970cee2d7afb81bdd762170481cd0069127d5b05aa9' +
    '93b4ea988d8fddc186ffb7dc90a6c08f4df435c934063199ffffffffffffffff',
);
const g = 5n;

/** PAD: a number as 512 bytes, big-endian. Throws 'out of range' for a negative or longer one. */
export function padGroupElement(x: bigint): Uint8Array<ArrayBuffer> {
  const hex = x.toString(16).padStart(2 * GROUP_ELEMENT_BYTES, '0');
  if (x < 0n || hex.length > 2 * GROUP_ELEMENT_BYTES) {
    throw new ProtocolError('out of range', `the number does not fit ${GROUP_ELEMENT_BYTES} bytes`);
  }
  return Uint8Array.from(hexToBytes(hex));
}

/** The big-endian number that the bytes are; 0 for none. */
export function bytesToBigint(bytes: Uint8Array): bigint {
  return BigInt(`0x0${bytesToHex(bytes)}`);
}

/** The group: N, its generator g, and SRP-6a's multiplier k = H(N | PAD(g)) (RFC 5054 §2.5.3). */
export const GROUP = Object.freeze({
  N,
  g,
  k: bytesToBigint(sha256(padGroupElement(N), padGroupElement(g))),
});

/** H(N) xor H(g), where g is the single byte 5 (RFC 2945 §3). */
const GROUP_HASH = (() => {
  const hashOfG = sha256(Uint8Array.of(Number(g)));
  return sha256(padGroupElement(N)).map((byte, i) => byte ^ hashOfG[i]!);
})();

/**
 * `base^exponent mod N` in BigInt: a fixed window of four bits, which are the digits of the exponent in hex. Small bases
 * such as g keep their table small, which makes them faster than others.
 */
export const modexp: Modexp = (base, exponent) => {
  const powers = [1n, base % N];
  while (powers.length < 16) powers.push((powers.at(-1)! * powers[1]!) % N);
  let result = 1n;
  for (const digit of exponent.toString(16)) {
    result = (result * result) % N;
    result = (result * result) % N;
    result = (result * result) % N;
    result = (result * result) % N;
    result = (result * powers[Number.parseInt(digit, 16)]!) % N;
  }
  return result;
};

/** A fresh private exponent a or b: 320 random bits, 40 bytes. */
export function privateExponent(random: RandomBytes): Uint8Array {
  const exponent = random(PRIVATE_EXPONENT_BYTES);
  requireLength('private exponent', exponent, PRIVATE_EXPONENT_BYTES);
  return exponent;
}

/** `x = H(srp_salt | H(0x3A | srp_secret))`: RFC 5054 §2.4 with an empty identity. 32 bytes. */
export function computeX(srpSalt: Uint8Array, srpSecret: Uint8Array): Uint8Array {
  requireLength('srp_salt', srpSalt, SALT_BYTES);
  requireLength('srp_secret', srpSecret, KEY_BYTES);
  return sha256(srpSalt, sha256(Uint8Array.of(0x3a), srpSecret));
}

/** `v = g^x mod N`, padded. */
export function computeVerifier(x: Uint8Array, power: Modexp = modexp): Uint8Array {
  requireLength('x', x, HASH_BYTES);
  return padGroupElement(power(g, bytesToBigint(x)));
}

/** Whether 1 < v < N-1: any other would make B or S known to everybody. 512 bytes, or it is not. */
export function isAcceptableVerifier(v: Uint8Array): boolean {
  if (v.length !== GROUP_ELEMENT_BYTES) return false;
  const verifier = bytesToBigint(v);
  return verifier > 1n && verifier < N - 1n;
}

/** g to a private exponent, modulo N, padded. */
export function generatorPower(exponent: Uint8Array, power: Modexp = modexp): Uint8Array {
  requireLength('private exponent', exponent, PRIVATE_EXPONENT_BYTES);
  return padGroupElement(power(g, bytesToBigint(exponent)));
}

/** `A = g^a mod N`, padded. */
export function clientPublicA(a: Uint8Array, power: Modexp = modexp): Uint8Array {
  return generatorPower(a, power);
}

/** Whether a client goes on with this B (RFC 5054 §2.5.3: abort if B mod N = 0; and B < N, so that B has one form). */
export function isAcceptableB(B: Uint8Array): boolean {
  return isReducedAndNotZero(B);
}

/** Whether a server goes on with this A (RFC 5054 §2.5.4: abort if A mod N = 0; and A < N). */
export function isAcceptableA(A: Uint8Array): boolean {
  return isReducedAndNotZero(A);
}

/** Whether u is not 0 (SRP-6a; with u = 0 the password would not matter). */
export function isAcceptableU(u: Uint8Array): boolean {
  return u.length === HASH_BYTES && u.some((byte) => byte !== 0);
}

/** `B = (k*v + g^b) mod N`, padded. The caller has checked v. */
export function serverPublicB(v: Uint8Array, b: Uint8Array, power: Modexp = modexp): Uint8Array {
  return serverPublicBOf(v, generatorPower(b, power));
}

/** B of v and of the padded `g^b mod N`, which hides v in B: who knew it would know v. The caller has checked v. */
export function serverPublicBOf(v: Uint8Array, powerOfB: Uint8Array): Uint8Array {
  requireLength('v', v, GROUP_ELEMENT_BYTES);
  requireLength('g^b', powerOfB, GROUP_ELEMENT_BYTES);
  return padGroupElement((GROUP.k * bytesToBigint(v) + bytesToBigint(powerOfB)) % N);
}

/** `u = H(PAD(A) | PAD(B))`, 32 bytes. */
export function computeU(A: Uint8Array, B: Uint8Array): Uint8Array {
  requireLength('A', A, GROUP_ELEMENT_BYTES);
  requireLength('B', B, GROUP_ELEMENT_BYTES);
  return sha256(A, B);
}

/**
 * The client's `S = (B - k*g^x)^(a + u*x) mod N`, padded. Throws 'server public value' for B ≥ N, B mod N = 0 and u = 0:
 * no honest server sends such a B.
 */
export function clientSharedS(
  B: Uint8Array,
  x: Uint8Array,
  a: Uint8Array,
  u: Uint8Array,
  power: Modexp = modexp,
): Uint8Array {
  requireLength('B', B, GROUP_ELEMENT_BYTES);
  requireLength('x', x, HASH_BYTES);
  requireLength('a', a, PRIVATE_EXPONENT_BYTES);
  requireLength('u', u, HASH_BYTES);
  if (!isAcceptableB(B)) throw new ProtocolError('server public value', 'B is 0 modulo N or not below N');
  if (!isAcceptableU(u)) throw new ProtocolError('server public value', 'u is 0');
  const exponentX = bytesToBigint(x);
  const difference = (bytesToBigint(B) - GROUP.k * power(g, exponentX)) % N;
  const base = difference < 0n ? difference + N : difference;
  return padGroupElement(power(base, bytesToBigint(a) + bytesToBigint(u) * exponentX));
}

/**
 * The server's `S = (A * v^u)^b mod N`, padded. Computes for every A and u, so that a refused one takes as long as a
 * wrong password: the caller decides by `isAcceptableA` and `isAcceptableU`.
 */
export function serverSharedS(
  A: Uint8Array,
  v: Uint8Array,
  u: Uint8Array,
  b: Uint8Array,
  power: Modexp = modexp,
): Uint8Array {
  requireLength('A', A, GROUP_ELEMENT_BYTES);
  requireLength('v', v, GROUP_ELEMENT_BYTES);
  requireLength('u', u, HASH_BYTES);
  requireLength('b', b, PRIVATE_EXPONENT_BYTES);
  const base = (bytesToBigint(A) * power(bytesToBigint(v) % N, bytesToBigint(u))) % N;
  return padGroupElement(power(base, bytesToBigint(b)));
}

/** `K = H(PAD(S))`, 32 bytes. */
export function sessionKey(S: Uint8Array): Uint8Array {
  requireLength('S', S, GROUP_ELEMENT_BYTES);
  return sha256(S);
}

/** `M1 = H((H(N) xor H(g)) | H(context) | srp_salt | PAD(A) | PAD(B) | K)` (RFC 2945 §3), 32 bytes. */
export function clientProof(
  context: Uint8Array,
  srpSalt: Uint8Array,
  A: Uint8Array,
  B: Uint8Array,
  K: Uint8Array,
): Uint8Array {
  requireLength('srp_salt', srpSalt, SALT_BYTES);
  requireLength('A', A, GROUP_ELEMENT_BYTES);
  requireLength('B', B, GROUP_ELEMENT_BYTES);
  requireLength('K', K, KEY_BYTES);
  return sha256(GROUP_HASH, sha256(context), srpSalt, A, B, K);
}

/** `M2 = H(PAD(A) | M1 | K)` (RFC 2945 §3), 32 bytes. */
export function serverProof(A: Uint8Array, M1: Uint8Array, K: Uint8Array): Uint8Array {
  requireLength('A', A, GROUP_ELEMENT_BYTES);
  requireLength('M1', M1, PROOF_BYTES);
  requireLength('K', K, KEY_BYTES);
  return sha256(A, M1, K);
}

function isReducedAndNotZero(element: Uint8Array): boolean {
  if (element.length !== GROUP_ELEMENT_BYTES) return false;
  const value = bytesToBigint(element);
  return value > 0n && value < N;
}
