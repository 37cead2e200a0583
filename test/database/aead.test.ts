import { createSecretKey, randomBytes } from 'node:crypto';
import { expect } from 'chai';
import fc from 'fast-check';
import { openSync, SealBrokenError, sealSync } from '../../src/database/aead.ts';
import { importSealKey, open, seal } from '../../src/protocol/seal.ts';

const key = createSecretKey(new Uint8Array(32).fill(7));
const aad = Buffer.from('where it stands');

describe('aead', () => {
  it('refuses another key, other associated data and bytes that are too few to be a seal', () => {
    const sealed = sealSync(key, Buffer.from('secret'), aad);
    const other = createSecretKey(new Uint8Array(32).fill(8));
    expect(() => openSync(other, sealed, aad)).to.throw(SealBrokenError);
    expect(() => openSync(key, sealed, Buffer.from('elsewhere'))).to.throw(SealBrokenError);
    expect(() => openSync(key, sealed, Buffer.alloc(0))).to.throw(SealBrokenError);
    for (const length of [0, 11, 12, 27]) {
      expect(() => openSync(key, sealed.subarray(0, length), aad)).to.throw(SealBrokenError);
    }
  });

  it('refuses a seal with any one bit changed', () => {
    const sealed = sealSync(key, Buffer.from('secret'), aad);
    for (let bit = 0; bit < sealed.length * 8; bit += 1) {
      const changed = Buffer.from(sealed);
      changed[bit >> 3]! ^= 1 << (bit & 7);
      expect(() => openSync(key, changed, aad), `bit ${bit}`).to.throw(SealBrokenError);
    }
  });

  it('opens what it sealed, 28 bytes longer, of any length and with any associated data', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), fc.uint8Array({ maxLength: 60 }), (plaintext, about) => {
        const sealed = sealSync(key, plaintext, about);
        expect(sealed).to.have.length(plaintext.length + 28);
        expect([...openSync(key, sealed, about)]).to.deep.equal([...plaintext]);
      }),
    );
  });

  it('never uses a nonce twice', () => {
    const nonces = Array.from({ length: 500 }, () => sealSync(key, aad, aad).toString('hex', 0, 12));
    expect(new Set(nonces)).to.have.length(500);
  });

  it('is the seal of the protocol: each opens what the other made', async () => {
    const bytes = randomBytes(32);
    const webKey = await importSealKey(bytes);
    const nodeKey = createSecretKey(bytes);
    const plaintext = Buffer.from('either way');
    const fromNode = sealSync(nodeKey, plaintext, aad);
    expect([...(await open(webKey, fromNode, aad))]).to.deep.equal([...plaintext]);
    const fromWeb = await seal(webKey, plaintext, aad, (length) => randomBytes(length));
    expect(openSync(nodeKey, fromWeb, aad)).to.deep.equal(plaintext);
  });
});
