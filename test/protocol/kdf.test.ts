import { expect } from 'chai';
import fc from 'fast-check';
import { bytesToHex } from '../../src/protocol/bytes.ts';
import {
  DEFAULT_KDF_PARAMETERS,
  isSameKdf,
  KDF_ALGORITHM_ARGON2ID,
  type KdfParameters,
  kdfBytes,
  refusedKdfFields,
  requireAcceptableKdf,
} from '../../src/protocol/kdf.ts';
import { expectRefusal } from '../support/refusal.ts';

const weakest: KdfParameters = { algorithm: 1, memoryKib: 19_456, iterations: 2, parallelism: 1 };

describe('key derivation parameters', () => {
  it('are refused one step outside each limit', () => {
    const cases: [Partial<KdfParameters>, string[]][] = [
      [{ algorithm: 0 }, ['algorithm']],
      [{ algorithm: 2 }, ['algorithm']],
      [{ memoryKib: 19_455 }, ['memory_kib']],
      [{ memoryKib: 1_048_577 }, ['memory_kib']],
      [{ iterations: 1 }, ['iterations']],
      [{ iterations: 65 }, ['iterations']],
      [{ parallelism: 0 }, ['parallelism']],
      [{ parallelism: 17 }, ['parallelism']],
    ];
    for (const [change, fields] of cases) {
      expect(refusedKdfFields({ ...weakest, ...change }), JSON.stringify(change)).to.deep.equal(fields);
    }
  });

  it('are refused all at once, in the order of the contract', () => {
    const nothing = { algorithm: 0, memoryKib: 0, iterations: 0, parallelism: 0 };
    expect(refusedKdfFields(nothing)).to.deep.equal(['algorithm', 'memory_kib', 'iterations', 'parallelism']);
  });

  it('are refused as memory_kib when only memory and passes together are too much', () => {
    expect(refusedKdfFields({ ...weakest, memoryKib: 1_048_576, iterations: 5 })).to.deep.equal([
      'memory_kib',
    ]);
    expect(refusedKdfFields({ ...weakest, memoryKib: 65_537, iterations: 64 })).to.deep.equal(['memory_kib']);
  });

  it('are refused when they are no whole numbers', () => {
    for (const broken of [Number.NaN, 2.5, Number.POSITIVE_INFINITY]) {
      const kdf = { algorithm: broken, memoryKib: broken, iterations: broken, parallelism: broken };
      expect(refusedKdfFields(kdf)).to.have.length(4);
    }
  });

  it('throw for a client that is about to derive', async () => {
    await expectRefusal('key derivation parameters', () =>
      requireAcceptableKdf({ ...weakest, iterations: 1 }),
    );
    expect(() => requireAcceptableKdf(weakest)).not.to.throw();
  });

  it('are accepted at each limit', () => {
    const accepted: Partial<KdfParameters>[] = [
      {},
      DEFAULT_KDF_PARAMETERS,
      { memoryKib: 1_048_576, iterations: 4 },
      { memoryKib: 65_536, iterations: 64 },
      { parallelism: 16 },
    ];
    for (const change of accepted) {
      expect(refusedKdfFields({ ...weakest, ...change }), JSON.stringify(change)).to.deep.equal([]);
    }
  });

  it('are by default 64 MiB, 3 passes and 1 lane of Argon2id, and nobody can change that', () => {
    expect(DEFAULT_KDF_PARAMETERS).to.deep.equal({
      algorithm: KDF_ALGORITHM_ARGON2ID,
      memoryKib: 65_536,
      iterations: 3,
      parallelism: 1,
    });
    expect(DEFAULT_KDF_PARAMETERS).to.be.frozen;
  });

  it('are the same only when all four numbers are', () => {
    for (const change of [{ algorithm: 2 }, { memoryKib: 19_457 }, { iterations: 3 }, { parallelism: 2 }])
      expect(isSameKdf(weakest, { ...weakest, ...change }), JSON.stringify(change)).to.equal(false);
    expect(isSameKdf(weakest, { ...weakest })).to.equal(true);
  });

  it('are 16 bytes of four numbers', () => {
    expect(bytesToHex(kdfBytes(DEFAULT_KDF_PARAMETERS))).to.equal('00000001000100000000000300000001');
    const u32 = fc.integer({ min: 0, max: 0xffff_ffff });
    const parameters = fc.record({ algorithm: u32, memoryKib: u32, iterations: u32, parallelism: u32 });
    fc.assert(
      fc.property(parameters, (kdf) => {
        expect(kdfBytes(kdf)).to.have.length(16);
      }),
    );
  });
});
