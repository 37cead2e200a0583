import { create } from '@bufbuild/protobuf';
import { expect } from 'chai';
import fc from 'fast-check';
import { EntryNameSchema } from '../../gen/passmanager/common/v1/vault_pb.ts';
import { newMessages } from '../../src/client/entry.ts';
import { openEntry, openName, resealEntry, sealEntry } from '../../src/client/entry_seal.ts';
import { entryDataAad, entryNameAad } from '../../src/protocol/aad.ts';
import { importSealKey, openBlob, sealBlob } from '../../src/protocol/seal.ts';
import { rejection } from '../support/rejection.ts';

const random = (length: number) => crypto.getRandomValues(new Uint8Array(length));
const id = '0b0c6e0a-6a5e-4f5e-8a3e-0123456789ab';
const otherId = '1b0c6e0a-6a5e-4f5e-8a3e-0123456789ab';

describe('sealing entries', () => {
  const key = importSealKey(new Uint8Array(32).fill(1));
  const otherKey = importSealKey(new Uint8Array(32).fill(2));

  it('opens nothing under another id, another key, or with name and data swapped', async () => {
    const sealed = await sealEntry(await key, id, newMessages({ name: 'n', password: 'p' }), random);
    await rejection(openEntry(await key, otherId, sealed));
    await rejection(openEntry(await otherKey, id, sealed));
    await rejection(openName(await key, id, sealed.entryData));
    await rejection(openEntry(await key, id, { entryName: sealed.entryData, entryData: sealed.entryName }));
  });

  it('answers undefined for resealing what does not open', async () => {
    const sealed = await sealEntry(await key, id, newMessages({ name: 'n' }), random);
    expect(await resealEntry(await otherKey, await key, id, sealed, random)).to.equal(undefined);
    const halfBroken = { ...sealed, entryData: sealed.entryData.map((byte) => byte ^ 1) };
    expect(await resealEntry(await key, await otherKey, id, halfBroken, random)).to.equal(undefined);
  });

  it('opens what it sealed, whatever is in it', async () => {
    const entry = fc.record({
      name: fc.string({ unit: 'grapheme', maxLength: 200 }),
      password: fc.string({ maxLength: 600 }),
      notes: fc.string({ unit: 'grapheme', maxLength: 600 }),
    });
    await fc.assert(
      fc.asyncProperty(entry, async (fields) => {
        const sealed = await sealEntry(await key, id, newMessages(fields), random);
        const { name, data } = await openEntry(await key, id, sealed);
        expect([name.name, data.password, data.notes]).to.deep.equal([
          fields.name,
          fields.password,
          fields.notes,
        ]);
        expect([(sealed.entryName.length - 29) % 64, (sealed.entryData.length - 29) % 256]).to.deep.equal([
          0, 0,
        ]);
        expect((await openName(await key, id, sealed.entryName)).name).to.equal(fields.name);
      }),
      { numRuns: 25 },
    );
  });

  it('reseals the padded bytes as they are, even where they are no message of this version', async () => {
    const odd = random(128);
    const sealed = {
      entryName: await sealBlob(await key, odd, entryNameAad(id), random),
      entryData: await sealBlob(await key, odd, entryDataAad(id), random),
    };
    const again = (await resealEntry(await key, await otherKey, id, sealed, random))!;
    expect(await openBlob(await otherKey, again.entryName, entryNameAad(id))).to.deep.equal(odd);
    expect(await openBlob(await otherKey, again.entryData, entryDataAad(id))).to.deep.equal(odd);
  });

  it('never seals twice to the same bytes', async () => {
    const messages = () => ({ ...newMessages({ name: 'n' }), name: create(EntryNameSchema, { name: 'n' }) });
    const [one, other] = await Promise.all(
      [0, 1].map(async () => sealEntry(await key, id, messages(), random)),
    );
    expect(one!.entryName).not.to.deep.equal(other!.entryName);
  });
});
