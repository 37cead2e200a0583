/** A client that changes its password, in a thread of its own: what it computes is not the load's. */
import { parentPort, workerData } from 'node:worker_threads';
import type { TestAccount } from '../../test/support/raw_client.ts';
import { change } from '../bars/password_change.ts';

const { httpUrl, account, ids } = workerData as { httpUrl: string; account: TestAccount; ids: string[] };
parentPort!.postMessage(await change(httpUrl, account, ids));
process.exit();
