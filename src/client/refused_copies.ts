/** Deciding about a copy that the client refused: it is either taken or written over, never lost on the way. */
import { changeMessages, type EntryMessages, type VaultEntry } from './entry.ts';
import { requireId } from './entry_reader.ts';
import type { EntryWriter } from './entry_writer.ts';
import { InvalidInputError, ServerRefusalError } from './errors.ts';
import type { LocalVault } from './local_vault.ts';
import type { StoredEntry } from './vault_store.ts';

/** Which side of a refused copy to take. */
export type Side = 'ours' | 'theirs';

/**
 * Settles a refused copy. 'theirs' takes what the server has, or agrees that it is gone; 'ours' writes the client's own again
 * with a version above both, or deletes again what had been deleted. Answers the entry as it is then. Throws
 * InvalidInputError where nothing is undecided or the wanted side does not exist.
 */
export async function resolveRefusedCopy(
  local: LocalVault,
  writer: EntryWriter,
  decision: { readonly entryId: string; readonly side: Side; readonly signal?: AbortSignal | undefined },
): Promise<VaultEntry | undefined> {
  const { entryId, side, signal } = decision;
  const stored = await local.read(requireId(entryId));
  if (stored?.state === 'missing') {
    if (side === 'ours') return createAgain(local, writer, stored, signal);
    await local.forget(entryId);
    return undefined;
  }
  if (stored?.refused === undefined) throw new InvalidInputError('nothing about this entry is undecided');
  const { copy, reason } = stored.refused;
  const theirs = await local.open(entryId, copy);
  if (side === 'ours') {
    if (stored.state !== 'deleted')
      return writeAbove(local, writer, stored, await ownCopy(local, stored), theirs, signal);
    await writer.delete({ id: entryId, revision: copy.revision }, signal);
    return undefined;
  }
  if (theirs === undefined) throw new InvalidInputError("the server's copy does not open");
  // Name and data of two writes are one entry only once they are written together.
  if (reason === 'mixed') return writeAbove(local, writer, stored, theirs, theirs, signal);
  await local.adopt(entryId, copy, theirs);
  return local.toEntry((await local.read(entryId))!);
}

async function ownCopy(local: LocalVault, { entryId, copy }: StoredEntry): Promise<EntryMessages> {
  const ours = copy && (await local.open(entryId, copy));
  if (ours === undefined) throw new InvalidInputError('there is no copy of our own');
  return ours;
}

async function writeAbove(
  local: LocalVault,
  writer: EntryWriter,
  { entryId, highestVersion, refused }: StoredEntry,
  wanted: EntryMessages,
  theirs: EntryMessages | undefined,
  signal: AbortSignal | undefined,
): Promise<VaultEntry> {
  const versions = [highestVersion, theirs?.name.version ?? 0n, theirs?.data.version ?? 0n];
  const highest = versions.reduce((one, other) => (one > other ? one : other));
  const messages = changeMessages(wanted, {}, highest + 1n);
  const sealed = await local.seal(entryId, messages);
  return writer.sendChange({ entryId, messages, sealed, expectedRevision: refused!.copy.revision }, signal);
}

async function createAgain(
  local: LocalVault,
  writer: EntryWriter,
  stored: StoredEntry,
  signal: AbortSignal | undefined,
): Promise<VaultEntry> {
  const messages = changeMessages(await ownCopy(local, stored), {}, stored.highestVersion + 1n);
  const createAs = async (entryId: string) =>
    writer.sendNew({ entryId, messages, sealed: await local.seal(entryId, messages) }, signal);
  try {
    return await createAs(stored.entryId);
  } catch (error) {
    const isTaken = error instanceof ServerRefusalError && error.verified && error.code === 'entry_exists';
    if (!isTaken) throw error;
    // The id belongs to an entry that was deleted: it cannot come back, its content can.
    const entry = await createAs(crypto.randomUUID());
    await local.forget(stored.entryId);
    return entry;
  }
}
