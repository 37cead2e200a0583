/** A whole change of the password: every entry read, encrypted anew by the client, and committed. */
import { createConnectTransport } from '@connectrpc/connect-node';
import * as password from '../../gen/passmanager/password/v1/password_service_pb.ts';
import {
  beginChange,
  commitChange,
  createEntries,
  renewed,
  updateMany,
} from '../../test/support/password_change.ts';
import { logIn, makeAccount, register, type TestAccount } from '../../test/support/raw_client.ts';
import { type Benchmark, ROUNDS } from '../support/bar.ts';
import { ServerProcess } from '../support/server_process.ts';
import { exponent, median } from '../support/statistics.ts';

const SIZES = [1_000, 3_000, 10_000];
const BATCH = 500;

/** An account with entries, a few hundred a call. */
export async function newVault(
  httpUrl: string,
  size: number,
): Promise<{ account: TestAccount; ids: string[] }> {
  const transport = createConnectTransport({ baseUrl: httpUrl, httpVersion: '1.1' });
  const account = makeAccount();
  await register(transport, account);
  const session = await logIn(transport, account);
  const ids: string[] = [];
  while (ids.length < size) {
    const made = await createEntries(session, Math.min(BATCH, size - ids.length));
    ids.push(...made.map(({ entryId }) => entryId));
  }
  return { account, ids };
}

/** Changes the password of an account with entries; seconds, and the account with its new credentials. */
export async function change(
  httpUrl: string,
  account: TestAccount,
  ids: readonly string[],
): Promise<{ seconds: number; account: TestAccount }> {
  const transport = createConnectTransport({ baseUrl: httpUrl, httpVersion: '1.1' });
  const session = await logIn(transport, account);
  const begun = performance.now();
  const { change: opened, started, announced } = await beginChange(session, account);
  for (let start = 0; start < ids.length; start += BATCH) {
    const entryIds = ids.slice(start, start + BATCH);
    await opened.call(
      password.PasswordService.method.batchGetEntries,
      password.BatchGetEntriesPayloadSchema,
      { entryIds },
    );
    await updateMany(opened, entryIds.map(renewed));
  }
  await commitChange(opened, started);
  return { seconds: (performance.now() - begun) / 1000, account: announced };
}

export const passwordChange: Benchmark = {
  names: ['password-change-10k', 'password-change-linear'],
  async run(report) {
    const server = await ServerProcess.start();
    const vaults = await Promise.all(
      SIZES.map(async (size) => ({
        size,
        ...(await newVault(server.httpUrl, size)),
        seconds: [] as number[],
      })),
    );
    for (let round = 0; round < ROUNDS; round += 1) {
      for (const vault of vaults) {
        const { seconds, account } = await change(server.httpUrl, vault.account, vault.ids);
        vault.account = account;
        vault.seconds.push(seconds);
      }
    }
    await server.stop();
    const [small, , large] = vaults;
    const points = vaults.map(({ size, seconds }) => [size, median(seconds)] as const);
    report.note(`the time grows with the entries to the power of ${exponent(points).toFixed(2)}`);
    report.bar('password-change-10k', large!.seconds, '<= 20');
    report.bar(
      'password-change-linear',
      large!.seconds.map((seconds, round) => seconds / small!.seconds[round]!),
      '<= 11',
    );
    report.curve({
      title: 'A password change',
      xLabel: 'entries',
      yLabel: 'seconds',
      series: [{ name: 'whole change', points }],
    });
  },
};
