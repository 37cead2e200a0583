import { randomBytes, randomUUID } from 'node:crypto';
import { create, type DescMessage, type MessageInitShape } from '@bufbuild/protobuf';
import { TimestampSchema } from '@bufbuild/protobuf/wkt';
import { expect } from 'chai';
import { VaultHeaderSchema } from '../../gen/passmanager/common/v1/vault_pb.ts';
import * as data from '../../gen/passmanager/data/v1/data_service_pb.ts';
import * as password from '../../gen/passmanager/password/v1/password_service_pb.ts';
import * as session from '../../gen/passmanager/session/v1/session_service_pb.ts';
import * as user from '../../gen/passmanager/user/v1/user_service_pb.ts';
import { FieldRules } from '../../src/server/field_rules.ts';
import { makeAccount } from '../support/raw_client.ts';

const rules = new FieldRules({ maxEntryNameBytes: 1_024, maxEntryDataBytes: 65_536, maxBatchEntries: 500 });
const bytes = (length: number) => new Uint8Array(randomBytes(length));
const refused = <S extends DescMessage>(schema: S, message: MessageInitShape<S>): string[] =>
  rules.refusedFields(schema, create(schema, message));

/** Every message that a caller fills in: public requests and sealed payloads. */
const PAYLOADS = [
  data.DataService,
  password.PasswordService,
  session.SessionService,
  user.UserService,
].flatMap((service) =>
  service.methods.map((method) => {
    const name = `${method.parent.file.proto.package}.${method.name}Payload`;
    return service.file.messages.find(({ typeName }) => typeName === name) ?? method.input;
  }),
);

describe('the field rules', () => {
  it('have a rule for every field that a caller fills in', () => {
    for (const schema of PAYLOADS) rules.requireRules(schema);
    expect(PAYLOADS).to.have.length(27);
  });

  it('refuse to start with a field that has none', () => {
    expect(() => rules.requireRules(VaultHeaderSchema)).to.throw(
      'no rule for passmanager.common.v1.VaultHeader.vault_key',
    );
    expect(() => rules.requireRules(TimestampSchema)).to.throw(
      'no rule for google.protobuf.Timestamp.seconds',
    );
  });

  it('find nothing in a good registration', () => {
    const { srpSecret: _, ...account } = makeAccount();
    expect(refused(user.RegisterUserRequestSchema, account as never)).to.deep.equal([]);
  });

  it('name the fields of the KDF parameters, and the whole when it is missing', () => {
    const { srpSecret: _, ...account } = makeAccount();
    const kdf = { algorithm: 2, memoryKib: 0, iterations: 0, parallelism: 0 };
    expect(refused(user.RegisterUserRequestSchema, { ...account, kdf } as never)).to.deep.equal([
      'kdf.algorithm',
      'kdf.memory_kib',
      'kdf.iterations',
      'kdf.parallelism',
    ]);
    const { kdf: __, ...without } = account;
    expect(refused(user.RegisterUserRequestSchema, without)).to.deep.equal(['kdf']);
  });

  it('hold the sizes of an entry to the byte', () => {
    const entry = (name: number, value: number) =>
      refused(data.CreateEntryPayloadSchema, {
        entryId: randomUUID(),
        entryName: bytes(name),
        entryData: bytes(value),
      });
    expect(entry(30, 30)).to.deep.equal([]);
    expect(entry(1_053, 65_565)).to.deep.equal([]);
    expect(entry(29, 29)).to.deep.equal(['entry_name', 'entry_data']);
    expect(entry(1_054, 65_566)).to.deep.equal(['entry_name', 'entry_data']);
  });

  it('take a revision that was not given, zero and any other', () => {
    const update = (expectedRevision?: bigint) =>
      refused(data.DeleteEntryPayloadSchema, {
        entryId: randomUUID(),
        ...(expectedRevision === undefined ? {} : { expectedRevision }),
      });
    for (const revision of [undefined, 0n, 2n ** 64n - 1n]) expect(update(revision)).to.deep.equal([]);
  });

  it('want 1 to 500 entries in a batch, each id once, and say which is the second', () => {
    const batch = (entryIds: string[]) => refused(data.BatchGetEntriesPayloadSchema, { entryIds });
    const ids = Array.from({ length: 501 }, () => randomUUID());
    expect(batch([])).to.deep.equal(['entry_ids']);
    expect(batch(ids)).to.deep.equal(['entry_ids']);
    expect(batch(ids.slice(1))).to.deep.equal([]);
    expect(batch([ids[0]!, ids[1]!, ids[0]!, 'x'])).to.deep.equal(['entry_ids[2]', 'entry_ids[3]']);
  });

  it('name all errors of all entries of a batch in payload order', () => {
    const entryId = randomUUID();
    const good = { entryId, entryName: bytes(30), entryData: bytes(30) };
    expect(
      refused(password.BatchUpdateEntriesPayloadSchema, {
        entries: [
          good,
          { ...good, entryData: bytes(1) },
          { entryId: 'x', entryName: bytes(1), entryData: bytes(30) },
        ],
      }),
    ).to.deep.equal([
      'entries[1].entry_id',
      'entries[1].entry_data',
      'entries[2].entry_id',
      'entries[2].entry_name',
    ]);
  });
});
