import { create, fromBinary, toBinary } from '@bufbuild/protobuf';
import { expect } from 'chai';
import { VaultHeaderSchema } from '../../gen/passmanager/common/v1/vault_pb.ts';
import { UntrustedAnswerError } from '../../src/client/errors.ts';
import {
  newVaultHeader,
  nextVaultHeader,
  openVaultHeader,
  sealVaultHeader,
  unknownFeatures,
  vaultKeyId,
} from '../../src/client/vault_header.ts';
import { rejection } from '../support/rejection.ts';

const random = (length: number) => crypto.getRandomValues(new Uint8Array(length));

describe('the vault header', () => {
  const masterKey = random(32);

  it('does not open under another master key, or when a byte was changed', async () => {
    const sealed = await sealVaultHeader(masterKey, newVaultHeader(random), random);
    expect(await rejection(openVaultHeader(random(32), sealed))).to.be.instanceOf(UntrustedAnswerError);
    for (const index of [0, 1, 20, sealed.length - 1]) {
      const changed = sealed.with(index, sealed[index]! ^ 1);
      expect(await rejection(openVaultHeader(masterKey, changed))).to.be.instanceOf(UntrustedAnswerError);
    }
  });

  it('is refused with a vault key that is no key', async () => {
    const short = create(VaultHeaderSchema, { vaultKey: random(31), version: 1n });
    const sealed = await sealVaultHeader(masterKey, short, random);
    expect(await rejection(openVaultHeader(masterKey, sealed))).to.be.instanceOf(UntrustedAnswerError);
  });

  it('names the features that this version does not know', () => {
    expect(unknownFeatures(create(VaultHeaderSchema, { requiredFeatures: ['teleport'] }))).to.deep.equal([
      'teleport',
    ]);
    expect(unknownFeatures(newVaultHeader(random))).to.deep.equal([]);
  });

  it('opens to what was sealed, at version 1 and with a key of 32 bytes', async () => {
    const header = newVaultHeader(random);
    const opened = await openVaultHeader(masterKey, await sealVaultHeader(masterKey, header, random));
    expect(opened.vaultKey).to.deep.equal(header.vaultKey);
    expect([opened.vaultKey.length, opened.version]).to.deep.equal([32, 1n]);
  });

  it('goes to a new key and a version above all that was seen, and keeps what it does not know', () => {
    const unknown = [0xc2, 0x3e, 2, 9, 9];
    const current = fromBinary(
      VaultHeaderSchema,
      Uint8Array.from([...toBinary(VaultHeaderSchema, newVaultHeader(random)), ...unknown]),
    );
    const next = nextVaultHeader(current, 7n, random);
    expect(next.version).to.equal(8n);
    expect(nextVaultHeader(current, 0n, random).version).to.equal(2n);
    expect(next.vaultKey).not.to.deep.equal(current.vaultKey);
    expect(toBinary(VaultHeaderSchema, next).join()).to.include(unknown.join());
  });

  it('has keys whose names differ and tell nothing', () => {
    const key = random(32);
    expect(vaultKeyId(key)).to.match(/^[0-9a-f]{64}$/);
    expect(vaultKeyId(key)).to.equal(vaultKeyId(key.slice()));
    expect(vaultKeyId(key)).not.to.equal(vaultKeyId(random(32)));
  });
});
