/** UserService: making, renaming and ending accounts. */
import { LockMode, raw } from '@mikro-orm/core';
import type { EntityManager } from '@mikro-orm/postgresql';
import type {
  ChangeUsernamePayload,
  RegisterUserRequest,
  UserService,
} from '../../gen/passmanager/user/v1/user_service_pb.ts';
import { recordEvent } from '../database/audit_log.ts';
import type { Database, Row, Transaction } from '../database/database.ts';
import { Invite, User } from '../database/entities/index.ts';
import { inviteHash } from '../database/invites.ts';
import type { ServerKeys } from '../database/server_keys.ts';
import { DatabaseFault } from '../database/sqlstate.ts';
import {
  CHANGE_USERNAME,
  COUNT_USERS,
  DELETE_ATTEMPTS,
  FIND_CREDENTIALS,
} from '../database/user_statements.ts';
import type { RandomBytes } from '../protocol/bytes.ts';
import { HISTORY_ID_BYTES } from '../protocol/sizes.ts';
import type { Registration } from './config.ts';
import { type CredentialRow, CredentialSealer, type Credentials } from './credentials.ts';
import { registrationRefused, tooManyRequests, usernameExists } from './errors.ts';
import type { HandlerOf, PublicCall } from './pipeline.ts';
import type { RateLimits } from './rate_limits.ts';
import type { RequestGate, SealedCall } from './request_gate.ts';
import type { RevisionFeed } from './revision_feed.ts';

/** The advisory lock of registrations where accounts are counted. */
const QUOTA_LOCK = 7_283_115_410n;

/** A method for each RPC; each runs one transaction. */
export class UserHandler implements HandlerOf<typeof UserService> {
  readonly #database: Database;
  readonly #gate: RequestGate;
  readonly #feed: RevisionFeed;
  readonly #keys: ServerKeys;
  readonly #credentials: CredentialSealer;
  readonly #registration: Registration;
  readonly #maxUsers: number | undefined;
  readonly #rateLimits: RateLimits;
  readonly #random: RandomBytes;

  constructor(parts: {
    database: Database;
    gate: RequestGate;
    feed: RevisionFeed;
    keys: ServerKeys;
    registration: Registration;
    /** None: as many as come. */
    maxUsers: number | undefined;
    rateLimits: RateLimits;
    random: RandomBytes;
  }) {
    this.#database = parts.database;
    this.#gate = parts.gate;
    this.#feed = parts.feed;
    this.#keys = parts.keys;
    this.#credentials = new CredentialSealer(parts.keys.sealer);
    this.#registration = parts.registration;
    this.#maxUsers = parts.maxUsers;
    this.#rateLimits = parts.rateLimits;
    this.#random = parts.random;
  }

  async registerUser(request: RegisterUserRequest, { clientAddress }: PublicCall) {
    const { usernameHash, inviteCode } = request;
    if (this.#registration === 'closed') throw registrationRefused();
    const credentials = { ...request, kdf: request.kdf! };
    const lookup = this.#keys.usernameLookup(usernameHash);
    await this.#rateLimits.beginHandshake(clientAddress, lookup);
    await this.#database.transaction(async (transaction) => {
      if (this.#registration === 'invite') await claimInvite(transaction.em, inviteCode, lookup);
      const id = await this.#insert(transaction.em, lookup, credentials);
      if (id !== undefined) {
        await recordEvent(transaction, 'account registered', id);
        await this.#refuseOneTooMany(transaction);
      } else {
        const { rows } = await transaction.execute(FIND_CREDENTIALS, [lookup]);
        if (!this.#holdsSame(rows[0], credentials)) throw usernameExists('username_hash');
      }
    });
    return { usernameHash };
  }

  /** The quota of the server; asked one after another, or two last ones would both fit. */
  async #refuseOneTooMany(transaction: Transaction): Promise<void> {
    if (this.#maxUsers === undefined) return;
    await transaction.execute('select pg_advisory_xact_lock($1)', [QUOTA_LOCK]);
    const { rows } = await transaction.execute(COUNT_USERS, [this.#maxUsers + 1]);
    if ((rows[0]!.users as number) > this.#maxUsers) throw tooManyRequests();
  }

  async changeUsername({ newUsernameHash }: ChangeUsernamePayload, call: SealedCall) {
    const lookup = this.#keys.usernameLookup(newUsernameHash);
    await this.#gate.transaction(call, async (transaction, account) => {
      try {
        // One's own name is a name like any other, and changes nothing but the log-ins that are under way.
        await transaction.execute(CHANGE_USERNAME, [account.id, lookup]);
      } catch (error) {
        if (error instanceof DatabaseFault && error.kind === 'unique')
          throw usernameExists('new_username_hash');
        throw error;
      }
      await transaction.execute(DELETE_ATTEMPTS, [account.id]);
      await recordEvent(transaction, 'username changed', account.id);
    });
    return { usernameHash: newUsernameHash };
  }

  async deleteUser(_payload: unknown, call: SealedCall) {
    await this.#gate.transaction(call, async (transaction, { id }) => {
      await transaction.em.nativeDelete(User, { id });
      await recordEvent(transaction, 'account deleted', id);
    });
    this.#feed.touch(call.session.userId);
    return {};
  }

  /** The id of the new account; undefined when the name is taken. */
  async #insert(
    em: EntityManager,
    usernameLookup: Buffer,
    credentials: Credentials,
  ): Promise<string | undefined> {
    const id = crypto.randomUUID();
    const [srpSalt, srpVerifier, masterKeySalt, encryptedVaultHeader] = this.#credentials.seal(
      'users',
      id,
      '',
      credentials,
    ) as [Buffer, Buffer, Buffer, Buffer];
    const { algorithm, memoryKib, iterations, parallelism } = credentials.kdf;
    const { affectedRows } = await em
      .createQueryBuilder(User)
      .insert({
        id,
        usernameLookup,
        historyId: Buffer.from(this.#random(HISTORY_ID_BYTES)),
        srpSalt,
        srpVerifier,
        masterKeySalt,
        encryptedVaultHeader,
        kdfAlgorithm: algorithm,
        kdfMemoryKib: memoryKib,
        kdfIterations: iterations,
        kdfParallelism: parallelism,
      })
      .onConflict('usernameLookup')
      .ignore()
      .execute('run');
    return affectedRows > 0 ? id : undefined;
  }

  #holdsSame(row: Row | undefined, credentials: Credentials): boolean {
    if (row === undefined) return false;
    const stored = this.#credentials.open('users', row.id as string, '', row as CredentialRow);
    return this.#credentials.equal(stored, credentials);
  }
}

/** Takes an invite for a name. One that this very name has used passes again; rolled back with the registration. */
async function claimInvite(em: EntityManager, inviteCode: string, usernameLookup: Buffer): Promise<void> {
  const codeHash = inviteHash(inviteCode);
  const invite = await em.findOne(
    Invite,
    { codeHash, $or: [{ usedBy: usernameLookup }, { usedBy: null, ...notExpired() }] },
    { lockMode: LockMode.PESSIMISTIC_WRITE },
  );
  if (invite === null) throw registrationRefused();
  if (invite.usedBy !== null) return;
  await em.nativeUpdate(Invite, { codeHash }, { usedBy: usernameLookup, usedAt: raw('clock_timestamp()') });
}

/** By the database's clock. */
const notExpired = () => ({ $or: [{ expiresAt: null }, { expiresAt: { $gt: raw('clock_timestamp()') } }] });
