/**
 * Lets a sealed request through to the database at most once: the session lives, the request number is new and is spent
 * in the transaction of the work, and no password change stands in the way.
 */
import { Access } from '../../gen/passmanager/common/v1/access_pb.ts';
import type { Database, Row, Transaction } from '../database/database.ts';
import { ACCOUNT_REVISION } from '../database/entry_statements.ts';
import {
  type GatedRead,
  HAS_COMMITTED,
  LOCK_ACCOUNT,
  RENEW_CHANGE,
  SESSION_WINDOW,
  SESSIONS_HIGHEST,
  SPEND_IN_TRANSACTION,
  WRITE_UNDONE,
} from '../database/gate_statements.ts';
import { DatabaseFault, type FaultKind } from '../database/sqlstate.ts';
import { REPLAY_WINDOW_NUMBERS } from '../protocol/sizes.ts';
import {
  notDecrypted,
  outcomeUnknown,
  passwordChangeInProgress,
  RpcFailure,
  requestNumberNotZero,
  temporaryOutage,
  toFailure,
} from './errors.ts';
import { acceptNumber, isReplay, mergeWindows, type ReplayWindow, wasAccepted } from './replay_window.ts';
import type { CallContext } from './rpc.ts';
import { SESSION_KIND_PASSWORD_CHANGE, type SessionKeySet } from './session_keys.ts';

/** A sealed request that was opened. Handlers pass it on to the gate and look at its session and user. */
export class SealedCall {
  readonly session: SessionKeySet;
  readonly requestNumber: bigint;
  readonly access: Access;
  /** The full path of the RPC. */
  readonly path: string;
  readonly #context: CallContext;
  /** Whether the number is spent for good: from then on every failure is sealed. Set by the gate alone. */
  spent = false;
  /** Whether a write was sent whose answer got lost: a number that is refused then may be its own. Set by the gate alone. */
  unanswered = false;

  constructor(options: {
    session: SessionKeySet;
    requestNumber: bigint;
    access: Access;
    path: string;
    context: CallContext;
  }) {
    this.session = options.session;
    this.requestNumber = options.requestNumber;
    this.access = options.access;
    this.path = options.path;
    this.#context = options.context;
  }

  /** Made when asked for: few calls need it. */
  get signal(): AbortSignal {
    return this.#context.signal;
  }
}

/** The locked row of the user, as a transaction decides by it. */
export interface Account {
  readonly id: string;
  readonly revision: bigint;
  readonly history_id: Buffer;
  readonly entry_count: number;
  /** Null: the server's limit. */
  readonly max_entries: number | null;
  readonly credential_generation: bigint;
  readonly change_session_id: string | null;
  readonly change_begun_by: string | null;
  readonly change_opened_at: Date | null;
  readonly change_expires_at: Date | null;
  readonly change_remaining_entries: number | null;
  /** A password change is open and has not expired. */
  readonly change_open: boolean;
}

/** How a transaction ends when it commits, and PostgreSQL's name of it. */
type Outcome<T> = { readonly transactionId: string } & (
  | { readonly value: T }
  | { readonly failure: RpcFailure }
);

interface GateRow extends Row {
  readonly gate_change_open: boolean;
}

/**
 * What the session may do with the RPC, decided by its access rule once the number is spent. Undefined: go on. `requestCount`:
 * how many it has spent; a read does not know, and no read wants the first.
 */
function refusal(call: SealedCall, changeOpen: boolean, requestCount?: bigint): RpcFailure | undefined {
  switch (call.access) {
    case Access.ANY_SESSION:
      return undefined;
    case Access.PASSWORD_CHANGE_SESSION:
      return call.session.kind === SESSION_KIND_PASSWORD_CHANGE ? undefined : passwordChangeInProgress();
    case Access.LOGIN_SESSION_FIRST_REQUEST:
      if (changeOpen) return passwordChangeInProgress();
      return call.requestNumber === 0n && requestCount === 1n ? undefined : requestNumberNotZero();
    default:
      return changeOpen ? passwordChangeInProgress() : undefined;
  }
}

/** Faults that undo the whole transaction, its number too: it runs again, or nothing was done. */
const UNDOES_ALL: ReadonlySet<FaultKind> = new Set([
  'outage',
  'lost',
  'conflict',
  'full',
  'timeout',
  'staleStatement',
]);

/** How many sessions may read while the database cannot write; about 200 bytes each. */
const MAX_DEGRADED_SESSIONS = 10_000;

/** The gate of one process. Throws RpcFailure, and DatabaseFault where the database undid the whole. */
export class RequestGate {
  readonly #database: Database;
  /** Windows of sessions that read while the database could not write; asked until its own windows cover them. */
  readonly #degradedWindows = new Map<string, ReplayWindow>();

  constructor(database: Database) {
    this.#database = database;
  }

  /** Spends the number of a stream, or of a request whose payload is refused. */
  async spend(call: SealedCall): Promise<void> {
    await this.read(call, ACCOUNT_REVISION, []);
  }

  /**
   * Runs a sealed read. Its rows; none when there is no result. Does not wait for the disk: what a crash can lose is
   * only that a read may be read again. While the database cannot write, reads go on with the window in memory. In the
   * session of a password change there is nothing to read by this: its number is spent, which renews the change.
   */
  async read(call: SealedCall, statement: GatedRead, parameters: readonly unknown[]): Promise<Row[]> {
    this.#refuseSeenWhileDegraded(call);
    if (call.session.kind === SESSION_KIND_PASSWORD_CHANGE) return this.transaction(call, async () => []);
    const values = this.#parameters(call, parameters);
    try {
      return this.#admitted(call, (await this.#database.reads.execute(statement.text, values)).rows);
    } catch (error) {
      if (!(error instanceof DatabaseFault)) throw error;
      if (error.kind === 'full') return this.#readDegraded(call, statement, values);
      if (error.kind === 'lost') return this.#readAgain(call, statement, values, error);
      throw error;
    }
  }

  /**
   * Runs a sealed write of one entry as one statement (gatedWrite). The entry's revision; undefined when it did nothing and
   * spent no number, or when its answer got lost: `transaction` is to decide then.
   */
  async write(
    call: SealedCall,
    statement: string,
    parameters: readonly unknown[],
  ): Promise<bigint | undefined> {
    this.#refuseSeenWhileDegraded(call);
    try {
      const { rows } = await this.#database.writes.execute(statement, this.#parameters(call, parameters));
      if (rows[0] === undefined) return undefined;
      call.spent = true;
      return rows[0].revision as bigint;
    } catch (error) {
      if (!(error instanceof DatabaseFault)) throw error;
      if (error.kind === 'lost') call.unanswered = true;
      else if (error.sqlState !== WRITE_UNDONE) throw error;
      return undefined;
    }
  }

  /**
   * Runs `work` in one transaction with the account locked and the number spent. When `work` throws, its effect is rolled
   * back and the number stays spent, unless the database undid the whole.
   */
  async transaction<T>(
    call: SealedCall,
    work: (transaction: Transaction, account: Account) => Promise<T>,
  ): Promise<T> {
    this.#refuseSeenWhileDegraded(call);
    let outcome: Outcome<T> | undefined;
    const attempt = (): Promise<void> =>
      this.#database.transaction(async (transaction) => {
        outcome = undefined;
        outcome = await this.#spendAndWork(call, transaction, work);
      });
    try {
      await attempt();
    } catch (error) {
      // The write that got no answer may be what has spent the number.
      if (call.unanswered) throw outcomeUnknown(error);
      if (!(error instanceof DatabaseFault) || error.kind !== 'lost') throw error;
      const before = outcome;
      try {
        await attempt();
      } catch (second) {
        if (!(second instanceof RpcFailure)) throw outcomeUnknown(second);
        // The number is refused now: the first attempt committed, or a copy of the request was there in the meantime.
        if (before === undefined || !(await this.#hasCommitted(before))) throw outcomeUnknown(error);
        outcome = before;
      }
    }
    call.spent = true;
    if (outcome === undefined) throw new Error('a committed transaction has an outcome');
    if ('failure' in outcome) throw outcome.failure;
    return outcome.value;
  }

  async #spendAndWork<T>(
    call: SealedCall,
    transaction: Transaction,
    work: (transaction: Transaction, account: Account) => Promise<T>,
  ): Promise<Outcome<T>> {
    const { sessionId, userId } = call.session;
    const account = await lockAccount(transaction, userId);
    if (account === undefined) throw notDecrypted();
    const { rows } = await transaction.execute(SPEND_IN_TRANSACTION, this.#parameters(call, []));
    const spent = rows[0] as { request_count: bigint; transaction_id: string } | undefined;
    if (spent === undefined) throw notDecrypted();
    const transactionId = spent.transaction_id;
    if (call.session.kind === SESSION_KIND_PASSWORD_CHANGE)
      await transaction.execute(RENEW_CHANGE, [userId, sessionId]);
    const refused = refusal(call, account.change_open, spent.request_count);
    if (refused !== undefined) return { transactionId, failure: refused };
    try {
      return { transactionId, value: await transaction.savepoint(() => work(transaction, account)) };
    } catch (error) {
      if (error instanceof DatabaseFault && UNDOES_ALL.has(error.kind)) throw error;
      return { transactionId, failure: toFailure(error) };
    }
  }

  /** Sessions whose window is kept in memory. */
  get degradedSessions(): number {
    return this.#degradedWindows.size;
  }

  /** Drops the windows in memory that nobody needs any more: their session is gone, or its stored window has moved past. */
  async forgetHealed(): Promise<void> {
    if (this.#degradedWindows.size === 0) return;
    const ids = [...this.#degradedWindows.keys()];
    const { rows } = await this.#database.reads.execute(SESSIONS_HIGHEST, [ids]);
    const stored = new Map(rows.map((row) => [row.id as string, row.highest_request_number as bigint]));
    for (const [id, { highest }] of this.#degradedWindows) {
      const storedHighest = stored.get(id);
      if (storedHighest === undefined || storedHighest >= highest + REPLAY_WINDOW_NUMBERS)
        this.#degradedWindows.delete(id);
    }
  }

  #parameters(call: SealedCall, parameters: readonly unknown[]): unknown[] {
    return [call.session.sessionId, call.session.userId, call.requestNumber, ...parameters];
  }

  /** The rows of an accepted request. Throws when it was not accepted or is not admitted. */
  #admitted(call: SealedCall, rows: readonly Row[]): Row[] {
    const gate = rows[0] as GateRow | undefined;
    if (gate === undefined) throw notDecrypted();
    call.spent = true;
    const refused = refusal(call, gate.gate_change_open);
    if (refused !== undefined) throw refused;
    return [...rows];
  }

  /** A read whose connection died: asked again, whether the first attempt spent the number or not. */
  async #readAgain(
    call: SealedCall,
    statement: GatedRead,
    values: unknown[],
    fault: DatabaseFault,
  ): Promise<Row[]> {
    try {
      return this.#admitted(call, (await this.#database.reads.execute(statement.text, values)).rows);
    } catch (error) {
      if (error instanceof RpcFailure && !call.spent && (await this.#wasSeen(call))) {
        return this.#admitted(call, (await this.#database.reads.execute(statement.unspentText, values)).rows);
      }
      if (error instanceof DatabaseFault) throw outcomeUnknown(fault);
      throw error;
    }
  }

  /** What PostgreSQL says of a transaction whose connection died. */
  async #hasCommitted({ transactionId }: { transactionId: string }): Promise<boolean> {
    return (await this.#askOfOutcome(HAS_COMMITTED, [transactionId]))!.committed === true;
  }

  /** Whether the session is there and has certainly seen the number. */
  async #wasSeen(call: SealedCall): Promise<boolean> {
    const window = await this.#storedWindow(call);
    return window !== undefined && wasAccepted(window, call.requestNumber);
  }

  async #storedWindow(call: SealedCall): Promise<ReplayWindow | undefined> {
    const { sessionId, userId } = call.session;
    const row = await this.#askOfOutcome(SESSION_WINDOW, [sessionId, userId]);
    if (row === undefined) return undefined;
    const { highest_request_number, request_window } = row as {
      highest_request_number: bigint;
      request_window: bigint;
    };
    return { highest: highest_request_number, window: BigInt.asUintN(64, request_window) };
  }

  /** The first row of a statement that is to tell what became of a call; where it fails, nobody knows. */
  async #askOfOutcome(text: string, values: readonly unknown[]): Promise<Row | undefined> {
    try {
      return (await this.#database.reads.execute(text, values)).rows[0];
    } catch (error) {
      throw error instanceof DatabaseFault ? outcomeUnknown(error) : error;
    }
  }

  /** A read of a database that cannot write: the session by a plain select, the window in memory. */
  async #readDegraded(call: SealedCall, statement: GatedRead, values: unknown[]): Promise<Row[]> {
    const { sessionId } = call.session;
    const stored = await this.#storedWindow(call);
    if (stored === undefined) throw notDecrypted();
    const { rows } = await this.#database.reads.execute(statement.unspentText, values);
    const known = this.#degradedWindows.get(sessionId);
    if (known === undefined && this.#degradedWindows.size >= MAX_DEGRADED_SESSIONS) throw temporaryOutage();
    const window = known === undefined ? stored : mergeWindows(known, stored);
    if (isReplay(window, call.requestNumber)) throw notDecrypted();
    const admitted = this.#admitted(call, rows);
    this.#degradedWindows.set(sessionId, acceptNumber(window, call.requestNumber));
    return admitted;
  }

  #refuseSeenWhileDegraded(call: SealedCall): void {
    if (this.#degradedWindows.size === 0) return;
    const window = this.#degradedWindows.get(call.session.sessionId);
    if (window !== undefined && isReplay(window, call.requestNumber)) throw notDecrypted();
  }
}

/** Locks the user's row in a statement of its own, so that all later ones see what was committed during the wait. */
async function lockAccount(transaction: Transaction, userId: string): Promise<Account | undefined> {
  return (await transaction.execute(LOCK_ACCOUNT, [userId])).rows[0] as Account | undefined;
}
