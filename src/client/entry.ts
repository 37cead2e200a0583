/** Entries as programs see them, and how they are written into the messages that clients encrypt. */
import { create } from '@bufbuild/protobuf';
import {
  CustomFieldSchema,
  type EntryData,
  EntryDataSchema,
  EntryKind,
  type EntryName,
  EntryNameSchema,
} from '../../gen/passmanager/common/v1/vault_pb.ts';

/** What an entry is about. */
export type Kind = 'login' | 'note' | 'card' | 'identity';

/** A field of the person's own. */
export interface CustomField {
  readonly label: string;
  readonly value: string;
  /** Whether to show it like a password. */
  readonly hidden: boolean;
}

/** What a person writes into an entry. Texts may be empty; absent is not empty. */
export interface EntryFields {
  readonly name: string;
  readonly kind: Kind;
  readonly website?: string | undefined;
  readonly username?: string | undefined;
  readonly password?: string | undefined;
  readonly notes?: string | undefined;
  /** An otpauth:// URI. */
  readonly totpUri?: string | undefined;
  readonly fields: readonly CustomField[];
}

/** A new entry. Kind: 'login' by default. Only the name is needed. */
export type NewEntry = Partial<EntryFields> & {
  readonly name: string;
  /** A lower-case UUID of one's own, which makes creating it twice harmless. Default: a random one. */
  readonly id?: string;
};

/** What to change: a field that is left out stays; one that is present and undefined is removed. */
export type EntryChanges = Partial<EntryFields>;

/** An entry, opened. */
export interface VaultEntry extends EntryFields {
  readonly id: string;
  /** The server's number of the last write; what conflicts are found by. */
  readonly revision: bigint;
  /** The clients' number of the last write, sealed inside; what a rollback is found by. */
  readonly version: bigint;
  /** By the server's clock; undefined until it was read back. */
  readonly createTime?: Date | undefined;
  readonly updateTime?: Date | undefined;
}

/** The name of an entry: what lists and searches show. */
export interface EntrySummary {
  readonly id: string;
  readonly name: string;
  readonly kind: Kind;
  readonly revision: bigint;
}

/** Both messages of an entry. Unknown fields stay in them. */
export interface EntryMessages {
  readonly name: EntryName;
  readonly data: EntryData;
}

const KINDS: ReadonlyMap<EntryKind, Kind> = new Map([
  // proto3's 0: a client that did not say wrote a login.
  [EntryKind.UNSPECIFIED, 'login'],
  [EntryKind.LOGIN, 'login'],
  [EntryKind.NOTE, 'note'],
  [EntryKind.CARD, 'card'],
  [EntryKind.IDENTITY, 'identity'],
]);

const KIND_NUMBERS: Readonly<Record<Kind, EntryKind>> = {
  login: EntryKind.LOGIN,
  note: EntryKind.NOTE,
  card: EntryKind.CARD,
  identity: EntryKind.IDENTITY,
};

/** The kind of a name; undefined for one that a newer client invented: such entries are kept and not shown. */
export function kindOf(name: EntryName): Kind | undefined {
  return KINDS.get(name.kind);
}

/** The messages of a new entry, version 1. */
export function newMessages(fields: NewEntry): EntryMessages {
  const empty = {
    name: create(EntryNameSchema, { kind: EntryKind.LOGIN }),
    data: create(EntryDataSchema),
  };
  return changeMessages(empty, fields, 1n);
}

/** Writes changes and a version into both messages. The messages are changed in place, so that unknown fields stay. */
export function changeMessages(
  { name, data }: EntryMessages,
  changes: EntryChanges,
  version: bigint,
): EntryMessages {
  if (changes.name !== undefined) name.name = changes.name;
  if (changes.kind !== undefined) name.kind = KIND_NUMBERS[changes.kind];
  for (const field of ['website', 'username', 'password', 'notes', 'totpUri'] as const) {
    if (field in changes) data[field] = changes[field];
  }
  if ('fields' in changes) data.fields = customFields(changes.fields ?? [], data.fields);
  name.version = version;
  data.version = version;
  return { name, data };
}

/** A field that stays as it is keeps its message, and with it what this version does not know. */
function customFields(wanted: readonly CustomField[], known: EntryData['fields']): EntryData['fields'] {
  const left = [...known];
  return wanted.map(({ label, value, hidden }) => {
    const index = left.findIndex((field) => field.label === label);
    const message = index === -1 ? create(CustomFieldSchema) : left.splice(index, 1)[0]!;
    return Object.assign(message, { label, value, hidden });
  });
}

/** The entry that two messages are. `kind` is kindOf(name). */
export function toEntry(
  id: string,
  { name, data }: EntryMessages,
  kind: Kind,
  written: { revision: bigint; createTime?: Date | undefined; updateTime?: Date | undefined },
): VaultEntry {
  const { website, username, password, notes, totpUri } = data;
  return {
    id,
    name: name.name,
    kind,
    website,
    username,
    password,
    notes,
    totpUri,
    fields: data.fields.map(({ label, value, hidden }) => ({ label, value, hidden })),
    version: name.version,
    ...written,
  };
}

/** The reasons. */
export type EntryProblemReason =
  /** It does not open under the vault key, or is no message of the contract. */
  | 'unreadable'
  /** Name and data carry different versions: they come from two writes. */
  | 'mixed'
  /** Its version is below one that was seen: the server rolled back, or was restored. */
  | 'older'
  /** After a reset the server did not list it: it may exist nowhere but here. */
  | 'missing';

/** A refused copy. Nothing was thrown away: `Vault.resolve` takes one side. */
export interface EntryProblem {
  readonly entryId: string;
  readonly reason: EntryProblemReason;
  /** The client's own copy; undefined where it has none, or had seen the entry deleted. */
  readonly ours: VaultEntry | undefined;
  /** The server's, as far as it could be read. */
  readonly theirs: VaultEntry | undefined;
}
