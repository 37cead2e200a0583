/** UserService: making, renaming and ending accounts. */
import { createHash } from 'node:crypto';
import type {
  ChangeUsernamePayload,
  RegisterUserRequest,
  UserService,
} from '../../gen/passmanager/user/v1/user_service_pb.ts';
import type { Database, Row, Transaction } from '../database/database.ts';
import type { ServerKeys } from '../database/server_keys.ts';
import { DatabaseFault } from '../database/sqlstate.ts';
import {
  CHANGE_USERNAME,
  CLAIM_INVITE,
  DELETE_ATTEMPTS,
  DELETE_USER,
  FIND_CREDENTIALS,
  INSERT_USER,
  LOCK_INVITE,
} from '../database/user_statements.ts';
import { type Credentials, CredentialSealer, type CredentialRow } from './credentials.ts';
import { registrationRefused, usernameExists } from './errors.ts';
import type { HandlerOf } from './pipeline.ts';
import type { RequestGate, SealedCall } from './request_gate.ts';
import type { RevisionFeed } from './revision_feed.ts';

/** Who may make an account: everybody, who has an invite, or nobody. */
export type Registration = 'open' | 'invite' | 'closed';

export class UserHandler implements HandlerOf<typeof UserService> {
  readonly #database: Database;
  readonly #gate: RequestGate;
  readonly #feed: RevisionFeed;
  readonly #keys: ServerKeys;
  readonly #credentials: CredentialSealer;
  readonly #registration: Registration;
  readonly #random: (bytes: number) => Uint8Array;

  constructor(parts: {
    database: Database;
    gate: RequestGate;
    feed: RevisionFeed;
    keys: ServerKeys;
    registration: Registration;
    random: (bytes: number) => Uint8Array;
  }) {
    this.#database = parts.database;
    this.#gate = parts.gate;
    this.#feed = parts.feed;
    this.#keys = parts.keys;
    this.#credentials = new CredentialSealer(parts.keys.sealer);
    this.#registration = parts.registration;
    this.#random = parts.random;
  }

  async registerUser(request: RegisterUserRequest) {
    const { usernameHash, inviteCode } = request;
    if (this.#registration === 'closed') throw registrationRefused();
    const credentials = { ...request, kdf: request.kdf! };
    const lookup = this.#keys.usernameLookup(usernameHash);
    await this.#database.transaction(async (transaction) => {
      if (this.#registration === 'invite') await claimInvite(transaction, inviteCode, lookup);
      if (!(await this.#insert(transaction, lookup, credentials))) {
        const { rows } = await transaction.execute(FIND_CREDENTIALS, [lookup]);
        if (!this.#holdsSame(rows[0], credentials)) throw usernameExists('username_hash');
      }
    });
    return { usernameHash };
  }

  async changeUsername({ newUsernameHash }: ChangeUsernamePayload, call: SealedCall) {
    const lookup = this.#keys.usernameLookup(newUsernameHash);
    await this.#gate.transaction(call, async (transaction, account) => {
      try {
        // One's own name is a name like any other, and changes nothing but the log-ins that are under way.
        await transaction.execute(CHANGE_USERNAME, [account.id, lookup]);
      } catch (error) {
        if (error instanceof DatabaseFault && error.kind === 'unique') throw usernameExists('new_username_hash');
        throw error;
      }
      await transaction.execute(DELETE_ATTEMPTS, [account.id]);
    });
    return { usernameHash: newUsernameHash };
  }

  async deleteUser(_payload: unknown, call: SealedCall) {
    await this.#gate.transaction(call, (transaction, account) => transaction.execute(DELETE_USER, [account.id]));
    this.#feed.touch(call.session.userId);
    return {};
  }

  /** False when the name is taken. */
  async #insert(transaction: Transaction, lookup: Buffer, credentials: Credentials): Promise<boolean> {
    const userId = crypto.randomUUID();
    const sealed = this.#credentials.seal('users', userId, '', credentials);
    const { rows } = await transaction.execute(INSERT_USER, [userId, lookup, this.#random(16), ...sealed]);
    return rows.length > 0;
  }

  #holdsSame(row: Row | undefined, credentials: Credentials): boolean {
    if (row === undefined) return false;
    return this.#credentials.equal(this.#credentials.open('users', row.id as string, '', row as CredentialRow), credentials);
  }
}

/** Takes an invite for a name. One that this very name has used passes again; rolled back with the registration. */
async function claimInvite(transaction: Transaction, inviteCode: string, lookup: Buffer): Promise<void> {
  const codeHash = createHash('sha256').update(inviteCode).digest();
  const { rows } = await transaction.execute(LOCK_INVITE, [codeHash]);
  const invite = rows[0] as { used_by: Buffer | null; expired: boolean } | undefined;
  if (invite === undefined) throw registrationRefused();
  if (invite.used_by !== null) {
    if (!invite.used_by.equals(lookup)) throw registrationRefused();
    return;
  }
  if (invite.expired) throw registrationRefused();
  await transaction.execute(CLAIM_INVITE, [codeHash, lookup]);
}
