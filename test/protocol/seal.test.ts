import { createDecipheriv } from 'node:crypto';
import { expect } from 'chai';
import fc from 'fast-check';
import { equalBytes, type RandomBytes } from '../../src/protocol/bytes.ts';
import { importSealKey, open, openBlob, type SealKey, seal, sealBlob } from '../../src/protocol/seal.ts';
import { expectRefusal } from '../support/refusal.ts';

const KEY = new Uint8Array(32).fill(1);
const AAD = Uint8Array.of(1, 2, 3);
const PLAINTEXT = new TextEncoder().encode('a secret');
const random: RandomBytes = (length) => crypto.getRandomValues(new Uint8Array(length));

const withBitFlipped = (bytes: Uint8Array, bit: number): Uint8Array => {
  const changed = bytes.slice();
  changed[bit >> 3]! ^= 1 << (bit & 7);
  return changed;
};

describe('a seal', () => {
  let key: SealKey;

  before(async () => {
    key = await importSealKey(KEY);
  });

  it('is refused when it is shorter than any seal', async () => {
    for (const length of [0, 1, 12, 27]) {
      await expectRefusal('broken seal', () => open(key, new Uint8Array(length), AAD));
    }
  });

  it('is refused when any bit of it is another', async () => {
    const sealed = await seal(key, PLAINTEXT, AAD, random);
    for (let bit = 0; bit < sealed.length * 8; bit++) {
      await expectRefusal('broken seal', () => open(key, withBitFlipped(sealed, bit), AAD));
    }
  });

  it('is refused when it was cut off or added to', async () => {
    const sealed = await seal(key, PLAINTEXT, AAD, random);
    await expectRefusal('broken seal', () => open(key, sealed.subarray(0, -1), AAD));
    await expectRefusal('broken seal', () => open(key, Uint8Array.of(...sealed, 0), AAD));
  });

  it('is refused under another key and with other associated data', async () => {
    const sealed = await seal(key, PLAINTEXT, AAD, random);
    const otherKey = await importSealKey(new Uint8Array(32).fill(2));
    await expectRefusal('broken seal', () => open(otherKey, sealed, AAD));
    await expectRefusal('broken seal', () => open(key, sealed, new Uint8Array(0)));
    await expectRefusal('broken seal', () => open(key, sealed, Uint8Array.of(1, 2, 4)));
  });

  it('is not made with a nonce or a key of another length', async () => {
    await expectRefusal('wrong length', () => seal(key, PLAINTEXT, AAD, () => new Uint8Array(11)));
    for (const length of [0, 16, 31, 33]) {
      await expectRefusal('wrong length', () => importSealKey(new Uint8Array(length)));
    }
  });

  it('keeps its key where it cannot be read', () => {
    expect(key.extractable).to.equal(false);
  });

  it('takes a fresh nonce of 12 bytes each time', async () => {
    const asked: number[] = [];
    const counting: RandomBytes = (length) => {
      asked.push(length);
      return random(length);
    };
    const one = await seal(key, PLAINTEXT, AAD, counting);
    const other = await seal(key, PLAINTEXT, AAD, counting);
    expect(asked).to.deep.equal([12, 12]);
    expect(equalBytes(one, other)).to.equal(false);
  });

  it('is nonce, tag and ciphertext of AES-256-GCM, as OpenSSL opens it', async () => {
    const sealed = await seal(key, PLAINTEXT, AAD, random);
    expect(sealed).to.have.length(PLAINTEXT.length + 28);
    const decipher = createDecipheriv('aes-256-gcm', KEY, sealed.subarray(0, 12));
    decipher.setAuthTag(sealed.subarray(12, 28)).setAAD(AAD);
    const opened = Buffer.concat([decipher.update(sealed.subarray(28)), decipher.final()]);
    expect(opened.toString()).to.equal('a secret');
  });

  it('opens to what was sealed, even to nothing', async () => {
    await fc.assert(
      fc.asyncProperty(fc.uint8Array({ maxLength: 300 }), fc.uint8Array(), async (plaintext, aad) => {
        expect(await open(key, await seal(key, plaintext, aad, random), aad)).to.deep.equal(plaintext);
      }),
      { numRuns: 50 },
    );
  });

  it('opens from the middle of a larger buffer', async () => {
    const sealed = await seal(key, PLAINTEXT, AAD, random);
    const pool = Buffer.concat([Buffer.alloc(5), sealed, Buffer.alloc(3)]);
    expect(await open(key, pool.subarray(5, 5 + sealed.length), AAD)).to.deep.equal(PLAINTEXT);
  });
});

describe('a stored blob', () => {
  let key: SealKey;

  before(async () => {
    key = await importSealKey(KEY);
  });

  it('is refused when it is empty, too short or changed', async () => {
    const blob = await sealBlob(key, PLAINTEXT, AAD, random);
    await expectRefusal('broken seal', () => openBlob(key, new Uint8Array(0), AAD));
    await expectRefusal('broken seal', () => openBlob(key, blob.subarray(0, 28), AAD));
    await expectRefusal('broken seal', () => openBlob(key, withBitFlipped(blob, 8), AAD));
  });

  it('is refused in another format, which is no broken seal: a newer client may have written it', async () => {
    const blob = await sealBlob(key, PLAINTEXT, AAD, random);
    for (const format of [0x00, 0x02, 0xff]) {
      await expectRefusal('unknown format', () =>
        openBlob(key, Uint8Array.of(format, ...blob.subarray(1)), AAD),
      );
    }
  });

  it('is the format byte and a seal', async () => {
    const blob = await sealBlob(key, PLAINTEXT, AAD, random);
    expect(blob).to.have.length(PLAINTEXT.length + 29);
    expect(blob[0]).to.equal(1);
    expect(await open(key, blob.subarray(1), AAD)).to.deep.equal(PLAINTEXT);
    expect(await openBlob(key, blob, AAD)).to.deep.equal(PLAINTEXT);
  });
});
