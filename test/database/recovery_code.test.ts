import { randomBytes } from 'node:crypto';
import { expect } from 'chai';
import fc from 'fast-check';
import {
  formatRecoveryCode,
  parseRecoveryCode,
  RecoveryCodeError,
  recoveryKey,
} from '../../src/database/recovery_code.ts';

const secret = fc.uint8Array({ minLength: 20, maxLength: 20 });

describe('the recovery code', () => {
  it('is refused when it is too short, too long or empty', () => {
    const code = formatRecoveryCode(randomBytes(20));
    for (const text of ['', code.slice(1), `${code}0`, code.slice(0, -1)]) {
      expect(() => parseRecoveryCode(text)).to.throw(RecoveryCodeError);
    }
  });

  it('is refused with characters that it never has', () => {
    const code = formatRecoveryCode(randomBytes(20));
    for (const character of ['U', 'u', '*', 'é', '=']) {
      expect(() => parseRecoveryCode(character + code.slice(1))).to.throw(RecoveryCodeError);
    }
  });

  it('is refused with any one character mistyped and with any two neighbours swapped', () => {
    const alphabet = '0123456789ABCDEFGHJKMNPQRSTVWXYZ';
    const code = formatRecoveryCode(randomBytes(20)).replaceAll('-', '');
    for (let index = 0; index < code.length; index += 1) {
      const [before, here, after] = [code.slice(0, index), code[index]!, code.slice(index + 1)];
      for (const character of alphabet) {
        if (character === here) continue;
        expect(() => parseRecoveryCode(before + character + after), `${code} at ${index}`).to.throw(
          RecoveryCodeError,
        );
      }
      if (index > 30 || after[0] === here) continue;
      const swapped = before + after[0] + here + after.slice(1);
      expect(() => parseRecoveryCode(swapped), `${code} at ${index}`).to.throw(RecoveryCodeError);
    }
  });

  it('never appears in the message of an error', () => {
    const code = formatRecoveryCode(randomBytes(20));
    const mistyped = code.slice(0, -1) + (code.endsWith('0') ? '1' : '0');
    expect(() => parseRecoveryCode(mistyped))
      .to.throw(RecoveryCodeError)
      .with.property('message')
      .that.does.not.contain(code.slice(0, 4));
  });

  it('is refused as a secret of another length than 160 bits', () => {
    expect(() => formatRecoveryCode(new Uint8Array(19))).to.throw(RangeError);
    expect(() => formatRecoveryCode(new Uint8Array(21))).to.throw(RangeError);
  });

  it('reads what it wrote: eight groups of four and a check character', () => {
    fc.assert(
      fc.property(secret, (bytes) => {
        const code = formatRecoveryCode(bytes);
        expect(code).to.match(/^([0-9A-HJKMNP-TV-Z]{4}-){8}[0-9A-HJKMNP-Z*~$=]$/);
        expect([...parseRecoveryCode(code)]).to.deep.equal([...bytes]);
      }),
    );
  });

  it('forgives case, spaces, missing hyphens, and O, I and L for what they look like', () => {
    fc.assert(
      fc.property(secret, (bytes) => {
        const code = formatRecoveryCode(bytes);
        const typed = [
          code.toLowerCase(),
          code.replaceAll('-', ''),
          ` ${code.replaceAll('-', ' ')}\n`,
          code.replaceAll('0', 'O').replaceAll('1', 'I'),
          code.replaceAll('0', 'o').replaceAll('1', 'l'),
        ];
        for (const text of typed) expect([...parseRecoveryCode(text)]).to.deep.equal([...bytes]);
      }),
    );
  });

  it('stays readable: a code of today is the same text for ever', () => {
    const bytes = Uint8Array.from({ length: 20 }, (_, index) => index);
    expect(formatRecoveryCode(bytes)).to.equal('000G-40R4-0M30-E209-185G-R38E-1W81-24GK-R');
  });

  it('gives a key of 32 bytes, another for every code', () => {
    const keys = [0, 1, 2].map((fill) =>
      Buffer.from(recoveryKey(new Uint8Array(20).fill(fill))).toString('hex'),
    );
    expect(new Set(keys)).to.have.length(3);
    expect(keys[0]).to.have.length(64);
  });
});
