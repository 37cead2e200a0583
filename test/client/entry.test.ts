import { fromBinary, toBinary } from '@bufbuild/protobuf';
import { expect } from 'chai';
import { EntryDataSchema, EntryKind, EntryNameSchema } from '../../gen/passmanager/common/v1/vault_pb.ts';
import { changeMessages, kindOf, newMessages, toEntry } from '../../src/client/entry.ts';

/** Field 1000, length-delimited, three bytes: something that a newer client wrote. */
const UNKNOWN = Uint8Array.of(0xc2, 0x3e, 3, 1, 2, 3);

function withUnknownFields() {
  const { name, data } = newMessages({
    name: 'Bank',
    password: 'p',
    fields: [{ label: 'pin', value: '1', hidden: true }],
  });
  const append = (bytes: Uint8Array) => Uint8Array.from([...bytes, ...UNKNOWN]);
  return {
    name: fromBinary(EntryNameSchema, append(toBinary(EntryNameSchema, name))),
    data: fromBinary(EntryDataSchema, append(toBinary(EntryDataSchema, data))),
  };
}

describe('an entry', () => {
  it('of a kind that a newer client invented has no kind here', () => {
    const { name } = newMessages({ name: 'x' });
    name.kind = 77 as EntryKind;
    expect(kindOf(name)).to.equal(undefined);
  });

  it('without a kind is a login', () => {
    const { name } = newMessages({ name: 'x' });
    name.kind = EntryKind.UNSPECIFIED;
    expect(kindOf(name)).to.equal('login');
  });

  it('keeps fields that this version does not know when it is changed', () => {
    const { name, data } = changeMessages(withUnknownFields(), { name: 'Other', password: 'q' }, 2n);
    for (const bytes of [toBinary(EntryNameSchema, name), toBinary(EntryDataSchema, data)]) {
      expect(bytes.join()).to.include(UNKNOWN.join());
    }
  });

  it('keeps what it does not know of a custom field whose value changes', () => {
    const messages = withUnknownFields();
    messages.data.fields[0]!.$unknown = [{ no: 50, wireType: 0, data: Uint8Array.of(7) }];
    const { data } = changeMessages(messages, { fields: [{ label: 'pin', value: '2', hidden: true }] }, 2n);
    expect(data.fields[0]!.value).to.equal('2');
    expect(data.fields[0]!.$unknown).to.have.length(1);
  });

  it('keeps what a change leaves out, removes what it names as undefined', () => {
    const messages = newMessages({
      name: 'a',
      kind: 'card',
      website: 'w',
      username: 'u',
      notes: '',
      totpUri: 't',
    });
    const { name, data } = changeMessages(messages, { website: undefined, notes: 'n' }, 2n);
    const entry = toEntry('id', { name, data }, kindOf(name)!, { revision: 4n });
    expect(entry).to.deep.equal({
      id: 'id',
      name: 'a',
      kind: 'card',
      website: undefined,
      username: 'u',
      password: undefined,
      notes: 'n',
      totpUri: 't',
      fields: [],
      version: 2n,
      revision: 4n,
    });
  });

  it('tells an empty text from none', () => {
    const { name, data } = newMessages({ name: 'a', notes: '' });
    expect(toEntry('id', { name, data }, 'login', { revision: 0n }).notes).to.equal('');
  });

  it('starts at version 1, in both messages', () => {
    const { name, data } = newMessages({ name: 'a' });
    expect([name.version, data.version]).to.deep.equal([1n, 1n]);
  });
});
