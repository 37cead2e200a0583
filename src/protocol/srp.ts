/**
 * SRP-6a (RFC 5054) over its 4096-bit group with SHA-256, and RFC 2945's proofs with the handshake's context in the place
 * of the identity. Deviations from RFC 5054: x has an empty identity, so that a name can change without a new verifier;
 * every group element is sent and hashed as PAD(x), 512 bytes. Group elements go in and out as those bytes.
 *
 * BigInt arithmetic is not constant-time; on the server, modular exponentiation is OpenSSL's (src/server/srp).
 */
import { concatBytes, sha256 } from './bytes.ts';
import { ProtocolError } from './errors.ts';
import { GROUP_ELEMENT_BYTES, PRIVATE_EXPONENT_BYTES } from './sizes.ts';

/** base^exponent mod N for 0 ≤ base < N and exponent ≥ 0. */
export type Modexp = (base: bigint, exponent: bigint) => bigint;

// RFC 5054 Appendix A, 4096-bit group; byte-equal to RFC 3526 §5 (group 16).
const N = BigInt(
  '0x' +
    'ffffffffffffffffc90fdaa22168c234c4c6628b80dc1cd129024e088a67cc74020bbea63b139b22514a08798e3404dd' +
    'ef9519b3cd3a431b302b0a6df25f14374fe1356d6d51c245e485b576625e7ec6f44c42e9a637ed6b0bff5cb6f406b7ed' +
    'ee386bfb5a899fa5ae9f24117c4b1fe649286651ece45b3dc2007cb8a163bf0598da48361c55d39a69163fa8fd24cf5f' +
    '83655d23dca3ad961c62f356208552bb9ed529077096966d670c354e4abc9804f1746c08ca18217c32905e462e36ce3b' +
    'e39e772c180e86039b2783a2ec07a28fb5c55df06f4c52c9de2bcbf6955817183995497cea956ae515d2261898fa0510' +
    '15728e5a8aaac42dad33170d04507a33a85521abdf1cba64ecfb850458dbef0a8aea71575d060c7db3970f85a6e1e4c7' +
    'abf5ae8cdb0933d71e8c94e04a25619dcee3d2261ad2ee6bf12ffa06d98a0864d87602733ec86a64521f2b18177b200c' +
    'bbe117577a615d6c770988c0bad946e208e24fa074e5ab3143db5bfce0fd108e4b82d120a92108011a723c12a787e6d7' +
    '88719a10bdba5b2699c327186af4e23c1a946834b6150bda2583e9ca2ad44ce8dbbbc2db04de8ef92e8efc141fbecaa6' +
    '287c59474e6bc05d99b2964fa090c3a2233ba186515be7ed1f612970cee2d7afb81bdd762170481cd0069127d5b05aa9' +
    '93b4ea988d8fddc186ffb7dc90a6c08f4df435c934063199ffffffffffffffff',
);
const G = 5n;

/** A number as PAD(x): exactly 512 bytes, big-endian. Throws RangeError for a negative one and one of 2^4096 or more. */
export function padGroupElement(value: bigint): Uint8Array {
  const hex = value.toString(16);
  if (value < 0n || hex.length > 2 * GROUP_ELEMENT_BYTES)
    throw new RangeError('a group element has at most 512 bytes');
  const bytes = new Uint8Array(GROUP_ELEMENT_BYTES);
  const even = hex.length % 2 === 0 ? hex : `0${hex}`;
  const start = GROUP_ELEMENT_BYTES - even.length / 2;
  for (let index = 0; index < even.length; index += 2) {
    bytes[start + index / 2] = Number.parseInt(even.slice(index, index + 2), 16);
  }
  return bytes;
}

/** The number that bytes spell, big-endian. */
export function bytesToBigint(bytes: Uint8Array): bigint {
  let hex = '0x0';
  for (const byte of bytes) hex += byte.toString(16).padStart(2, '0');
  return BigInt(hex);
}

/** The group: prime N, generator g = 5, multiplier k = H(N | PAD(g)) (RFC 5054 §2.5.3). */
export const GROUP: { readonly N: bigint; readonly g: bigint; readonly k: bigint } = {
  N,
  g: G,
  k: bytesToBigint(sha256(padGroupElement(N), padGroupElement(G))),
};

/** How many bits of the exponent are taken at a time. */
const WINDOW_BITS = 5n;

/** base^exponent mod N by a fixed window. Not constant-time. */
export const modexp: Modexp = (base, exponent) => {
  const powers = [1n];
  for (let power = 1; power < 1 << Number(WINDOW_BITS); power += 1)
    powers.push((powers[power - 1]! * base) % N);
  const digits: number[] = [];
  for (let rest = exponent; rest > 0n; rest >>= WINDOW_BITS)
    digits.push(Number(rest & ((1n << WINDOW_BITS) - 1n)));
  let result = 1n;
  for (const digit of digits.reverse()) {
    for (let bit = 0n; bit < WINDOW_BITS; bit += 1n) result = (result * result) % N;
    if (digit !== 0) result = (result * powers[digit]!) % N;
  }
  return result;
};

/** A private exponent a or b: 320 random bits as 40 bytes. */
export function privateExponent(random: (bytes: number) => Uint8Array): Uint8Array {
  return random(PRIVATE_EXPONENT_BYTES);
}

/** x = H(srp_salt | H(0x3A | srp_secret)): RFC 5054 §2.4 with an empty identity; 0x3A is its colon. */
export function computeX(srpSalt: Uint8Array, srpSecret: Uint8Array): bigint {
  return bytesToBigint(sha256(srpSalt, sha256(Uint8Array.of(0x3a), srpSecret)));
}

/** v = g^x mod N as 512 bytes. */
export function computeVerifier(x: bigint, power: Modexp = modexp): Uint8Array {
  return padGroupElement(power(G, x));
}

/** Whether a server takes a verifier: 512 bytes and 1 < v < N-1. */
export function isAcceptableVerifier(verifier: Uint8Array): boolean {
  if (verifier.length !== GROUP_ELEMENT_BYTES) return false;
  const v = bytesToBigint(verifier);
  return v > 1n && v < N - 1n;
}

/** A = g^a mod N as 512 bytes (RFC 5054 §2.5.4). */
export function clientPublicA(privateA: Uint8Array, power: Modexp = modexp): Uint8Array {
  return padGroupElement(power(G, bytesToBigint(privateA)));
}

/** Whether a client goes on with B: 512 bytes, B < N and B mod N ≠ 0 (RFC 5054 §2.5.3). */
export function isAcceptableB(publicB: Uint8Array): boolean {
  return isReduced(publicB);
}

/** Whether a server goes on with A: 512 bytes, A < N and A mod N ≠ 0 (RFC 5054 §2.5.4). */
export function isAcceptableA(publicA: Uint8Array): boolean {
  return isReduced(publicA);
}

function isReduced(element: Uint8Array): boolean {
  if (element.length !== GROUP_ELEMENT_BYTES) return false;
  const value = bytesToBigint(element);
  return value > 0n && value < N;
}

/** B = (k*v + g^b) mod N as 512 bytes (RFC 5054 §2.5.3). `power` computes g^b. */
export function serverPublicB(
  verifier: Uint8Array,
  privateB: Uint8Array,
  power: Modexp = modexp,
): Uint8Array {
  const { k } = GROUP;
  return padGroupElement((k * bytesToBigint(verifier) + power(G, bytesToBigint(privateB))) % N);
}

/** u = H(PAD(A) | PAD(B)): 32 bytes (RFC 5054 §2.6). */
export function computeU(publicA: Uint8Array, publicB: Uint8Array): Uint8Array {
  return sha256(publicA, publicB);
}

/** Whether u is 0, which both sides refuse (RFC 5054 §2.5.4). */
export function isZero(u: Uint8Array): boolean {
  return u.every((byte) => byte === 0);
}

/** The client's S = (B - k*g^x)^(a + u*x) mod N as 512 bytes (RFC 5054 §2.6). Throws ProtocolError for a refused B and u = 0. */
export function clientSharedS(
  publicB: Uint8Array,
  x: bigint,
  privateA: Uint8Array,
  u: Uint8Array,
  power: Modexp = modexp,
): Uint8Array {
  if (!isAcceptableB(publicB)) throw new ProtocolError('group element', 'B is not between 0 and N');
  if (isZero(u)) throw new ProtocolError('group element', 'u is 0');
  const base = (bytesToBigint(publicB) - ((GROUP.k * power(G, x)) % N) + N) % N;
  return padGroupElement(power(base, bytesToBigint(privateA) + bytesToBigint(u) * x));
}

/** The server's S = (A * v^u)^b mod N as 512 bytes (RFC 5054 §2.6). A must have been accepted before. */
export function serverSharedS(
  publicA: Uint8Array,
  verifier: Uint8Array,
  u: Uint8Array,
  privateB: Uint8Array,
  power: Modexp = modexp,
): Uint8Array {
  const base = (bytesToBigint(publicA) * power(bytesToBigint(verifier), bytesToBigint(u))) % N;
  return padGroupElement(power(base, bytesToBigint(privateB)));
}

/** K = H(PAD(S)): 32 bytes. */
export function sessionKey(sharedS: Uint8Array): Uint8Array {
  return sha256(sharedS);
}

/** H(N) xor H(g), with g as the single byte 0x05 (RFC 2945 §3). */
const GROUP_HASH: Uint8Array = (() => {
  const hashOfG = sha256(Uint8Array.of(Number(G)));
  return sha256(padGroupElement(N)).map((byte, index) => byte ^ hashOfG[index]!);
})();

/** M1 = H((H(N) xor H(g)) | H(context) | srp_salt | PAD(A) | PAD(B) | K): 32 bytes (RFC 2945 §3). */
export function clientProof(
  context: Uint8Array,
  srpSalt: Uint8Array,
  publicA: Uint8Array,
  publicB: Uint8Array,
  key: Uint8Array,
): Uint8Array {
  return sha256(GROUP_HASH, sha256(context), srpSalt, publicA, publicB, key);
}

/** M2 = H(PAD(A) | M1 | K): 32 bytes (RFC 2945 §3). */
export function serverProof(publicA: Uint8Array, proofM1: Uint8Array, key: Uint8Array): Uint8Array {
  return sha256(concatBytes(publicA, proofM1, key));
}
