import { randomBytes, randomUUID } from 'node:crypto';
import { expect } from 'chai';
import { SealBrokenError } from '../../src/database/aead.ts';
import { ColumnSealer, UnknownKeyError } from '../../src/database/column_sealer.ts';

const first = randomBytes(32);
const second = randomBytes(32);
const row = randomUUID();
const plaintext = Buffer.from('a salt');

describe('ColumnSealer', () => {
  it('refuses to be made without the key that seals', () => {
    expect(() => new ColumnSealer(new Map([[1, first]]), 2)).to.throw(RangeError);
  });

  it('does not open a value in another row, column or table', () => {
    const sealer = new ColumnSealer(new Map([[1, first]]), 1);
    const stored = sealer.seal('users', 'srp_salt', row, plaintext);
    expect(() => sealer.open('users', 'srp_salt', randomUUID(), stored)).to.throw(SealBrokenError);
    expect(() => sealer.open('users', 'master_key_salt', row, stored)).to.throw(SealBrokenError);
    expect(() => sealer.open('auth_ephemerals', 'srp_salt', row, stored)).to.throw(SealBrokenError);
    // Table and column are framed, not run together.
    expect(() => sealer.open('users.srp', '_salt', row, stored)).to.throw(SealBrokenError);
  });

  it('does not open a value that is cut, changed, or names a key that it does not have', () => {
    const sealer = new ColumnSealer(new Map([[1, first]]), 1);
    const stored = sealer.seal('users', 'srp_salt', row, plaintext);
    for (let length = 0; length < stored.length; length += 1) {
      expect(() => sealer.open('users', 'srp_salt', row, stored.subarray(0, length))).to.throw(
        SealBrokenError,
      );
    }
    for (let index = 0; index < stored.length; index += 1) {
      const changed = Buffer.from(stored);
      changed[index]! ^= 0x80;
      expect(() => sealer.open('users', 'srp_salt', row, changed)).to.throw(SealBrokenError);
    }
    const ofAnother = new ColumnSealer(new Map([[2, first]]), 2).seal('users', 'srp_salt', row, plaintext);
    expect(() => sealer.open('users', 'srp_salt', row, ofAnother)).to.throw(SealBrokenError);
  });

  it('does not take one key for the other when the key id of a value is changed', () => {
    const sealer = new ColumnSealer(
      new Map([
        [1, first],
        [2, second],
      ]),
      1,
    );
    const stored = sealer.seal('users', 'srp_salt', row, plaintext);
    stored.writeUInt32BE(2, 0);
    expect(() => sealer.open('users', 'srp_salt', row, stored)).to.throw(SealBrokenError);
  });

  it('tells a value under a key that it has not learnt of from one that is broken', () => {
    const sealer = new ColumnSealer(new Map([[1, first]]), 1);
    const ofAnother = new ColumnSealer(new Map([[2, second]]), 2).seal('users', 'srp_salt', row, plaintext);
    expect(() => sealer.open('users', 'srp_salt', row, ofAnother)).to.throw(UnknownKeyError);
    sealer.useKeys(
      new Map([
        [1, first],
        [2, second],
      ]),
      2,
    );
    expect(sealer.open('users', 'srp_salt', row, ofAnother)).to.deep.equal(plaintext);
    expect(sealer.seal('users', 'srp_salt', row, plaintext).readUInt32BE(0)).to.equal(2);
    expect(() => sealer.useKeys(new Map([[1, first]]), 2)).to.throw(RangeError);
  });

  it('opens what it sealed: the key id, then 28 bytes more than the plaintext', () => {
    const sealer = new ColumnSealer(new Map([[7, first]]), 7);
    const stored = sealer.seal('users', 'srp_salt', row, plaintext);
    expect(stored.readUInt32BE(0)).to.equal(7);
    expect(stored).to.have.length(plaintext.length + 32);
    expect(sealer.open('users', 'srp_salt', row, stored)).to.deep.equal(plaintext);
  });

  it('goes on opening old values after a rotation and seals new ones under the new key', () => {
    const old = new ColumnSealer(new Map([[1, first]]), 1).seal('users', 'srp_salt', row, plaintext);
    const rotated = new ColumnSealer(
      new Map([
        [1, first],
        [2, second],
      ]),
      2,
    );
    expect(rotated.open('users', 'srp_salt', row, old)).to.deep.equal(plaintext);
    const fresh = rotated.seal('users', 'srp_salt', row, plaintext);
    expect(fresh.readUInt32BE(0)).to.equal(2);
    expect(new ColumnSealer(new Map([[2, second]]), 2).open('users', 'srp_salt', row, fresh)).to.deep.equal(
      plaintext,
    );
  });
});
