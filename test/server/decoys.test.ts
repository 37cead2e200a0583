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
const hex = (bytes: Uint8Array) => Buffer.from(bytes).toString('hex');

describe('decoys', () => {
  const decoys = new Decoys(secretsOf('one'), sealer);

  it('are the same for a name for ever, on every server that has the secret', () => {
    const name = hash();
    const other = new Decoys(secretsOf('one'), sealer);
    expect(hex(other.credentials(name).srpSalt)).to.equal(hex(decoys.credentials(name).srpSalt));
    expect(hex(other.credentials(name).masterKeySalt)).to.equal(hex(decoys.credentials(name).masterKeySalt));
    expect(hex(other.credentials(name).srpVerifier)).to.equal(hex(decoys.credentials(name).srpVerifier));
  });

  it('differ between names, between secrets, and salt from salt', () => {
    const name = hash();
    const values = [
      decoys.credentials(name).srpSalt,
      decoys.credentials(name).masterKeySalt,
      decoys.credentials(hash()).srpSalt,
      new Decoys(secretsOf('two'), sealer).credentials(name).srpSalt,
    ].map(hex);
    expect(new Set(values).size).to.equal(values.length);
  });

  it('have the shape of real credentials and the parameters that clients use by default', () => {
    const { srpSalt, masterKeySalt, srpVerifier, kdf } = decoys.credentials(hash());
    expect([srpSalt.length, masterKeySalt.length, srpVerifier.length]).to.deep.equal([32, 32, 512]);
    expect(isAcceptableVerifier(srpVerifier)).to.equal(true);
    expect(kdf).to.deep.equal({ algorithm: 1, memoryKib: 65_536, iterations: 3, parallelism: 1 });
  });

  it('bring a sealed row of nobody that opens, and a B for attempts that are unknown', () => {
    const opened = new CredentialSealer(sealer).openLogin('users', decoys.rowId, '', decoys.row);
    expect(opened.srpVerifier).to.have.length(512);
    expect(isAcceptableB(decoys.publicB)).to.equal(true);
    const { srp_salt, srp_verifier, master_key_salt } = decoys.row;
    expect(decoys.columns).to.deep.equal([srp_salt, srp_verifier, master_key_salt, 1, 65_536, 3, 1]);
  });
});
