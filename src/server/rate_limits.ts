/**
 * How often the public RPCs may be called: handshakes and failed log-ins by network, failed log-ins by name. A name that is
 * attacked from many networks slows networks from which its owner has never logged in, and no others. Counted in the
 * database, for all replicas; a name that nobody has costs and answers the same. docs/adr/0008-rate-limits.md has the reasons.
 */
import type { BatchStatement, Executor } from '../database/database.ts';
import {
  COUNT_FAILURE,
  COUNT_HANDSHAKE,
  READ_FAILURES,
  REMEMBER_NETWORK,
} from '../database/rate_statements.ts';
import type { ServerKeys } from '../database/server_keys.ts';
import { DatabaseFault } from '../database/sqlstate.ts';
import { networkOf } from './client_address.ts';
import { tooManyRequests } from './errors.ts';
import { OpenCounts } from './open_counts.ts';

/** Handshakes of a network in a minute: registrations and starts of a log-in. */
export const HANDSHAKES_PER_NETWORK = 300;

/**
 * Failed log-ins of a network in a minute, whatever the names: a proof for an attempt that nobody began costs the server as
 * much as any other.
 */
export const FAILURES_PER_NETWORK = 300;

/** Failed log-ins of a name from one network in a minute. */
export const FAILURES_PER_NAME_AND_NETWORK = 30;

/** Failed log-ins of a name in a minute from all networks, above which networks that the name does not know wait. */
export const FAILURES_PER_NAME = 300;

/** What part of the queue of log-in arithmetic one network may take up, in each process. */
const QUEUE_SHARE = 1 / 4;

/** What public calls ask before they work. */
export interface RateLimits {
  /** Runs a step of a log-in. Throws RQS03 where the network has too many under way: they would keep others out. */
  inTurn<T>(address: string, step: () => Promise<T>): Promise<T>;
  /** Counts a handshake. Throws RQS03 when there were too many. `lookup`: 32 bytes of a name. */
  beginHandshake(address: string, lookup: Uint8Array): Promise<void>;
  /**
   * Throws RQS03 when there were too many failures. `within`: the transaction that asks. It must not wait for a second
   * connection: who waits for its locks may have them all.
   */
  beforeProof(address: string, lookup: Uint8Array, within?: Executor): Promise<void>;
  failed(address: string, lookup: Uint8Array): Promise<void>;
  /** What the transaction that opens a session runs after it: the account has logged in from there. */
  succeeded(address: string, lookup: Uint8Array, sessionId: string): readonly BatchStatement[];
}

/** None: for tests and benchmarks. */
export const NO_RATE_LIMITS: RateLimits = {
  inTurn: (_address, step) => step(),
  beginHandshake: async () => {},
  beforeProof: async () => {},
  failed: async () => {},
  succeeded: () => [],
};

interface FailureRow {
  readonly seconds_left: number;
  readonly failures_of_network: number;
  readonly failures_of_name_and_network: number;
  readonly failures_of_name: number;
  readonly known_network: boolean;
}

/** Limits that are counted in the database, for all replicas. Throws RQS03 (RpcFailure), and nothing where the database does not count. */
export class DatabaseRateLimits implements RateLimits {
  readonly #database: Executor;
  readonly #keys: Pick<ServerKeys, 'rateKey'>;
  readonly #mostUnderWay: number;
  /** Steps of log-ins, by network. */
  readonly #underWay = new OpenCounts();

  /** `database`: commits need not wait for the disk. `queueLimit`: steps of log-ins that may wait for a thread. */
  constructor(database: Executor, keys: Pick<ServerKeys, 'rateKey'>, queueLimit: number) {
    this.#database = database;
    this.#keys = keys;
    this.#mostUnderWay = Math.ceil(queueLimit * QUEUE_SHARE);
  }

  async inTurn<T>(address: string, step: () => Promise<T>): Promise<T> {
    const network = networkOf(address);
    if (this.#underWay.of(network) >= this.#mostUnderWay) throw tooManyRequests(1);
    this.#underWay.add(network, 1);
    try {
      return await step();
    } finally {
      this.#underWay.add(network, -1);
    }
  }

  async beginHandshake(address: string, lookup: Uint8Array): Promise<void> {
    const network = networkOf(address);
    const row = await this.#ask(COUNT_HANDSHAKE, [
      ...this.#keysOf(network, lookup),
      this.#keys.rateKey('network', network),
    ]);
    if (row === undefined) return;
    if ((row.handshakes as number) > HANDSHAKES_PER_NETWORK)
      throw tooManyRequests(row.seconds_left as number);
    refuseFailures(row as unknown as FailureRow);
  }

  async beforeProof(address: string, lookup: Uint8Array, within?: Executor): Promise<void> {
    const keys = this.#keysOf(networkOf(address), lookup);
    const row =
      within === undefined
        ? await this.#ask(READ_FAILURES, keys)
        : (await within.execute(READ_FAILURES, keys)).rows[0];
    if (row !== undefined) refuseFailures(row as unknown as FailureRow);
  }

  async failed(address: string, lookup: Uint8Array): Promise<void> {
    const [ofNameAndNetwork, ofName, , ofNetwork] = this.#keysOf(networkOf(address), lookup);
    await this.#ask(COUNT_FAILURE, [ofNameAndNetwork, ofName, ofNetwork]);
  }

  succeeded(address: string, lookup: Uint8Array, sessionId: string): readonly BatchStatement[] {
    const key = this.#keys.rateKey('known', lookup, networkOf(address));
    return [{ text: REMEMBER_NETWORK, values: [key, sessionId] }];
  }

  #keysOf(network: string, lookup: Uint8Array): [Buffer, Buffer, Buffer, Buffer] {
    return [
      this.#keys.rateKey('name and network', lookup, network),
      this.#keys.rateKey('name', lookup),
      this.#keys.rateKey('known', lookup, network),
      this.#keys.rateKey('failures of network', network),
    ];
  }

  /** The row; none where the database does not count: what follows needs it more, and says so. */
  async #ask(
    statement: string,
    parameters: readonly unknown[],
  ): Promise<Record<string, unknown> | undefined> {
    try {
      return (await this.#database.execute(statement, parameters)).rows[0];
    } catch (error) {
      if (error instanceof DatabaseFault) return undefined;
      throw error;
    }
  }
}

function refuseFailures(row: FailureRow): void {
  const tooMany =
    row.failures_of_network >= FAILURES_PER_NETWORK ||
    row.failures_of_name_and_network >= FAILURES_PER_NAME_AND_NETWORK ||
    (row.failures_of_name >= FAILURES_PER_NAME && !row.known_network);
  if (tooMany) throw tooManyRequests(row.seconds_left);
}
