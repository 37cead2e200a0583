import { randomBytes } from 'node:crypto';
import { expect } from 'chai';
import { packJob, packOutcome, unpackJob, unpackOutcome } from '../../../src/server/srp/srp_messages.ts';

const bytes = (length: number) => new Uint8Array(randomBytes(length));

describe('a message between pool and thread', () => {
  const start = () => ({ verifier: bytes(512), privateB: bytes(40) });
  const check = (contextBytes: number) => ({
    ...start(),
    publicA: bytes(512),
    publicB: bytes(512),
    srpSalt: bytes(32),
    context: bytes(contextBytes),
    clientProof: bytes(32),
  });

  it('brings a job over as it was, of any length', () => {
    for (const job of [
      { kind: 'start', input: start() },
      { kind: 'start', input: { verifier: bytes(0), privateB: bytes(39) } },
      { kind: 'verify', input: check(230) },
      { kind: 'verify', input: check(0) },
    ] as const)
      expect(unpackJob(packJob(job))).to.deep.equal(job);
  });

  it('brings an outcome over as it was', () => {
    const sessionKey = bytes(32);
    const right = { ok: true, sessionKey: Uint8Array.from(sessionKey), serverProof: bytes(32) } as const;
    expect(unpackOutcome(packOutcome(right))).to.deep.equal({ ...right, sessionKey });
    for (const outcome of [{ publicB: bytes(512) }, { ok: false }] as const)
      expect(unpackOutcome(packOutcome(outcome))).to.deep.equal(outcome);
  });

  it('holds copies: of a job the caller keeps the bytes, and K goes with the outcome', () => {
    const neighbours = Buffer.alloc(4_096, 1);
    const input = { verifier: neighbours.subarray(0, 512), privateB: neighbours.subarray(512, 552) };
    const packed = packJob({ kind: 'start', input });
    expect(packed.byteLength).to.equal(4 + 512 + 4 + 40);
    new Uint8Array(packed).fill(0);
    expect(neighbours.every((byte) => byte === 1)).to.equal(true);
    const outcome = { ok: true, sessionKey: bytes(32), serverProof: bytes(32) } as const;
    packOutcome(outcome);
    expect(outcome.sessionKey).to.deep.equal(new Uint8Array(32));
  });
});
