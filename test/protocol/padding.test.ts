import { expect } from 'chai';
import fc from 'fast-check';
import { bytesToHex, hexToBytes } from '../../src/protocol/bytes.ts';
import { pad, unpad } from '../../src/protocol/padding.ts';
import { expectRefusal } from '../support/refusal.ts';

describe('padding', () => {
  it('is refused when it is empty or no whole number of blocks', async () => {
    for (const length of [0, 1, 3, 5]) {
      await expectRefusal('broken padding', () => unpad(new Uint8Array(length).fill(0x80), 4));
    }
  });

  it('is refused without a marker', async () => {
    for (const padded of ['00000000', '01010101', '80000001', '00007f00']) {
      await expectRefusal('broken padding', () => unpad(hexToBytes(padded), 4));
    }
  });

  it('is refused when it is longer than one block', async () => {
    await expectRefusal('broken padding', () => unpad(hexToBytes('aaaaaa8000000000'), 4));
    expect(bytesToHex(unpad(hexToBytes('aaaaaaaa80000000'), 4))).to.equal('aaaaaaaa');
  });

  it('is a marker and zeros', () => {
    expect(bytesToHex(pad(hexToBytes('0102'), 4))).to.equal('01028000');
    expect(bytesToHex(pad(hexToBytes('010203'), 4))).to.equal('01020380');
  });

  it('is a whole block more when the message fills its last one', () => {
    expect(bytesToHex(pad(hexToBytes('01020304'), 4))).to.equal('0102030480000000');
    expect(bytesToHex(pad(hexToBytes(''), 4))).to.equal('80000000');
  });

  it('is taken off again, whatever the message ends in', () => {
    const tricky = fc
      .array(fc.constantFrom(0x00, 0x80, 0x01), { maxLength: 20 })
      .map((list) => Uint8Array.from(list));
    const message = fc.oneof(tricky, fc.uint8Array({ maxLength: 600 }));
    fc.assert(
      fc.property(message, fc.constantFrom(1, 4, 64, 256), (bytes, multiple) => {
        const padded = pad(bytes, multiple);
        expect(padded.length % multiple).to.equal(0);
        expect(padded.length - bytes.length).to.be.within(1, multiple);
        expect(unpad(padded, multiple)).to.deep.equal(bytes);
      }),
    );
  });

  it('has one form only: what comes off goes on again as it was', () => {
    const padded = fc
      .array(fc.constantFrom(0x00, 0x80, 0x01), { maxLength: 16 })
      .map((list) => Uint8Array.from(list));
    fc.assert(
      fc.property(padded, (bytes) => {
        let message: Uint8Array;
        try {
          message = unpad(bytes, 4);
        } catch {
          return;
        }
        expect(pad(message, 4)).to.deep.equal(bytes);
      }),
      { numRuns: 1000 },
    );
  });
});
