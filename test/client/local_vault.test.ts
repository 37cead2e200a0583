import { expect } from 'chai';
import fc from 'fast-check';
import { changeMessages, newMessages } from '../../src/client/entry.ts';
import { ClosedError, VaultRolledBackError } from '../../src/client/errors.ts';
import { judge, type LocalVault, openLocalVault } from '../../src/client/local_vault.ts';
import { MemoryStore } from '../../src/client/vault_store.ts';
import { importSealKey } from '../../src/protocol/seal.ts';
import { rejection } from '../support/rejection.ts';

const random = (length: number) => crypto.getRandomValues(new Uint8Array(length));
const id = '0b0c6e0a-6a5e-4f5e-8a3e-0123456789ab';

async function open(store = new MemoryStore(), change: object = {}): Promise<LocalVault> {
  return openLocalVault({
    store,
    vaultKey: await importSealKey(new Uint8Array(32).fill(1)),
    vaultKeyId: 'one',
    headerVersion: 3n,
    acceptOlderHeader: false,
    random,
    ...change,
  });
}

async function shown(local: LocalVault, name: string, version: bigint, revision: bigint, entryId = id) {
  const messages = changeMessages(newMessages({ name }), {}, version);
  return { entryId, revision, ...(await local.seal(entryId, messages)) };
}

describe('the local copy', () => {
  it('judges by the seal first, then by the two versions, then by the highest seen', () => {
    const at = (nameVersion: bigint, dataVersion: bigint) => {
      const messages = newMessages({ name: 'x' });
      messages.name.version = nameVersion;
      messages.data.version = dataVersion;
      return messages;
    };
    expect(judge(5n, undefined)).to.equal('unreadable');
    expect(judge(0n, at(2n, 3n))).to.equal('mixed');
    expect(judge(5n, at(3n, 2n))).to.equal('mixed');
    expect(judge(5n, at(4n, 4n))).to.equal('older');
    expect(judge(5n, at(5n, 5n))).to.equal('take');
    expect(judge(5n, at(6n, 6n))).to.equal('take');
  });

  it('refuses a header older than one that it has seen, unless that is accepted', async () => {
    const store = new MemoryStore();
    await open(store);
    expect(await rejection(open(store, { headerVersion: 2n }))).to.be.instanceOf(VaultRolledBackError);
    expect((await store.readState())!.headerVersion).to.equal(3n);
    const accepted = await open(store, { headerVersion: 2n, acceptOlderHeader: true });
    expect(accepted.state.headerVersion).to.equal(2n);
  });

  it('begins anew under another vault key', async () => {
    const store = new MemoryStore();
    const local = await open(store);
    await local.follow({ entries: [await shown(local, 'a', 5n, 1n)] });
    const next = await open(store, { vaultKeyId: 'two', headerVersion: 4n });
    expect(await next.read(id)).to.equal(undefined);
    expect([next.state.revision, next.wasSynced]).to.deep.equal([0n, false]);
  });

  it('opens nothing after close', async () => {
    const local = await open();
    local.close();
    expect(await rejection(local.seal(id, newMessages({ name: 'x' })))).to.be.instanceOf(ClosedError);
  });

  it('keeps its own copy and the refused one side by side, also in another process', async () => {
    const store = new MemoryStore();
    const local = await open(store);
    await local.follow({ entries: [await shown(local, 'new', 2n, 1n)] });
    await local.follow({ entries: [await shown(local, 'old', 1n, 2n)] });
    const again = await open(store);
    const problem = (await again.problemOf((await again.read(id))!))!;
    expect([problem.reason, problem.ours?.name, problem.theirs?.name]).to.deep.equal(['older', 'new', 'old']);
  });

  it('drops the refusal when the server shows a good copy again', async () => {
    const local = await open();
    await local.follow({ entries: [await shown(local, 'new', 2n, 1n)] });
    await local.follow({ entries: [await shown(local, 'old', 1n, 2n)] });
    await local.follow({ entries: [await shown(local, 'newer', 3n, 3n)] });
    const stored = (await local.read(id))!;
    expect(await local.problemOf(stored)).to.equal(undefined);
    expect((await local.toEntry(stored))!.name).to.equal('newer');
  });

  it('counts a deletion as one version, however often it is told of it', async () => {
    const local = await open();
    await local.follow({ entries: [await shown(local, 'a', 4n, 1n)] });
    await local.follow({ deleted: [id] });
    await local.follow({ deleted: [id] });
    const stored = (await local.read(id))!;
    expect([stored.state, stored.copy, stored.highestVersion]).to.deep.equal(['deleted', undefined, 5n]);
  });

  it('never lets a version go down, whatever a server shows in whatever order', async () => {
    const history = fc.array(fc.record({ version: fc.integer({ min: 1, max: 6 }), deleted: fc.boolean() }), {
      minLength: 1,
      maxLength: 8,
    });
    await fc.assert(
      fc.asyncProperty(history, async (steps) => {
        const local = await open();
        let seen = 0n;
        for (const [index, { version, deleted }] of steps.entries()) {
          if (deleted) await local.follow({ deleted: [id] });
          else await local.follow({ entries: [await shown(local, 'x', BigInt(version), BigInt(index))] });
          const stored = await local.read(id);
          expect((stored?.highestVersion ?? 0n) >= seen).to.equal(true);
          seen = stored?.highestVersion ?? seen;
          const held = stored?.copy && (await local.open(id, stored.copy));
          if (held) expect(held.name.version).to.equal(seen);
        }
      }),
      { numRuns: 25 },
    );
  });

  it('keeps an entry of a kind that it does not know, and does not show it', async () => {
    const local = await open();
    const messages = newMessages({ name: 'from the future' });
    messages.name.kind = 77 as never;
    await local.follow({ entries: [{ entryId: id, revision: 1n, ...(await local.seal(id, messages)) }] });
    const stored = (await local.read(id))!;
    expect(stored.copy).not.to.equal(undefined);
    expect(await local.toEntry(stored)).to.equal(undefined);
    expect(await local.problemOf(stored)).to.equal(undefined);
    await local.loadNames();
    expect(local.names.all()).to.deep.equal([]);
  });

  it('goes over to another key with what it holds, refused copies included', async () => {
    const store = new MemoryStore();
    const local = await open(store);
    await local.follow(
      { entries: [await shown(local, 'new', 2n, 1n)] },
      { ...local.state, historyId: new Uint8Array(16).fill(1) },
    );
    await local.follow({ entries: [await shown(local, 'old', 1n, 2n)] });
    const { resealEntry } = await import('../../src/client/entry_seal.ts');
    const oldKey = local.vaultKey;
    const newKey = await importSealKey(new Uint8Array(32).fill(2));
    await local.rekey(newKey, { vaultKeyId: 'two', headerVersion: 4n }, (entryId, copy) =>
      resealEntry(oldKey, newKey, entryId, copy, random),
    );
    const again = await open(store, { vaultKey: newKey, vaultKeyId: 'two', headerVersion: 4n });
    const problem = (await again.problemOf((await again.read(id))!))!;
    expect([problem.ours?.name, problem.theirs?.name]).to.deep.equal(['new', 'old']);
  });
});
