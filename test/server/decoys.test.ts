import { createHmac, randomBytes } from 'node:crypto';
import { expect } from 'chai';
import { ColumnSealer } from '../../src/database/column_sealer.ts';
import { isAcceptableB, isAcceptableVerifier } from '../../src/protocol/srp.ts';
import { CredentialSealer } from '../../src/server/credentials.ts';
import { Decoys } from '../../src/server/decoys.ts';

const secretsOf = (key: string) => ({
  decoySecret: (label: string, usernameHash: Uint8Array) =>
    createHmac('sha256', key).update(label).update(usernameHash).digest(),
});
const sealer = new ColumnSealer(new Map([[1, new Uint8Array(randomBytes(32))]]), 1);
const hash = () => new Uint8Array(randomBytes(32));
const opened = ({ rowId, row }: Decoys) => new CredentialSealer(sealer).openLogin('users', rowId, '', row);
const verifierOf = (decoys: Decoys) => opened(decoys).srpVerifier;
const hex = (bytes: Uint8Array) => Buffer.from(bytes).toString('hex');

describe('decoys', () => {
  const decoys = new Decoys(secretsOf('one'), sealer);

  it('are the same for a name for ever, on every server that has the secret', () => {
    const name = hash();
    const other = new Decoys(secretsOf('one'), sealer);
    expect(hex(other.salts(name).srpSalt)).to.equal(hex(decoys.salts(name).srpSalt));
    expect(hex(other.salts(name).masterKeySalt)).to.equal(hex(decoys.salts(name).masterKeySalt));
    expect(hex(verifierOf(other))).to.equal(hex(verifierOf(decoys)));
  });

  it('differ between names, between secrets, and salt from salt', () => {
    const name = hash();
    const other = new Decoys(secretsOf('two'), sealer);
    const values = [
      decoys.salts(name).srpSalt,
      decoys.salts(name).masterKeySalt,
      decoys.salts(hash()).srpSalt,
      other.salts(name).srpSalt,
    ].map(hex);
    expect(new Set(values).size).to.equal(values.length);
    expect(hex(verifierOf(other))).not.to.equal(hex(verifierOf(decoys)));
  });

  it('have the shape of real credentials and the parameters that clients use by default', () => {
    const { srpSalt, masterKeySalt } = decoys.salts(hash());
    const { srpVerifier, kdf } = opened(decoys);
    expect([srpSalt.length, masterKeySalt.length, srpVerifier.length]).to.deep.equal([32, 32, 512]);
    expect(isAcceptableVerifier(srpVerifier)).to.equal(true);
    expect(kdf).to.deep.equal({ algorithm: 1, memoryKib: 65_536, iterations: 3, parallelism: 1 });
  });

  it('bring a sealed row of nobody that is as large as a user’s, and a B for attempts that are unknown', () => {
    expect(isAcceptableB(decoys.publicB)).to.equal(true);
    const { srp_salt, srp_verifier, master_key_salt } = decoys.row;
    expect([srp_salt, srp_verifier, master_key_salt].map(({ length }) => length)).to.deep.equal([
      64, 544, 64,
    ]);
    expect(decoys.columns).to.deep.equal([srp_salt, srp_verifier, master_key_salt, 1, 65_536, 3, 1]);
  });
});
