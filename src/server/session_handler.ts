/** SessionService: SRP-6a log-ins (docs/authentication.md) and the sessions that they open. */
import { create, toBinary } from '@bufbuild/protobuf';
import { timestampFromDate } from '@bufbuild/protobuf/wkt';
import { SessionKind } from '../../gen/passmanager/session/v1/session_pb.ts';
import {
  type AuthenticateSessionRequest,
  AuthenticateSessionResultSchema,
  type DeleteSessionPayload,
  type SessionService,
  type StartSessionRequest,
} from '../../gen/passmanager/session/v1/session_service_pb.ts';
import { sealSync } from '../database/aead.ts';
import type { BatchStatement, Database } from '../database/database.ts';
import { UNLIMITED_REQUESTS } from '../database/gate_statements.ts';
import { sessionRowId } from '../database/sealed_columns.ts';
import type { ServerKeys } from '../database/server_keys.ts';
import {
  CONSUME_LOGIN_ATTEMPT,
  DELETE_ALL_SESSIONS,
  DELETE_SESSION,
  FIND_LOGIN,
  INSERT_LOGIN_ATTEMPT,
  LIST_SESSIONS,
  LOCK_FOR_LOGIN,
  OPEN_SESSION,
} from '../database/user_statements.ts';
import { loginResultAad } from '../protocol/aad.ts';
import type { RandomBytes } from '../protocol/bytes.ts';
import { loginContext, PROTOCOL_VERSION } from '../protocol/handshake.ts';
import { privateExponent } from '../protocol/srp.ts';
import { CredentialSealer, type LoginCredentialRow, type LoginCredentials } from './credentials.ts';
import type { Decoys } from './decoys.ts';
import { fieldNotFound, notDecrypted } from './errors.ts';
import type { HandlerOf, PublicCall } from './pipeline.ts';
import type { RateLimits } from './rate_limits.ts';
import type { RequestGate, SealedCall } from './request_gate.ts';
import type { RevisionFeed } from './revision_feed.ts';
import { SESSION_KIND_LOGIN, type SessionKeys, sessionKeySet } from './session_keys.ts';
import type { EphemeralStock } from './srp/ephemeral_stock.ts';
import type { SrpPool } from './srp/srp_pool.ts';

/** The limits of sessions. Undefined caps: none. */
export interface SessionLimits {
  readonly maxSessionsPerUser: number;
  readonly defaultMaximumRequests: number;
  readonly defaultExpirySeconds: number;
  readonly capMaximumRequests: number | undefined;
  readonly capExpirySeconds: number | undefined;
}

interface LoginRow extends LoginCredentialRow {
  /** Null where there is no such user; the rest is the decoy's then. */
  readonly id: string | null;
  readonly credential_generation: bigint;
}

interface AttemptRow extends LoginRow {
  readonly username_lookup: Buffer;
  readonly attempt_generation: bigint;
  readonly client_protocol: bigint;
  readonly server_protocol: number;
  readonly eph_private_b: Buffer;
  readonly eph_public_b: Buffer;
  readonly alive: boolean;
}

/** A method for each RPC. A log-in holds no connection to the database while its arithmetic runs. */
export class SessionHandler implements HandlerOf<typeof SessionService> {
  readonly #database: Database;
  readonly #gate: RequestGate;
  readonly #feed: RevisionFeed;
  readonly #keys: ServerKeys;
  readonly #sessionKeys: SessionKeys;
  readonly #credentials: CredentialSealer;
  readonly #decoys: Decoys;
  readonly #ephemerals: EphemeralStock;
  readonly #srp: SrpPool;
  readonly #rateLimits: RateLimits;
  readonly #limits: SessionLimits;
  readonly #random: RandomBytes;

  constructor(parts: {
    database: Database;
    gate: RequestGate;
    feed: RevisionFeed;
    keys: ServerKeys;
    sessionKeys: SessionKeys;
    decoys: Decoys;
    ephemerals: EphemeralStock;
    srp: SrpPool;
    rateLimits: RateLimits;
    limits: SessionLimits;
    random: RandomBytes;
  }) {
    this.#database = parts.database;
    this.#gate = parts.gate;
    this.#feed = parts.feed;
    this.#keys = parts.keys;
    this.#sessionKeys = parts.sessionKeys;
    this.#credentials = new CredentialSealer(parts.keys.sealer);
    this.#decoys = parts.decoys;
    this.#ephemerals = parts.ephemerals;
    this.#srp = parts.srp;
    this.#rateLimits = parts.rateLimits;
    this.#limits = parts.limits;
    this.#random = parts.random;
  }

  startSession(request: StartSessionRequest, { clientAddress }: PublicCall) {
    return this.#rateLimits.inTurn(clientAddress, () => this.#start(request, clientAddress));
  }

  authenticateSession(request: AuthenticateSessionRequest, { clientAddress }: PublicCall) {
    return this.#rateLimits.inTurn(clientAddress, () => this.#authenticate(request, clientAddress));
  }

  /** The same work for a known and an unknown name: both make decoy salts, fetch and open one row, and keep an attempt. */
  async #start({ usernameHash, clientProtocol }: StartSessionRequest, clientAddress: string) {
    const lookup = this.#keys.usernameLookup(usernameHash);
    await this.#rateLimits.beginHandshake(clientAddress, lookup);
    const { rows } = await this.#database.reads.execute(FIND_LOGIN, [lookup, ...this.#decoys.columns]);
    const user = rows[0] as LoginRow;
    const { srpVerifier, kdf, ...opened } = this.#openedOrDecoy(user);
    const decoySalts = this.#decoys.salts(usernameHash);
    const { srpSalt, masterKeySalt } = user.id === null ? decoySalts : opened;

    const { privateB, publicB } = await this.#ephemerals.take(srpVerifier);
    const ephemeralId = crypto.randomUUID();
    const sealedB = this.#keys.sealer.seal('auth_ephemerals', 'eph_private_b', ephemeralId, privateB);
    privateB.fill(0);
    await this.#database.reads.execute(INSERT_LOGIN_ATTEMPT, [
      ephemeralId,
      lookup,
      user.credential_generation,
      clientProtocol,
      PROTOCOL_VERSION,
      sealedB,
      publicB,
    ]);
    return {
      ephemeralId,
      ephPublicB: publicB,
      srpSalt,
      masterKeySalt,
      kdf,
      serverProtocol: PROTOCOL_VERSION,
    };
  }

  /** The attempt is consumed first, right or wrong; whatever is wrong costs the same arithmetic and answers the same. */
  async #authenticate(request: AuthenticateSessionRequest, clientAddress: string) {
    const { usernameHash, ephemeralId, ephPublicA, clientProofM1, maximumRequests, expirySeconds } = request;
    const lookup = this.#keys.usernameLookup(usernameHash);
    await this.#rateLimits.beforeProof(clientAddress, lookup);
    const { rows } = await this.#database.writes.execute(CONSUME_LOGIN_ATTEMPT, [
      ephemeralId,
      ...this.#decoys.columns,
    ]);
    const attempt = rows[0] as AttemptRow | undefined;
    const genuine =
      attempt?.alive === true &&
      attempt.id !== null &&
      attempt.username_lookup.equals(lookup) &&
      attempt.credential_generation === attempt.attempt_generation;
    const credentials = this.#openedOrDecoy(genuine ? attempt : undefined);
    const privateB =
      attempt === undefined
        ? privateExponent(this.#random)
        : this.#keys.sealer.open('auth_ephemerals', 'eph_private_b', ephemeralId, attempt.eph_private_b);
    const context = loginContext({
      usernameHash,
      srpSalt: credentials.srpSalt,
      masterKeySalt: credentials.masterKeySalt,
      kdf: credentials.kdf,
      maximumRequests,
      expirySeconds,
      clientProtocol: Number(attempt?.client_protocol ?? PROTOCOL_VERSION),
      serverProtocol: attempt?.server_protocol ?? PROTOCOL_VERSION,
    });
    const proof = await this.#srp
      .verifyClientProof({
        publicA: ephPublicA,
        verifier: credentials.srpVerifier,
        privateB,
        publicB: attempt?.eph_public_b ?? this.#decoys.publicB,
        srpSalt: credentials.srpSalt,
        context,
        clientProof: clientProofM1,
      })
      .finally(() => privateB.fill(0));
    if (!genuine || !proof.ok) {
      await this.#rateLimits.failed(clientAddress, lookup);
      throw notDecrypted();
    }

    const sessionId = crypto.randomUUID();
    const maximum = inForce(
      maximumRequests,
      this.#limits.defaultMaximumRequests,
      this.#limits.capMaximumRequests,
    );
    const expiry = inForce(expirySeconds, this.#limits.defaultExpirySeconds, this.#limits.capExpirySeconds);
    const session = { sessionId, userId: attempt.id!, kind: SESSION_KIND_LOGIN };
    const encryptedVaultHeader = await this.#open(
      session,
      attempt.attempt_generation,
      proof.sessionKey,
      maximum,
      expiry,
      this.#rateLimits.succeeded(clientAddress, lookup, sessionId),
    );
    const { serverToClient } = sessionKeySet(session, proof.sessionKey);
    proof.sessionKey.fill(0);
    const result = create(AuthenticateSessionResultSchema, {
      maximumRequests: maximum,
      expirySeconds: expiry,
      encryptedVaultHeader,
    });
    const plaintext = toBinary(AuthenticateSessionResultSchema, result);
    return {
      sessionId,
      serverProofM2: proof.serverProof,
      encryptedResult: sealSync(serverToClient, plaintext, loginResultAad(sessionId)),
    };
  }

  async listSessions(_payload: unknown, call: SealedCall) {
    const rows = await this.#gate.read(call, LIST_SESSIONS, []);
    return {
      sessions: rows
        .filter((row) => row.id !== null)
        .map((row) => ({
          sessionId: row.id as string,
          kind: SessionKind.LOGIN,
          createTime: timestampFromDate(row.created_at as Date),
          lastUsedTime: timestampFromDate(row.last_used_at as Date),
          ...(row.expires_at === null ? {} : { expiryTime: timestampFromDate(row.expires_at as Date) }),
          remainingRequests: row.remaining_requests as bigint,
          current: row.id === call.session.sessionId,
        })),
    };
  }

  async deleteSession({ sessionId }: DeleteSessionPayload, call: SealedCall) {
    await this.#gate.transaction(call, async (transaction, account) => {
      const { rows } = await transaction.execute(DELETE_SESSION, [
        account.id,
        sessionId,
        call.session.sessionId,
      ]);
      if (rows.length === 0) throw fieldNotFound('session_id');
    });
    this.#sessionKeys.forget(sessionId);
    this.#feed.touch(call.session.userId);
    return { sessionId };
  }

  async deleteAllSessions(_payload: unknown, call: SealedCall) {
    const ended = await this.#gate.transaction(call, async (transaction, account) => {
      const { rows } = await transaction.execute(DELETE_ALL_SESSIONS, [account.id]);
      return rows;
    });
    for (const row of ended) this.#sessionKeys.forget(row.id as string);
    this.#feed.touch(call.session.userId);
    return {};
  }

  /** The user's credentials, or nobody's where there is no user: one row is opened either way. */
  #openedOrDecoy(user: LoginRow | undefined): LoginCredentials {
    const id = user?.id ?? null;
    const [rowId, row] = id === null ? [this.#decoys.rowId, this.#decoys.row] : [id, user!];
    return this.#credentials.openLogin('users', rowId, '', row);
  }

  /**
   * Inserts the session unless the credentials changed since the attempt began; decided under the account's lock. The
   * encrypted vault header.
   */
  async #open(
    session: { sessionId: string; userId: string; kind: number },
    generation: bigint,
    sessionKey: Uint8Array,
    maximumRequests: bigint,
    expirySeconds: bigint,
    alongside: readonly BatchStatement[],
  ): Promise<Uint8Array> {
    const { sessionId, userId } = session;
    const sealed = this.#keys.sealer.seal('login_sessions', 'session_key', sessionRowId(session), sessionKey);
    const [locked, opened] = await this.#database.batch([
      { text: LOCK_FOR_LOGIN, values: [userId] },
      {
        text: OPEN_SESSION,
        values: [
          sessionId,
          userId,
          sealed,
          maximumRequests === -1n ? null : maximumRequests,
          expirySeconds === -1n ? null : expirySeconds,
          generation,
          this.#limits.maxSessionsPerUser - 1,
        ],
      },
      ...alongside,
    ]);
    const [account] = locked!.rows;
    if (account?.credential_generation !== generation) throw notDecrypted();
    const evicted = opened!.rows;
    for (const row of evicted) this.#sessionKeys.forget(row.id as string);
    if (evicted.length > 0) this.#feed.touch(userId);
    return this.#credentials.openHeader('users', userId, '', account.encrypted_vault_header as Buffer);
  }
}

/** The limit in force for what a client asked: 0 is the default, -1 unlimited, more than 2^32 counts as 2^32. */
export function inForce(asked: bigint, byDefault: number, cap: number | undefined): bigint {
  const wanted = asked === 0n ? BigInt(byDefault) : asked;
  const bounded = wanted > UNLIMITED_REQUESTS ? UNLIMITED_REQUESTS : wanted;
  if (cap === undefined) return bounded;
  return bounded === -1n || bounded > BigInt(cap) ? BigInt(cap) : bounded;
}
