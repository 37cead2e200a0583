/** What a client does, measured where it runs: in Node or in a page. No module of Node's is used here. */
import type { Argon2id, VaultClient, VaultTransport } from '../../src/client/index.ts';
import { DEFAULT_KDF_PARAMETERS } from '../../src/client/index.ts';

/** Milliseconds. */
export interface ClientTimes {
  /** Argon2id alone, with the parameters that accounts are made with. */
  readonly argon2id: number;
  /** A whole log-in, Argon2id included. */
  readonly logIn: number;
  /** Fetching and opening every name of the vault, for a search. */
  readonly names: number;
  readonly firstSync: number;
  /** With nothing new. */
  readonly laterSync: number;
  /** With one entry changed by somebody else. */
  readonly syncOfOne: number;
}

export async function clientJob(
  library: Pick<VaultClient, 'logIn'> & { readonly argon2id: Argon2id },
  transport: VaultTransport,
  account: { username: string; password: string },
): Promise<ClientTimes> {
  const timed = async (work: () => Promise<unknown>): Promise<number> => {
    const begun = performance.now();
    await work();
    return performance.now() - begun;
  };
  const open = () => library.logIn(transport, { ...account, maximumRequests: -1 });
  const password = new TextEncoder().encode(account.password);
  const argon2id = await timed(() => library.argon2id(password, new Uint8Array(32), DEFAULT_KDF_PARAMETERS));
  const begun = performance.now();
  const searching = await open();
  const logIn = performance.now() - begun;
  const names = await timed(() => searching.search('a name that nobody has'));
  const syncing = await open();
  const firstSync = await timed(() => syncing.sync());
  const laterSync = await timed(() => syncing.sync());
  await searching.create({ name: 'one more' });
  const syncOfOne = await timed(() => syncing.sync());
  searching.close();
  syncing.close();
  return { argon2id, logIn, names, firstSync, laterSync, syncOfOne };
}
