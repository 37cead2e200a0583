/** Sealing and opening entries under the vault key (docs/cryptographic_implementation.md, "Entries"). */
import { fromBinary, toBinary } from '@bufbuild/protobuf';
import {
  EntryDataSchema,
  type EntryName,
  EntryNameSchema,
} from '../../gen/passmanager/common/v1/vault_pb.ts';
import { entryDataAad, entryNameAad } from '../protocol/aad.ts';
import type { RandomBytes } from '../protocol/bytes.ts';
import { pad, unpad } from '../protocol/padding.ts';
import { openBlob, type SealKey, sealBlob } from '../protocol/seal.ts';
import { ENTRY_DATA_PADDING, ENTRY_NAME_PADDING } from '../protocol/sizes.ts';
import type { EntryMessages } from './entry.ts';

/** An entry as the server stores it. */
export interface SealedEntry {
  readonly entryName: Uint8Array;
  readonly entryData: Uint8Array;
}

/** Seals both messages, bound to the entry's id. */
export async function sealEntry(
  vaultKey: SealKey,
  entryId: string,
  { name, data }: EntryMessages,
  random: RandomBytes,
): Promise<SealedEntry> {
  const plaintext = {
    name: pad(toBinary(EntryNameSchema, name), ENTRY_NAME_PADDING),
    data: pad(toBinary(EntryDataSchema, data), ENTRY_DATA_PADDING),
  };
  const [entryName, entryData] = await Promise.all([
    sealBlob(vaultKey, plaintext.name, entryNameAad(entryId), random),
    sealBlob(vaultKey, plaintext.data, entryDataAad(entryId), random),
  ]);
  plaintext.name.fill(0);
  plaintext.data.fill(0);
  return { entryName, entryData };
}

/** The name alone. Throws whatever is wrong with it. */
export async function openName(
  vaultKey: SealKey,
  entryId: string,
  entryName: Uint8Array,
): Promise<EntryName> {
  const padded = await openBlob(vaultKey, entryName, entryNameAad(entryId));
  return fromBinary(EntryNameSchema, unpad(padded, ENTRY_NAME_PADDING));
}

/** Both messages. Throws whatever is wrong with them; versions are the caller's to compare. */
export async function openEntry(
  vaultKey: SealKey,
  entryId: string,
  { entryName, entryData }: SealedEntry,
): Promise<EntryMessages> {
  const [name, data] = await Promise.all([
    openName(vaultKey, entryId, entryName),
    openBlob(vaultKey, entryData, entryDataAad(entryId)),
  ]);
  return { name, data: fromBinary(EntryDataSchema, unpad(data, ENTRY_DATA_PADDING)) };
}

/**
 * The same padded plaintext under another key, not parsed on the way: an older client must not lose what a newer one wrote.
 * Undefined when it does not open.
 */
export async function resealEntry(
  from: SealKey,
  to: SealKey,
  entryId: string,
  { entryName, entryData }: SealedEntry,
  random: RandomBytes,
): Promise<SealedEntry | undefined> {
  const reseal = async (blob: Uint8Array, aad: Uint8Array) => {
    const plaintext = await openBlob(from, blob, aad);
    const sealed = await sealBlob(to, plaintext, aad, random);
    plaintext.fill(0);
    return sealed;
  };
  try {
    const [name, data] = await Promise.all([
      reseal(entryName, entryNameAad(entryId)),
      reseal(entryData, entryDataAad(entryId)),
    ]);
    return { entryName: name, entryData: data };
  } catch {
    return undefined;
  }
}
