import { expect } from 'chai';
import { UntrustedAnswerError } from '../../src/client/errors.ts';
import { reencryptEntries } from '../../src/client/reencryption.ts';
import { SessionKeeper } from '../../src/client/session_keeper.ts';
import { rejection } from '../support/rejection.ts';
import { sessionPeer } from '../support/session_peer.ts';

const ids = (count: number) => Array.from({ length: count }, () => crypto.randomUUID() as string);
const bytesOf = (id: string) => ({
  entryName: Uint8Array.of(1, id.charCodeAt(0)),
  entryData: Uint8Array.of(2),
});

/** A server in a password change that answers a few entries at a time. */
async function change(
  entryIds: string[],
  options: { missing?: string; local?: Set<string>; unreadable?: string; perAnswer?: number } = {},
) {
  const written = new Map<string, { entryName: Uint8Array; entryData: Uint8Array }>();
  const calls: string[] = [];
  const { session, platform, transport } = await sessionPeer(({ method, payload }) => {
    calls.push(method);
    if (method === 'BatchUpdateEntries') {
      for (const entry of payload.entries) written.set(entry.entryId, entry);
      return { remainingEntries: entryIds.length - written.size };
    }
    const asked = (payload.entryIds as string[]).filter((id) => id !== options.missing);
    const fits = asked.slice(0, options.perAnswer ?? asked.length);
    return {
      entries: fits.map((entryId) => ({ entryId, ...bytesOf(entryId) })),
      missingEntryIds: payload.entryIds.includes(options.missing) ? [options.missing] : [],
      remainingEntryIds: asked.slice(fits.length),
    };
  });
  const retry = { attempts: 1, firstWaitMs: 1, longestWaitMs: 1 };
  const progress: number[] = [];
  const work = reencryptEntries({
    keeper: new SessionKeeper({ platform, transport, retry, session }),
    entryIds,
    localCopy: async (id) => (options.local?.has(id) ? bytesOf(id) : undefined),
    reseal: async (id, { entryName, entryData }) =>
      id === options.unreadable
        ? undefined
        : { entryName: Uint8Array.of(9, ...entryName), entryData: Uint8Array.of(9, ...entryData) },
    onProgress: (done) => progress.push(done),
  });
  return { work, written, calls, progress };
}

describe('sealing every entry again', () => {
  it('does not go on when the server misses an entry that it listed', async () => {
    const all = ids(3);
    const { work, written } = await change(all, { missing: all[1]! });
    expect(await rejection(work)).to.be.instanceOf(UntrustedAnswerError);
    expect(written.size).to.equal(0);
  });

  it('sends back byte for byte what does not open, and names it', async () => {
    const all = ids(3);
    const { work, written } = await change(all, { unreadable: all[2]! });
    expect(await work).to.deep.equal([all[2]]);
    const { entryName, entryData } = written.get(all[2]!)!;
    expect({ entryName, entryData }).to.deep.equal(bytesOf(all[2]!));
    expect(written.get(all[0]!)!.entryName[0]).to.equal(9);
  });

  it('fetches nothing that the client has', async () => {
    const all = ids(250);
    const { work, written, calls, progress } = await change(all, { local: new Set(all) });
    expect(await work).to.deep.equal([]);
    expect(written.size).to.equal(250);
    expect(new Set(calls)).to.deep.equal(new Set(['BatchUpdateEntries']));
    expect(progress.at(-1)).to.equal(250);
  });

  it('fetches the rest, and asks again for what did not fit into one answer', async () => {
    const all = ids(120);
    const { work, written } = await change(all, { local: new Set(all.slice(0, 50)), perAnswer: 7 });
    await work;
    expect([...written.keys()]).to.have.members(all);
  });

  it('has nothing to do in an empty vault', async () => {
    const { work, calls } = await change([]);
    expect(await work).to.deep.equal([]);
    expect(calls).to.deep.equal([]);
  });
});
