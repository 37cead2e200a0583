/** The server's side of SRP-6a as its worker threads compute it: bytes in, bytes out. */
import { equalBytes } from '../../protocol/bytes.ts';
import { GROUP_ELEMENT_BYTES, PRIVATE_EXPONENT_BYTES } from '../../protocol/sizes.ts';
import {
  clientProof,
  computeU,
  GROUP,
  generatorPower,
  isAcceptableA,
  isAcceptableU,
  type Modexp,
  padGroupElement,
  serverProof,
  serverSharedS,
  sessionKey,
} from '../../protocol/srp.ts';

/** The second half of a log-in. */
export interface ProofCheck {
  /** A, 512 bytes. */
  readonly publicA: Uint8Array;
  /** v, 512 bytes. */
  readonly verifier: Uint8Array;
  /** b, 40 bytes. */
  readonly privateB: Uint8Array;
  /** B, 512 bytes. */
  readonly publicB: Uint8Array;
  /** 32 bytes. */
  readonly srpSalt: Uint8Array;
  readonly context: Uint8Array;
  /** M1, 32 bytes. */
  readonly clientProof: Uint8Array;
}

/** K (32 bytes) and M2 (32 bytes) for a proof that is right. */
export type ProofResult =
  | { readonly ok: false }
  | { readonly ok: true; readonly sessionKey: Uint8Array; readonly serverProof: Uint8Array };

/**
 * g^b mod N of several b, what the first halves of as many log-ins need: 40 bytes each, one after another, and 512 bytes each
 * in the same order. Throws 'wrong length' where the last b is cut off.
 */
export function generatorPowers(privateBs: Uint8Array, power: Modexp): Uint8Array {
  const count = Math.ceil(privateBs.length / PRIVATE_EXPONENT_BYTES);
  const powers = new Uint8Array(count * GROUP_ELEMENT_BYTES);
  for (let index = 0; index < count; index += 1) {
    const from = index * PRIVATE_EXPONENT_BYTES;
    const one = generatorPower(privateBs.subarray(from, from + PRIVATE_EXPONENT_BYTES), power);
    powers.set(one, index * GROUP_ELEMENT_BYTES);
    one.fill(0);
  }
  return powers;
}

/** What stands in for a refused A, so that refusing it costs the same. */
const ACCEPTABLE_A = padGroupElement(GROUP.g);

/** Checks M1 in constant time. A refused A and u = 0 (RFC 5054 §2.5.4) fail after the same arithmetic as a wrong proof. */
export function verifyClientProof(check: ProofCheck, power: Modexp): ProofResult {
  const acceptable = isAcceptableA(check.publicA);
  const publicA = acceptable ? check.publicA : ACCEPTABLE_A;
  const u = computeU(publicA, check.publicB);
  const S = serverSharedS(publicA, check.verifier, u, check.privateB, power);
  const K = sessionKey(S);
  S.fill(0);
  const expected = clientProof(check.context, check.srpSalt, publicA, check.publicB, K);
  const right = equalBytes(expected, check.clientProof);
  if (!right || !acceptable || !isAcceptableU(u)) {
    K.fill(0);
    return { ok: false };
  }
  return { ok: true, sessionKey: K, serverProof: serverProof(publicA, check.clientProof, K) };
}
