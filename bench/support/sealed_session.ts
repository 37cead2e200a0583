/** A session whose requests are sealed before they are measured, by node:crypto: the load costs as little as it can. */
import { createCipheriv, createDecipheriv, randomBytes } from 'node:crypto';
import { create, type DescMessage, type MessageInitShape, toBinary } from '@bufbuild/protobuf';
import type { Transport } from '@connectrpc/connect';
import { SecureRequestSchema } from '../../gen/passmanager/common/v1/secure_pb.ts';
import * as data from '../../gen/passmanager/data/v1/data_service_pb.ts';
import { SessionService } from '../../gen/passmanager/session/v1/session_service_pb.ts';
import { requestAad, responseAad } from '../../src/protocol/aad.ts';
import { loginContext } from '../../src/protocol/handshake.ts';
import { deriveSessionKeys } from '../../src/protocol/keys.ts';
import { createServerModexp } from '../../src/server/srp/server_modexp.ts';
import { callUnary, proveSecret, startLogin, type TestAccount } from '../../test/support/raw_client.ts';

/** A request message of any sealed RPC has the one field `secure`, number 1. */
const SECURE_FIELD_TAG = 0x0a;

/** A client's arithmetic takes thrice as long with BigInt; here it only stands in the way. */
const { power } = createServerModexp();

export class SealedSession {
  readonly sessionId: string;
  readonly #clientToServer: Uint8Array;
  readonly #serverToClient: Uint8Array;
  #next = 0n;

  /** `sessionId`: 36 characters; `sessionKey`: K, 32 bytes. */
  constructor(sessionId: string, sessionKey: Uint8Array) {
    this.sessionId = sessionId;
    const keys = deriveSessionKeys(sessionKey);
    this.#clientToServer = keys.clientToServer;
    this.#serverToClient = keys.serverToClient;
  }

  /** Logs in without limits. */
  static async logIn(transport: Transport, account: TestAccount): Promise<SealedSession> {
    const started = await startLogin(transport, account.usernameHash);
    const terms = { maximumRequests: -1n, expirySeconds: -1n };
    const context = () =>
      loginContext({
        usernameHash: account.usernameHash,
        srpSalt: started.srpSalt,
        masterKeySalt: started.masterKeySalt,
        kdf: started.kdf!,
        ...terms,
        clientProtocol: 1,
        serverProtocol: started.serverProtocol,
      });
    const proof = proveSecret(account.srpSecret, started.srpSalt, started.ephPublicB, context, power);
    const { sessionId } = await callUnary(transport, SessionService.method.authenticateSession, {
      usernameHash: account.usernameHash,
      ephemeralId: started.ephemeralId,
      ephPublicA: proof.publicA,
      clientProofM1: proof.m1,
      ...terms,
    });
    return new SealedSession(sessionId, proof.key);
  }

  /** The whole request message of an RPC, under the next number. */
  seal<P extends DescMessage>(path: string, schema: P, payload: MessageInitShape<P>): SealedRequest {
    const requestNumber = this.#next;
    this.#next += 1n;
    const nonce = randomBytes(12);
    const cipher = createCipheriv('aes-256-gcm', this.#clientToServer, nonce);
    cipher.setAAD(requestAad(path, this.sessionId, requestNumber));
    const ciphertext = cipher.update(toBinary(schema, create(schema, payload)));
    cipher.final();
    const encryptedData = Buffer.concat([nonce, cipher.getAuthTag(), ciphertext]);
    const secure = toBinary(
      SecureRequestSchema,
      create(SecureRequestSchema, { sessionId: this.sessionId, requestNumber, encryptedData }),
    );
    return { bytes: Buffer.concat([tagged(secure.length), secure]), requestNumber };
  }

  /** The result in an answer's sealed bytes. Throws when they do not open. */
  open(path: string, requestNumber: bigint, sealed: Uint8Array): Buffer {
    const decipher = createDecipheriv('aes-256-gcm', this.#serverToClient, sealed.subarray(0, 12));
    decipher.setAAD(responseAad(path, this.sessionId, requestNumber));
    decipher.setAuthTag(sealed.subarray(12, 28));
    return Buffer.concat([decipher.update(sealed.subarray(28)), decipher.final()]);
  }
}

export interface SealedRequest {
  readonly bytes: Buffer;
  readonly requestNumber: bigint;
}

function tagged(length: number): Buffer {
  const varint: number[] = [];
  let rest = length;
  for (; rest > 0x7f; rest >>>= 7) varint.push((rest & 0x7f) | 0x80);
  return Buffer.from([SECURE_FIELD_TAG, ...varint, rest]);
}

export const GET_ENTRY = '/passmanager.data.v1.DataService/GetEntry';
export const CREATE_ENTRY = '/passmanager.data.v1.DataService/CreateEntry';
export const BATCH_CREATE = '/passmanager.data.v1.DataService/BatchCreateEntries';
export const LIST_ENTRIES = '/passmanager.data.v1.DataService/ListEntries';

/** Name and data of a typical entry as a client seals it, in bytes. */
export const NAME_BYTES = 93;
export const DATA_BYTES = 285;

export const newEntry = () => ({
  entryId: crypto.randomUUID() as string,
  entryName: new Uint8Array(randomBytes(NAME_BYTES)),
  entryData: new Uint8Array(randomBytes(DATA_BYTES)),
});

/** Requests for reading entries in turn. */
export const reads = (session: SealedSession, ids: readonly string[], count: number): SealedRequest[] =>
  Array.from({ length: count }, (_, index) =>
    session.seal(GET_ENTRY, data.GetEntryPayloadSchema, { entryId: ids[index % ids.length]! }),
  );

/** Requests for creating entries. */
export const creations = (session: SealedSession, count: number): SealedRequest[] =>
  Array.from({ length: count }, () => session.seal(CREATE_ENTRY, data.CreateEntryPayloadSchema, newEntry()));
