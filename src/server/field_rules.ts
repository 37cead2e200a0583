/**
 * What a field may hold, one rule a name: a field name means the same in every message of the contract. A message with
 * a field that has no rule is refused when the server starts.
 */
import { type DescField, type DescMessage, isFieldSet, type Message } from '@bufbuild/protobuf';
import { refusedKdfFields } from '../protocol/kdf.ts';
import {
  GROUP_ELEMENT_BYTES,
  HISTORY_ID_BYTES,
  PROOF_BYTES,
  SALT_BYTES,
  SEALED_BLOB_MIN_BYTES,
  SEALED_BLOB_OVERHEAD_BYTES,
  USERNAME_HASH_BYTES,
  VAULT_HEADER_MAX_BYTES,
} from '../protocol/sizes.ts';
import { isAcceptableVerifier } from '../protocol/srp.ts';
import { isUuid } from '../protocol/uuid.ts';

/** The limits that the rules depend on. Sizes in bytes. */
export interface FieldLimits {
  /** Padded plaintext of an entry's name. */
  readonly maxEntryNameBytes: number;
  /** Padded plaintext of an entry's data. */
  readonly maxEntryDataBytes: number;
  readonly maxBatchEntries: number;
}

/** Tells of a value whether it is refused, or the paths below it that are, each starting with a dot or a bracket. */
type Rule = (value: never) => boolean | string[];

const bytesOf =
  (minimum: number, maximum = minimum) =>
  (value: Uint8Array) =>
    value.length < minimum || value.length > maximum;
const uuid = (value: string) => !isUuid(value);
const anything = () => false;
const atLeast = (minimum: bigint) => (value: bigint | number) => BigInt(value) < minimum;

/** The rules under the limits of a server. */
export class FieldRules {
  readonly #rules: ReadonlyMap<string, Rule>;
  readonly #limits: FieldLimits;

  constructor(limits: FieldLimits) {
    this.#limits = limits;
    const salt = bytesOf(SALT_BYTES);
    const proof = bytesOf(PROOF_BYTES);
    const usernameHash = bytesOf(USERNAME_HASH_BYTES);
    const groupElement = bytesOf(GROUP_ELEMENT_BYTES);
    const rules: Record<string, Rule> = {
      username_hash: usernameHash,
      new_username_hash: usernameHash,
      srp_salt: salt,
      master_key_salt: salt,
      srp_verifier: (v: Uint8Array) => v.length !== GROUP_ELEMENT_BYTES || !isAcceptableVerifier(v),
      encrypted_vault_header: bytesOf(SEALED_BLOB_MIN_BYTES, VAULT_HEADER_MAX_BYTES),
      invite_code: anything,
      client_protocol: atLeast(1n),
      ephemeral_id: uuid,
      eph_public_a: groupElement,
      new_eph_public_a: groupElement,
      client_proof_m1: proof,
      new_client_proof_m1: proof,
      maximum_requests: atLeast(-1n),
      expiry_seconds: atLeast(-1n),
      session_id: uuid,
      entry_id: uuid,
      entry_name: bytesOf(SEALED_BLOB_MIN_BYTES, limits.maxEntryNameBytes + SEALED_BLOB_OVERHEAD_BYTES),
      entry_data: bytesOf(SEALED_BLOB_MIN_BYTES, limits.maxEntryDataBytes + SEALED_BLOB_OVERHEAD_BYTES),
      expected_revision: anything,
      since_revision: anything,
      page_size: atLeast(0n),
      page_token: (token: string) => token !== '' && !isUuid(token),
      history_id: (id: Uint8Array) => id.length !== 0 && id.length !== HISTORY_ID_BYTES,
    };
    this.#rules = new Map(Object.entries(rules));
  }

  /** Throws when a field of the message, or of one inside it, has no rule. */
  requireRules(schema: DescMessage): void {
    for (const field of schema.fields) {
      if (field.message?.typeName === 'passmanager.common.v1.KdfParameters') continue;
      if (field.fieldKind === 'list' && field.listKind === 'message') this.requireRules(field.message);
      else if (!this.#rules.has(ruleName(field))) {
        throw new Error(`no rule for ${schema.typeName}.${field.name}`);
      }
    }
  }

  /** The paths of all refused fields in payload order, as the .proto spells them; empty when the message is good. */
  refusedFields(schema: DescMessage, message: Message, prefix = ''): string[] {
    return schema.fields.flatMap((field) => {
      const path = prefix + field.name;
      if (field.fieldKind === 'list') return this.#refusedInList(field, message, path);
      if (field.fieldKind === 'message') return this.#refusedKdf(field, message, path);
      // A field without a value of its own has nothing to refuse; one that must be there has an implicit default.
      if (field.fieldKind === 'scalar' && field.presence === EXPLICIT_PRESENCE && !isFieldSet(message, field))
        return [];
      return this.#isRefused(field, (message as unknown as Record<string, unknown>)[field.localName])
        ? [path]
        : [];
    });
  }

  #isRefused(field: DescField, value: unknown): boolean {
    return this.#rules.get(ruleName(field))?.(value as never) !== false;
  }

  #refusedKdf(field: DescField, message: Message, path: string): string[] {
    const kdf = (message as unknown as Record<string, unknown>)[field.localName];
    if (kdf === undefined) return [path];
    return refusedKdfFields(kdf as Parameters<typeof refusedKdfFields>[0]).map((name) => `${path}.${name}`);
  }

  /** A list of 1 to the maximum of a batch, of ids or of messages with an entry_id, each id once. */
  #refusedInList(field: DescField & { fieldKind: 'list' }, message: Message, path: string): string[] {
    const items = (message as unknown as Record<string, unknown[]>)[field.localName] ?? [];
    if (items.length === 0 || items.length > this.#limits.maxBatchEntries) return [path];
    const seen = new Set<unknown>();
    return items.flatMap((item, index) => {
      const itemPath = `${path}[${index}]`;
      const isMessage = field.listKind === 'message';
      const id = isMessage ? (item as { entryId: string }).entryId : item;
      const repeated = seen.has(id);
      seen.add(id);
      if (!isMessage) return repeated || this.#isRefused(field, item) ? [itemPath] : [];
      const refused = this.refusedFields(field.message, item as Message, `${itemPath}.`);
      const idPath = `${itemPath}.entry_id`;
      return repeated && !refused.includes(idPath) ? [idPath, ...refused] : refused;
    });
  }
}

/** google.protobuf.FeatureSet.FieldPresence.EXPLICIT. */
const EXPLICIT_PRESENCE = 1;

/** The name under which a field's rule stands: the items of a list of ids have the rule of one id. */
function ruleName(field: DescField): string {
  return field.name === 'entry_ids' ? 'entry_id' : field.name;
}
