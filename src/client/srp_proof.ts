/** The client's half of an SRP-6a handshake (RFC 5054 §2.5, RFC 2945 §3), the same for a log-in and both proofs of a password change. */
import { equalBytes, type RandomBytes } from '../protocol/bytes.ts';
import { ProtocolError } from '../protocol/errors.ts';
import {
  clientProof,
  clientPublicA,
  clientSharedS,
  computeU,
  computeX,
  privateExponent,
  serverProof,
  sessionKey,
} from '../protocol/srp.ts';
import { UntrustedAnswerError } from './errors.ts';

/** What the client sends, and what it keeps to check the answer. */
export interface SrpProof {
  /** A, 512 bytes. */
  readonly publicA: Uint8Array;
  /** M1, 32 bytes. */
  readonly clientProof: Uint8Array;
  /** K, 32 bytes; good only after requireServerProof. */
  readonly sessionKey: Uint8Array;
}

/** Proves the password over `context`. Throws UntrustedAnswerError for B ≡ 0, B ≥ N, u = 0 and fields of a wrong length. */
export function proveSecret(
  random: RandomBytes,
  parameters: {
    /** PAD(B), 512 bytes. */
    readonly publicB: Uint8Array;
    /** 32 bytes. */
    readonly srpSalt: Uint8Array;
    /** 32 bytes. */
    readonly srpSecret: Uint8Array;
    readonly context: Uint8Array;
  },
): SrpProof {
  const { publicB, srpSalt, srpSecret, context } = parameters;
  const a = privateExponent(random);
  const x = computeX(srpSalt, srpSecret);
  try {
    const publicA = clientPublicA(a);
    const shared = clientSharedS(publicB, x, a, computeU(publicA, publicB));
    const key = sessionKey(shared);
    shared.fill(0);
    return { publicA, clientProof: clientProof(context, srpSalt, publicA, publicB, key), sessionKey: key };
  } catch (error) {
    throw error instanceof ProtocolError ? new UntrustedAnswerError(error.message, error) : error;
  } finally {
    a.fill(0);
    x.fill(0);
  }
}

/** Throws UntrustedAnswerError unless M2 is the one that only who knows the verifier can make. Compares in constant time. */
export function requireServerProof(proof: SrpProof, serverProofM2: Uint8Array): void {
  if (!equalBytes(serverProof(proof.publicA, proof.clientProof, proof.sessionKey), serverProofM2)) {
    throw new UntrustedAnswerError("the server's proof is wrong");
  }
}
