/**
 * What passes between the pool and its threads: one ArrayBuffer for a job and one for its outcome, which moves and leaves no
 * secret behind. Moving one costs less than half of moving the seven parts of a proof.
 */
import { frame } from '../../protocol/bytes.ts';
import type { ProofCheck, ProofResult } from './srp_arithmetic.ts';

/** What the pool asks. */
export type Job =
  | { readonly kind: 'powers'; readonly privateBs: Uint8Array }
  | { readonly kind: 'verify'; readonly input: ProofCheck };

/** What it is answered. */
export type Outcome = { readonly powers: Uint8Array } | ProofResult;

/** A copy of the job that can be moved: a frame of its parts. */
export function packJob(job: Job): ArrayBuffer {
  if (job.kind === 'powers') return frame(job.privateBs).buffer;
  const { publicA, verifier, privateB, publicB, srpSalt, context, clientProof } = job.input;
  return frame(verifier, privateB, publicA, publicB, srpSalt, context, clientProof).buffer;
}

/** The job that was packed, as views on it. */
export function unpackJob(packed: ArrayBuffer): Job {
  const parts = partsOf(packed);
  if (parts.length === 1) return { kind: 'powers', privateBs: parts[0]! };
  const [verifier, privateB, publicA, publicB, srpSalt, context, clientProof] = parts;
  const input = { publicA, verifier, privateB, publicB, srpSalt, context, clientProof };
  return { kind: 'verify', input: input as ProofCheck };
}

/** A copy of the outcome that can be moved; powers and K are overwritten where they were. */
export function packOutcome(outcome: Outcome): ArrayBuffer {
  if ('powers' in outcome) return packSecret(outcome.powers);
  return outcome.ok ? packSecret(outcome.sessionKey, outcome.serverProof) : frame().buffer;
}

/** The outcome that was packed, as views on it. */
export function unpackOutcome(packed: ArrayBuffer): Outcome {
  const [first, serverProof] = partsOf(packed);
  if (first === undefined) return { ok: false };
  return serverProof === undefined ? { powers: first } : { ok: true, sessionKey: first, serverProof };
}

function packSecret(secret: Uint8Array, ...others: readonly Uint8Array[]): ArrayBuffer {
  const packed = frame(secret, ...others).buffer;
  secret.fill(0);
  return packed;
}

/** The parts of a frame. */
function partsOf(packed: ArrayBuffer): Uint8Array[] {
  const view = new DataView(packed);
  const parts: Uint8Array[] = [];
  for (let offset = 0; offset < packed.byteLength; ) {
    const length = view.getUint32(offset);
    parts.push(new Uint8Array(packed, offset + 4, length));
    offset += 4 + length;
  }
  return parts;
}
