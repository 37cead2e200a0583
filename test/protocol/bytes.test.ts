import { createHash, hkdfSync } from 'node:crypto';
import { expect } from 'chai';
import fc from 'fast-check';
import {
  bytesToHex,
  concatBytes,
  equalBytes,
  frame,
  hexToBytes,
  hkdf,
  i64,
  sha256,
  u32,
  u64,
  utf8,
} from '../../src/protocol/bytes.ts';
import { expectRefusal } from '../support/refusal.ts';

const bytes = fc.uint8Array({ maxLength: 100 });

describe('fixed-width numbers', () => {
  it('refuse what does not fit', async () => {
    for (const n of [-1, 2 ** 32, 0.5, Number.NaN, Number.POSITIVE_INFINITY]) {
      await expectRefusal('out of range', () => u32(n));
    }
    for (const n of [-1n, 2n ** 64n]) await expectRefusal('out of range', () => u64(n));
    for (const n of [-(2n ** 63n) - 1n, 2n ** 63n]) await expectRefusal('out of range', () => i64(n));
  });

  it('are big-endian', () => {
    expect(bytesToHex(u32(0x01020304))).to.equal('01020304');
    expect(bytesToHex(u32(0xffff_ffff))).to.equal('ffffffff');
    expect(bytesToHex(u64(0x0102030405060708n))).to.equal('0102030405060708');
    expect(bytesToHex(u64(2n ** 64n - 1n))).to.equal('ffffffffffffffff');
  });

  it("are two's complement where they have a sign", () => {
    expect(bytesToHex(i64(-1n))).to.equal('ffffffffffffffff');
    expect(bytesToHex(i64(-(2n ** 63n)))).to.equal('8000000000000000');
    expect(bytesToHex(i64(2n ** 63n - 1n))).to.equal('7fffffffffffffff');
  });
});

describe('texts', () => {
  it('refuse a lone surrogate instead of replacing it', async () => {
    await expectRefusal('not Unicode', () => utf8('a\ud800'));
    await expectRefusal('not Unicode', () => frame('label', '\udfff'));
  });

  it('become UTF-8', () => {
    expect(bytesToHex(utf8('aä€😀'))).to.equal('61c3a4e282acf09f9880');
    for (const text of [
      '',
      'a'.repeat(63),
      'a'.repeat(64),
      'a'.repeat(65),
      '\0\x7f',
      '\x80',
      `${'a'.repeat(63)}ä`,
    ])
      expect(bytesToHex(utf8(text))).to.equal(Buffer.from(text).toString('hex'));
    fc.assert(
      fc.property(fc.string({ unit: 'grapheme', maxLength: 80 }), (text) => {
        expect(bytesToHex(utf8(text))).to.equal(Buffer.from(text).toString('hex'));
      }),
    );
  });
});

describe('concatenation', () => {
  it('makes a new array, even of one part', () => {
    const part = Uint8Array.of(1, 2);
    const whole = concatBytes(part);
    whole[0] = 9;
    expect(part[0]).to.equal(1);
  });

  it('is what Buffer makes of the same parts', () => {
    fc.assert(
      fc.property(fc.array(bytes), (parts) => {
        expect(bytesToHex(concatBytes(...parts))).to.equal(Buffer.concat(parts).toString('hex'));
      }),
    );
  });
});

describe('frames', () => {
  it('put the length before each part', () => {
    expect(bytesToHex(frame('ab', Uint8Array.of(), Uint8Array.of(7)))).to.equal(
      '0000000261620000000000000001' + '07',
    );
  });

  it('count the bytes of a text, not its characters', () => {
    expect(bytesToHex(frame('€'))).to.equal('00000003e282ac');
  });

  it('differ whenever the parts differ', () => {
    const parts = fc.array(fc.uint8Array({ maxLength: 3 }), { maxLength: 4 });
    fc.assert(
      fc.property(parts, parts, (one, other) => {
        const same = JSON.stringify(one.map(bytesToHex)) === JSON.stringify(other.map(bytesToHex));
        expect(equalBytes(frame(...one), frame(...other))).to.equal(same);
      }),
    );
    expect(equalBytes(frame('ab', 'c'), frame('a', 'bc'))).to.equal(false);
  });
});

describe('comparison', () => {
  it('tells other lengths and every single changed bit', () => {
    expect(equalBytes(Uint8Array.of(0), Uint8Array.of())).to.equal(false);
    expect(equalBytes(Uint8Array.of(1, 2), Uint8Array.of(1, 2, 0))).to.equal(false);
    const original = new Uint8Array(32).fill(0x5a);
    for (let bit = 0; bit < 256; bit++) {
      const changed = original.slice();
      changed[bit >> 3]! ^= 1 << (bit & 7);
      expect(equalBytes(original, changed)).to.equal(false);
    }
  });

  it('finds equal bytes equal, whatever array holds them', () => {
    fc.assert(
      fc.property(bytes, (value) => {
        expect(equalBytes(value, Buffer.from(value))).to.equal(true);
      }),
    );
  });
});

describe('hex', () => {
  it('refuses half a byte and other characters', () => {
    expect(() => hexToBytes('abc')).to.throw();
    expect(() => hexToBytes('zz')).to.throw();
  });

  it('goes there and back', () => {
    fc.assert(
      fc.property(bytes, (value) => {
        expect(hexToBytes(bytesToHex(value))).to.deep.equal(value);
      }),
    );
  });
});

describe('SHA-256', () => {
  it("is OpenSSL's, over the parts one after another", () => {
    fc.assert(
      fc.property(fc.array(bytes), (parts) => {
        expect(bytesToHex(sha256(...parts))).to.equal(
          createHash('sha256').update(Buffer.concat(parts)).digest('hex'),
        );
      }),
    );
  });
});

describe('HKDF', () => {
  it("is OpenSSL's with an empty salt and 32 bytes of output", () => {
    fc.assert(
      fc.property(fc.uint8Array({ minLength: 32, maxLength: 32 }), fc.string(), (ikm, info) => {
        const known = hkdfSync('sha256', ikm, new Uint8Array(0), Buffer.from(info), 32);
        expect(bytesToHex(hkdf(ikm, info))).to.equal(Buffer.from(known).toString('hex'));
      }),
    );
  });

  it('gives the published answer (RFC 5869 A.3, the first 32 bytes)', () => {
    expect(bytesToHex(hkdf(new Uint8Array(22).fill(0x0b), ''))).to.equal(
      '8da4e775a563c18f715f802a063c5a31b8a11f5c5ee1879ec3454e5f3c738d2d',
    );
  });
});
