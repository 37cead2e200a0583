import { randomBytes } from 'node:crypto';
import { expect } from 'chai';
import { packJob, packOutcome, unpackJob, unpackOutcome } from '../../../src/server/srp/srp_messages.ts';

const bytes = (length: number) => new Uint8Array(randomBytes(length));

describe('a message between pool and thread', () => {
  const check = (contextBytes: number) => ({
    verifier: bytes(512),
    privateB: bytes(40),
    publicA: bytes(512),
    publicB: bytes(512),
    srpSalt: bytes(32),
    context: bytes(contextBytes),
    clientProof: bytes(32),
  });

  it('brings a job over as it was, of any length', () => {
    for (const job of [
      { kind: 'powers', privateBs: bytes(320) },
      { kind: 'powers', privateBs: bytes(0) },
      { kind: 'verify', input: check(230) },
      { kind: 'verify', input: check(0) },
    ] as const)
      expect(unpackJob(packJob(job))).to.deep.equal(job);
  });

  it('brings an outcome over as it was', () => {
    const sessionKey = bytes(32);
    const right = { ok: true, sessionKey: Uint8Array.from(sessionKey), serverProof: bytes(32) } as const;
    expect(unpackOutcome(packOutcome(right))).to.deep.equal({ ...right, sessionKey });
    const powers = bytes(1024);
    expect(unpackOutcome(packOutcome({ powers: Uint8Array.from(powers) }))).to.deep.equal({ powers });
    expect(unpackOutcome(packOutcome({ ok: false }))).to.deep.equal({ ok: false });
  });

  it('holds copies: of a job the caller keeps the bytes, and powers and K go with the outcome', () => {
    const neighbours = Buffer.alloc(4_096, 1);
    const packed = packJob({ kind: 'powers', privateBs: neighbours.subarray(512, 592) });
    expect(packed.byteLength).to.equal(4 + 80);
    new Uint8Array(packed).fill(0);
    expect(neighbours.every((byte) => byte === 1)).to.equal(true);
    const outcome = { ok: true, sessionKey: bytes(32), serverProof: bytes(32) } as const;
    packOutcome(outcome);
    expect(outcome.sessionKey).to.deep.equal(new Uint8Array(32));
    const powers = bytes(512);
    packOutcome({ powers });
    expect(powers).to.deep.equal(new Uint8Array(512));
  });
});
