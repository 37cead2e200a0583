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
import type { Database, Row } from '../database/database.ts';
import { UNLIMITED_REQUESTS } from '../database/gate_statements.ts';
import type { ServerKeys } from '../database/server_keys.ts';
import { DatabaseFault } from '../database/sqlstate.ts';
import {
  CONSUME_LOGIN_ATTEMPT,
  DELETE_ALL_SESSIONS,
  DELETE_SESSION,
  EVICT_SESSIONS,
  FIND_CREDENTIALS,
  INSERT_LOGIN_ATTEMPT,
  INSERT_SESSION,
  LIST_SESSIONS,
  LOCK_GENERATION,
} from '../database/user_statements.ts';
import { loginResultAad } from '../protocol/aad.ts';
import { loginContext, PROTOCOL_VERSION } from '../protocol/handshake.ts';
import { privateExponent } from '../protocol/srp.ts';
import { type CredentialRow, CredentialSealer, type Credentials } from './credentials.ts';
import type { Decoys } from './decoys.ts';
import { fieldNotFound, notDecrypted } from './errors.ts';
import type { HandlerOf } from './pipeline.ts';
import type { RequestGate, SealedCall } from './request_gate.ts';
import type { RevisionFeed } from './revision_feed.ts';
import { SESSION_KIND_LOGIN, type SessionKeys, sessionKeySet } from './session_keys.ts';
import type { SrpPool } from './srp/srp_pool.ts';

/** The limits of sessions. Undefined caps: none. */
export interface SessionLimits {
  readonly maxSessionsPerUser: number;
  readonly defaultMaximumRequests: number;
  readonly defaultExpirySeconds: number;
  readonly capMaximumRequests: number | undefined;
  readonly capExpirySeconds: number | undefined;
}

interface AttemptRow extends Row {
  readonly username_lookup: Buffer;
  readonly attempt_generation: bigint;
  readonly client_protocol: bigint;
  readonly server_protocol: number;
  readonly eph_private_b: Buffer;
  readonly eph_public_b: Buffer;
  readonly alive: boolean;
  readonly id: string | null;
  readonly credential_generation: bigint;
}

export class SessionHandler implements HandlerOf<typeof SessionService> {
  readonly #database: Database;
  readonly #gate: RequestGate;
  readonly #feed: RevisionFeed;
  readonly #keys: ServerKeys;
  readonly #sessionKeys: SessionKeys;
  readonly #credentials: CredentialSealer;
  readonly #decoys: Decoys;
  readonly #srp: SrpPool;
  readonly #limits: SessionLimits;
  readonly #random: (bytes: number) => Uint8Array;

  constructor(parts: {
    database: Database;
    gate: RequestGate;
    feed: RevisionFeed;
    keys: ServerKeys;
    sessionKeys: SessionKeys;
    decoys: Decoys;
    srp: SrpPool;
    limits: SessionLimits;
    random: (bytes: number) => Uint8Array;
  }) {
    this.#database = parts.database;
    this.#gate = parts.gate;
    this.#feed = parts.feed;
    this.#keys = parts.keys;
    this.#sessionKeys = parts.sessionKeys;
    this.#credentials = new CredentialSealer(parts.keys.sealer);
    this.#decoys = parts.decoys;
    this.#srp = parts.srp;
    this.#limits = parts.limits;
    this.#random = parts.random;
  }

  /** The same work for a known and an unknown name: both make the decoy, open one row and keep an attempt. */
  async startSession({ usernameHash, clientProtocol }: StartSessionRequest) {
    const lookup = this.#keys.usernameLookup(usernameHash);
    const { rows } = await this.#database.reads.execute(FIND_CREDENTIALS, [lookup]);
    const user = rows[0] as (CredentialRow & { id: string; credential_generation: bigint }) | undefined;
    const decoy = this.#decoys.credentials(usernameHash);
    const stored = user ?? this.#decoys.row;
    const opened = this.#credentials.open('users', user?.id ?? this.#decoys.rowId, '', stored);
    const { srpSalt, srpVerifier, masterKeySalt, kdf } = user === undefined ? decoy : opened;

    const privateB = privateExponent(this.#random);
    const { publicB } = await this.#srp.startHandshake({ verifier: srpVerifier, privateB });
    const ephemeralId = crypto.randomUUID();
    const sealedB = this.#keys.sealer.seal('auth_ephemerals', 'eph_private_b', ephemeralId, privateB);
    const keep = (userId: string | null) =>
      this.#database.reads.execute(INSERT_LOGIN_ATTEMPT, [
        ephemeralId,
        userId,
        lookup,
        user?.credential_generation ?? 0n,
        clientProtocol,
        PROTOCOL_VERSION,
        sealedB,
        publicB,
      ]);
    await keep(user?.id ?? null).catch((error: unknown) => {
      // The account was deleted meanwhile: the attempt is one of an unknown name, which fails later.
      if (error instanceof DatabaseFault && error.kind === 'foreignKey') return keep(null);
      throw error;
    });
    privateB.fill(0);
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
  async authenticateSession(request: AuthenticateSessionRequest) {
    const { usernameHash, ephemeralId, ephPublicA, clientProofM1, maximumRequests, expirySeconds } = request;
    const { rows } = await this.#database.writes.execute(CONSUME_LOGIN_ATTEMPT, [ephemeralId]);
    const attempt = rows[0] as AttemptRow | undefined;
    const lookup = this.#keys.usernameLookup(usernameHash);
    const genuine =
      attempt?.alive === true &&
      attempt.id !== null &&
      attempt.username_lookup.equals(lookup) &&
      attempt.credential_generation === attempt.attempt_generation;
    const credentials: Credentials = genuine
      ? this.#credentials.open('users', attempt.id!, '', attempt as unknown as CredentialRow)
      : this.#decoys.credentials(usernameHash);
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
    const proof = await this.#srp.verifyClientProof({
      publicA: ephPublicA,
      verifier: credentials.srpVerifier,
      privateB,
      publicB: attempt?.eph_public_b ?? this.#decoys.publicB,
      srpSalt: credentials.srpSalt,
      context,
      clientProof: clientProofM1,
    });
    privateB.fill(0);
    if (!genuine || !proof.ok) throw notDecrypted();

    const sessionId = crypto.randomUUID();
    const maximum = inForce(
      maximumRequests,
      this.#limits.defaultMaximumRequests,
      this.#limits.capMaximumRequests,
    );
    const expiry = inForce(expirySeconds, this.#limits.defaultExpirySeconds, this.#limits.capExpirySeconds);
    await this.#open(sessionId, attempt.id!, attempt.attempt_generation, proof.sessionKey, maximum, expiry);

    const session = { sessionId, userId: attempt.id!, kind: SESSION_KIND_LOGIN };
    const { serverToClient } = sessionKeySet(session, proof.sessionKey);
    proof.sessionKey.fill(0);
    const result = create(AuthenticateSessionResultSchema, {
      maximumRequests: maximum,
      expirySeconds: expiry,
      encryptedVaultHeader: credentials.encryptedVaultHeader,
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

  /** Inserts the session unless the credentials changed since the attempt began; decided under the account's lock. */
  async #open(
    sessionId: string,
    userId: string,
    generation: bigint,
    sessionKey: Uint8Array,
    maximumRequests: bigint,
    expirySeconds: bigint,
  ): Promise<void> {
    const sealed = this.#keys.sealer.seal('login_sessions', 'session_key', sessionId, sessionKey);
    const evicted = await this.#database.transaction(async (transaction) => {
      const { rows } = await transaction.execute(LOCK_GENERATION, [userId]);
      if (rows[0]?.credential_generation !== generation) throw notDecrypted();
      const evictions = await transaction.execute(EVICT_SESSIONS, [
        userId,
        this.#limits.maxSessionsPerUser - 1,
      ]);
      await transaction.execute(INSERT_SESSION, [
        sessionId,
        userId,
        sealed,
        maximumRequests === -1n ? null : maximumRequests,
        expirySeconds === -1n ? null : Number(expirySeconds),
      ]);
      return evictions.rows;
    });
    for (const row of evicted) this.#sessionKeys.forget(row.id as string);
    if (evicted.length > 0) this.#feed.touch(userId);
  }
}

/** The limit in force for what a client asked: 0 is the default, -1 unlimited, more than 2^32 counts as 2^32. */
export function inForce(asked: bigint, byDefault: number, cap: number | undefined): bigint {
  const wanted = asked === 0n ? BigInt(byDefault) : asked;
  const bounded = wanted > UNLIMITED_REQUESTS ? UNLIMITED_REQUESTS : wanted;
  if (cap === undefined) return bounded;
  return bounded === -1n || bounded > BigInt(cap) ? BigInt(cap) : bounded;
}
