/** What the server has of an entry, past the program: to look at it, and to do what a server does that mixes or rolls back. */
import type { ClientWorld } from './client_world.ts';

/** The two sealed fields of an entry, as its row has them. */
export interface StoredEntry {
  readonly entry_name: Buffer;
  readonly entry_data: Buffer;
}

export async function storedEntry({ server }: ClientWorld, id: string): Promise<StoredEntry> {
  const [row] = await server.database.query(
    'select entry_name, entry_data from secure_data where entry_id = $1',
    [id],
  );
  return row as unknown as StoredEntry;
}

/** Puts these fields into the row of an entry, under its next revision. */
export async function putBack(
  { server }: ClientWorld,
  id: string,
  { entry_name, entry_data }: StoredEntry,
): Promise<void> {
  await server.database.query(
    'update secure_data set entry_name = $2, entry_data = $3, revision = revision + 1 where entry_id = $1',
    [id, entry_name, entry_data],
  );
}
