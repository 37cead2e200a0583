/**
 * What passes between the pool and its threads: one ArrayBuffer for a job and one for its outcome, which moves and leaves no
 * secret behind. Moving one costs less than half of moving the seven parts of a proof.
 */
import { frame } from '../../protocol/bytes.ts';
import type { HandshakeStart, ProofCheck, ProofResult } from './srp_arithmetic.ts';

/** What the pool asks. */
export type Job =
  | { readonly kind: 'start'; readonly input: HandshakeStart }
  | { readonly kind: 'verify'; readonly input: ProofCheck };

/** What it is answered. */
export type Outcome = { readonly publicB: Uint8Array } | ProofResult;

/** A copy of the job that can be moved: a frame of its parts. */
export function packJob({ kind, input }: Job): ArrayBuffer {
  if (kind === 'start') return frame(input.verifier, input.privateB).buffer;
  const { publicA, verifier, privateB, publicB, srpSalt, context, clientProof } = input;
  return frame(verifier, privateB, publicA, publicB, srpSalt, context, clientProof).buffer;
}

/** The job that was packed, as views on it. */
export function unpackJob(packed: ArrayBuffer): Job {
  const [verifier, privateB, publicA, publicB, srpSalt, context, clientProof] = partsOf(packed) as [
    Uint8Array,
    Uint8Array,
    ...Uint8Array[],
  ];
  if (publicA === undefined) return { kind: 'start', input: { verifier, privateB } };
  const input = { publicA, verifier, privateB, publicB, srpSalt, context, clientProof };
  return { kind: 'verify', input: input as ProofCheck };
}

/** A copy of the outcome that can be moved; K is overwritten where it was. */
export function packOutcome(outcome: Outcome): ArrayBuffer {
  if ('publicB' in outcome) return frame(outcome.publicB).buffer;
  if (!outcome.ok) return frame().buffer;
  const packed = frame(outcome.sessionKey, outcome.serverProof).buffer;
  outcome.sessionKey.fill(0);
  return packed;
}

/** The outcome that was packed, as views on it. */
export function unpackOutcome(packed: ArrayBuffer): Outcome {
  const [first, serverProof] = partsOf(packed);
  if (first === undefined) return { ok: false };
  return serverProof === undefined ? { publicB: first } : { ok: true, sessionKey: first, serverProof };
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
