import { expect } from 'chai';
import { MemoryStore, type StoredEntry, type StoreState } from '../../src/client/vault_store.ts';

const state: StoreState = {
  vaultKeyId: 'k',
  headerVersion: 1n,
  historyId: new Uint8Array(16),
  revision: 3n,
  listing: 0,
  isRelisting: false,
};
const entry = (entryId: string): StoredEntry => ({ entryId, state: 'live', highestVersion: 1n, listing: 0 });

describe('the store in memory', () => {
  it('knows nothing at first', async () => {
    const store = new MemoryStore();
    expect(await store.readState()).to.equal(undefined);
    expect(await store.readEntry('a')).to.equal(undefined);
    expect(await Array.fromAsync(store.entries())).to.deep.equal([]);
  });

  it('forgets everything before it puts what a clearing change brings', async () => {
    const store = new MemoryStore();
    await store.apply({ state, put: [entry('a'), entry('b')] });
    await store.apply({ clear: true, put: [entry('c')] });
    expect(await Array.fromAsync(store.entries())).to.deep.equal([entry('c')]);
    expect(await store.readState()).to.equal(undefined);
  });

  it('puts, replaces and removes', async () => {
    const store = new MemoryStore();
    await store.apply({ state, put: [entry('a'), entry('b')] });
    await store.apply({ put: [{ ...entry('a'), highestVersion: 2n }], remove: ['b'] });
    expect((await store.readEntry('a'))!.highestVersion).to.equal(2n);
    expect(await store.readEntry('b')).to.equal(undefined);
    expect(await store.readState()).to.equal(state);
  });

  it('may be changed while it is listed', async () => {
    const store = new MemoryStore();
    await store.apply({ put: [entry('a'), entry('b')] });
    const listed: string[] = [];
    for await (const { entryId } of store.entries()) {
      listed.push(entryId);
      await store.apply({ remove: ['a', 'b'] });
    }
    expect(listed).to.deep.equal(['a', 'b']);
  });
});
