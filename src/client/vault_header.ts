/** The vault header: the vault key, sealed under the password's master key. */
import { create, fromBinary, toBinary } from '@bufbuild/protobuf';
import { type VaultHeader, VaultHeaderSchema } from '../../gen/passmanager/common/v1/vault_pb.ts';
import { vaultHeaderAad } from '../protocol/aad.ts';
import { bytesToHex, hkdf, type RandomBytes } from '../protocol/bytes.ts';
import { pad, unpad } from '../protocol/padding.ts';
import { importSealKey, openBlob, sealBlob } from '../protocol/seal.ts';
import { KEY_BYTES, VAULT_HEADER_PADDING } from '../protocol/sizes.ts';
import { UntrustedAnswerError } from './errors.ts';

/** Features of a vault that this client knows. A vault that requires another one is not written. */
const KNOWN_FEATURES: ReadonlySet<string> = new Set();

/** A header with a new vault key, for a registration. */
export function newVaultHeader(random: RandomBytes): VaultHeader {
  return create(VaultHeaderSchema, { vaultKey: random(KEY_BYTES), version: 1n });
}

/**
 * The header for a password change: a new vault key, a version above every one that was seen, and all else, unknown fields
 * included, as it was.
 */
export function nextVaultHeader(header: VaultHeader, seenVersion: bigint, random: RandomBytes): VaultHeader {
  const next = fromBinary(VaultHeaderSchema, toBinary(VaultHeaderSchema, header));
  next.vaultKey = random(KEY_BYTES);
  next.version = (header.version > seenVersion ? header.version : seenVersion) + 1n;
  return next;
}

/** `0x01 | seal(master_key, pad(VaultHeader, 256))`. `masterKey` has 32 bytes. */
export async function sealVaultHeader(
  masterKey: Uint8Array,
  header: VaultHeader,
  random: RandomBytes,
): Promise<Uint8Array> {
  const plaintext = pad(toBinary(VaultHeaderSchema, header), VAULT_HEADER_PADDING);
  const sealed = await sealBlob(await importSealKey(masterKey), plaintext, vaultHeaderAad(), random);
  plaintext.fill(0);
  return sealed;
}

/** Opens what sealVaultHeader made. Throws UntrustedAnswerError for anything else. */
export async function openVaultHeader(masterKey: Uint8Array, sealed: Uint8Array): Promise<VaultHeader> {
  const header = await openHeaderBytes(masterKey, sealed).catch((error) => {
    throw new UntrustedAnswerError('the vault header does not open', error);
  });
  if (header.vaultKey.length !== KEY_BYTES) throw new UntrustedAnswerError('a vault key of a wrong length');
  return header;
}

async function openHeaderBytes(masterKey: Uint8Array, sealed: Uint8Array): Promise<VaultHeader> {
  const padded = await openBlob(await importSealKey(masterKey), sealed, vaultHeaderAad());
  const header = fromBinary(VaultHeaderSchema, unpad(padded, VAULT_HEADER_PADDING));
  // protobuf-es hands out views into what it reads: the key gets bytes of its own before the rest is overwritten.
  header.vaultKey = header.vaultKey.slice();
  padded.fill(0);
  return header;
}

/** The required features that this client does not know. */
export function unknownFeatures(header: VaultHeader): string[] {
  return header.requiredFeatures.filter((feature) => !KNOWN_FEATURES.has(feature));
}

/** Names a vault key without telling anything about it: 64 hex digits. What a store notes beside entries sealed under it. */
export function vaultKeyId(vaultKey: Uint8Array): string {
  return bytesToHex(hkdf(vaultKey, 'passmanager client vault key id'));
}
