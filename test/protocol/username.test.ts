import { createHash } from 'node:crypto';
import { expect } from 'chai';
import fc from 'fast-check';
import { bytesToHex } from '../../src/protocol/bytes.ts';
import { normalizeUsername, usernameHash } from '../../src/protocol/username.ts';
import { expectRefusal } from '../support/refusal.ts';

/** Every scalar value of one UTF-16 unit, and some beyond. */
const characters = fc.oneof(
  fc.constantFrom(
    'Σ',
    'ς',
    'İ',
    'ß',
    'ﬁ',
    'Å',
    '\u0085',
    '\u00a0',
    '\u3000',
    '\ufeff',
    '\u001c',
    '\u0308',
    '\u00a8',
  ),
  fc.string({ unit: 'binary', minLength: 1, maxLength: 1 }),
);
const names = fc.array(characters, { minLength: 1, maxLength: 12 }).map((list) => list.join(''));

describe('a username', () => {
  it('is refused when it is empty or nothing but white space', async () => {
    for (const name of ['', ' ', ' \t\u2003', '\u0085\u00a0\u1680\u2028\u2029\u202f\u205f\u3000']) {
      await expectRefusal('empty username', () => normalizeUsername(name));
      await expectRefusal('empty username', () => usernameHash(name));
    }
  });

  it('is refused with a lone surrogate', async () => {
    for (const name of ['\ud800', 'a\udfff', '\udc00\ud800', 'a\ud83d b']) {
      await expectRefusal('not Unicode', () => normalizeUsername(name));
      await expectRefusal('not Unicode', () => usernameHash(name));
    }
  });

  it('loses exactly the characters of White_Space at its ends', () => {
    for (let code = 0; code < 0x11_0000; code++) {
      if (code >= 0xd800 && code <= 0xdfff) continue;
      const character = String.fromCodePoint(code);
      if (character.normalize('NFKC') !== character || character.toLowerCase() !== character) continue;
      // A combining mark would join the letter, and two such marks could change places.
      if (/\p{M}|[\u1160-\u11ff]/u.test(character)) continue;
      const name = `${character}x${character}`;
      const expected = /\p{White_Space}/u.test(character) ? 'x' : name;
      if (normalizeUsername(name) !== expected) expect.fail(`U+${code.toString(16)}`);
    }
  });

  it('keeps what String.prototype.trim would take, and loses what it would leave', () => {
    expect(normalizeUsername('\ufeffbob')).to.equal('\ufeffbob');
    expect(normalizeUsername('\u0085bob\u0085')).to.equal('bob');
    expect(normalizeUsername('\u001cbob')).to.equal('\u001cbob');
  });

  it('keeps white space inside', () => {
    expect(normalizeUsername(' a \t b ')).to.equal('a \t b');
  });

  it('is put in lower case by the full mapping, with the final sigma and without a locale', () => {
    expect(normalizeUsername('ΟΔΥΣΣΕΥΣ')).to.equal('οδυσσευς');
    expect(normalizeUsername('Σ')).to.equal('σ');
    expect(normalizeUsername('İI')).to.equal('i̇i');
    expect(normalizeUsername('STRASSE ẞ')).to.equal('strasse ß');
  });

  it('is normalised before and after the lower case', () => {
    // U+1E9B U+0323 is one of the few whose NFKC must come first; U+00A8 starts with a space only in NFKC.
    expect(normalizeUsername('\u1e9b\u0323')).to.equal('\u1e69');
    expect(normalizeUsername('\u00a8bob')).to.equal('\u0308bob');
    expect(normalizeUsername('K\u212a')).to.equal('kk');
  });

  it('is the same however it is spelt', () => {
    expect(usernameHash('Ａlice ')).to.deep.equal(usernameHash('alice'));
    expect(usernameHash('A\u0308lice')).to.deep.equal(usernameHash('\u00e4LICE'));
  });

  it('stays as it is when it is normalised again', () => {
    fc.assert(
      fc.property(names, (name) => {
        let once: string;
        try {
          once = normalizeUsername(name);
        } catch {
          return;
        }
        expect(once.normalize('NFKC')).to.equal(once);
        expect(once).not.to.match(/^\p{White_Space}|\p{White_Space}$/u);
      }),
      { numRuns: 1000 },
    );
  });

  it('is hashed in a frame with its label, so that no other hash is it', () => {
    const label = 'passmanager/v1 username';
    const framed = `\0\0\0${String.fromCharCode(label.length)}${label}\0\0\0\x03bob`;
    expect(bytesToHex(usernameHash(' BOB '))).to.equal(
      createHash('sha256').update(framed, 'latin1').digest('hex'),
    );
    expect(usernameHash('bob')).to.have.length(32);
  });
});
