/** A client that changes its password, in a thread of its own: what it computes is not the load's. */
import { constants, setPriority } from 'node:os';
import { parentPort, workerData } from 'node:worker_threads';
import type { TestAccount } from '../../test/support/raw_client.ts';
import { change } from '../bars/password_change.ts';

// In life it has a machine of its own: here it takes what the two cores have left. Linux lowers this thread alone.
setPriority(constants.priority.PRIORITY_LOW);

const { httpUrl, account, ids } = workerData as { httpUrl: string; account: TestAccount; ids: string[] };
parentPort!.postMessage(await change(httpUrl, account, ids));
process.exit();
