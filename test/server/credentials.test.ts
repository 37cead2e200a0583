import { randomBytes, randomUUID } from 'node:crypto';
import { expect } from 'chai';
import { SealBrokenError } from '../../src/database/aead.ts';
import { ColumnSealer } from '../../src/database/column_sealer.ts';
import { type CredentialRow, CredentialSealer, type Credentials } from '../../src/server/credentials.ts';

const sealer = new CredentialSealer(new ColumnSealer(new Map([[1, new Uint8Array(randomBytes(32))]]), 1));

const sample = (): Credentials => ({
  srpSalt: new Uint8Array(randomBytes(32)),
  srpVerifier: new Uint8Array(randomBytes(512)),
  masterKeySalt: new Uint8Array(randomBytes(32)),
  encryptedVaultHeader: new Uint8Array(randomBytes(285)),
  kdf: { algorithm: 1, memoryKib: 65_536, iterations: 3, parallelism: 1 },
});

const COLUMNS = [
  'srp_salt',
  'srp_verifier',
  'master_key_salt',
  'encrypted_vault_header',
  'kdf_algorithm',
  'kdf_memory_kib',
  'kdf_iterations',
  'kdf_parallelism',
];

const rowOf = (values: readonly (Buffer | number)[]) =>
  Object.fromEntries(COLUMNS.map((column, index) => [column, values[index]])) as unknown as CredentialRow;

describe('sealed credentials', () => {
  const id = randomUUID();
  const credentials = sample();
  const row = rowOf(sealer.seal('users', id, '', credentials));

  it('open to what was sealed', () => {
    expect(sealer.equal(sealer.open('users', id, '', row), credentials)).to.equal(true);
  });

  it('open in no other row, table or column, and not as pending ones', () => {
    for (const open of [
      () => sealer.open('users', randomUUID(), '', row),
      () => sealer.open('auth_ephemerals', id, '', row),
      () => sealer.open('users', id, 'new_', row),
      () => sealer.open('users', id, '', { ...row, srp_salt: row.master_key_salt }),
    ]) {
      expect(open).to.throw(SealBrokenError);
    }
  });

  it('are equal to themselves alone', () => {
    const { kdf } = credentials;
    for (const other of [
      { ...credentials, srpSalt: sample().srpSalt },
      { ...credentials, srpVerifier: sample().srpVerifier },
      { ...credentials, masterKeySalt: sample().masterKeySalt },
      { ...credentials, encryptedVaultHeader: credentials.encryptedVaultHeader.slice(1) },
      { ...credentials, kdf: { ...kdf, algorithm: 2 } },
      { ...credentials, kdf: { ...kdf, memoryKib: 65_537 } },
      { ...credentials, kdf: { ...kdf, iterations: 4 } },
      { ...credentials, kdf: { ...kdf, parallelism: 2 } },
    ]) {
      expect(sealer.equal(credentials, other)).to.equal(false);
    }
  });
});
