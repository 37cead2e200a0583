/**
 * Verifies a file of known answers of protocol v1: every value in it is an input of something compared or is compared
 * itself. Runs wherever src/protocol runs.
 */
import { fromBinary } from '@bufbuild/protobuf';
import {
  EntryDataSchema,
  EntryNameSchema,
  VaultHeaderSchema,
} from '../../gen/passmanager/common/v1/vault_pb.ts';
import { AuthenticateSessionResultSchema } from '../../gen/passmanager/session/v1/session_service_pb.ts';
import {
  entryDataAad,
  entryNameAad,
  failureAad,
  loginResultAad,
  requestAad,
  responseAad,
  streamAad,
  vaultHeaderAad,
} from '../../src/protocol/aad.ts';
import { equalBytes, utf8 } from '../../src/protocol/bytes.ts';
import {
  loginContext,
  passwordChangeContext,
  passwordCommitContext,
  pendingDigest,
} from '../../src/protocol/handshake.ts';
import { type KdfParameters, refusedKdfFields } from '../../src/protocol/kdf.ts';
import {
  type Argon2id,
  derivePasswordKeys,
  deriveSessionKeys,
  passwordBytes,
} from '../../src/protocol/keys.ts';
import { pad, unpad } from '../../src/protocol/padding.ts';
import { importSealKey, open, openBlob, seal, sealBlob } from '../../src/protocol/seal.ts';
import {
  ENTRY_DATA_PADDING,
  ENTRY_NAME_PADDING,
  HASH_BYTES,
  NONCE_BYTES,
  PRIVATE_EXPONENT_BYTES,
  VAULT_HEADER_PADDING,
} from '../../src/protocol/sizes.ts';
import {
  clientProof,
  clientPublicA,
  clientSharedS,
  computeU,
  computeVerifier,
  computeX,
  GROUP,
  isAcceptableA,
  isAcceptableB,
  isAcceptableVerifier,
  type Modexp,
  serverProof,
  serverPublicB,
  serverSharedS,
  sessionKey,
} from '../../src/protocol/srp.ts';
import { normalizeUsername, usernameHash } from '../../src/protocol/username.ts';
import { isUuid } from '../../src/protocol/uuid.ts';
import { requireDistinct, requireWellSpelt, requireWellSpeltPadding } from './slips.ts';
import { Vector } from './vector.ts';

/** What the verifier computes with besides src/protocol. */
export interface VectorTools {
  readonly argon2id: Argon2id;
  readonly modexp: Modexp;
}

/** Throws at the first value that is not what the code computes, and when a value was not looked at. */
export async function verifyVectors(json: unknown, tools: VectorTools): Promise<void> {
  const file = new Vector(json);
  file.get('suite').is('passmanager/v1');
  file.get('note').text();
  for (const username of file.get('usernames').items()) verifyUsername(username);
  await verifyRefusals(file);
  verifyGroupElements(file.get('group_elements_refused'));
  await verifyPadding(file);
  const logins = file.get('logins').items();
  if (logins.length === 0) file.fail('has no login');
  for (const login of logins) await verifyLogin(login, tools);
  for (const change of file.get('password_changes').items()) await verifyPasswordChange(change, tools);
  const unread = file.unread();
  if (unread.length > 0) file.fail(`has values that nothing was compared with: ${unread.join(', ')}`);
}

function verifyUsername(vector: Vector): Uint8Array {
  const username = vector.get('username').text();
  vector.get('normalized').is(normalizeUsername(username));
  const hash = usernameHash(username);
  vector.get('username_hash').is(hash);
  return hash;
}

async function verifyRefusals(file: Vector): Promise<void> {
  for (const vector of file.get('usernames_refused').items()) {
    const username = vector.text();
    const reason = username.isWellFormed() ? 'empty username' : 'not Unicode';
    await vector.refused(reason, () => usernameHash(username));
  }
  for (const vector of file.get('passwords_refused').items()) {
    const password = vector.text();
    const reason = password.isWellFormed() ? 'empty password' : 'not Unicode';
    await vector.refused(reason, () => passwordBytes(password));
  }
  for (const vector of file.get('kdf_refused').items()) {
    const kdf = readKdf(vector);
    if (refusedKdfFields(kdf).length === 0) vector.fail('was not refused');
    await vector.refused('key derivation parameters', () =>
      derivePasswordKeys(() => vector.fail('was derived from'), 'password', new Uint8Array(32), kdf),
    );
  }
}

function verifyGroupElements(vector: Vector): void {
  const rules = { by_client_B: isAcceptableB, by_server_A: isAcceptableA, by_server_v: isAcceptableVerifier };
  for (const [name, isAcceptable] of Object.entries(rules)) {
    const elements = vector.get(name).items();
    requireDistinct(elements);
    for (const element of elements) {
      if (isAcceptable(element.bytes())) element.fail('was not refused');
      requireWellSpelt(element);
    }
  }
}

async function verifyPadding(file: Vector): Promise<void> {
  for (const vector of file.get('padding').items()) {
    const multiple = vector.get('multiple').number();
    // Ends like padding itself, so that only the outermost may be taken off.
    const message = new Uint8Array(vector.get('message_bytes').number()).fill(0x80, -1);
    const padded = pad(message, multiple);
    vector.get('padded_bytes').is(padded.length);
    if (!equalBytes(unpad(padded, multiple), message)) vector.fail('is not what was padded');
  }
  for (const vector of file.get('padding_refused').items()) {
    const padded = vector.bytes();
    requireWellSpeltPadding(vector);
    for (const multiple of [ENTRY_NAME_PADDING, ENTRY_DATA_PADDING]) {
      await vector.refused('broken padding', () => unpad(padded, multiple));
    }
  }
}

async function verifyLogin(login: Vector, tools: VectorTools): Promise<void> {
  const credentials = await verifyCredentials(login, tools);
  const hash = verifyUsername(login);
  login.get('name').text();
  login.get('k').is(GROUP.k.toString(16).padStart(2 * HASH_BYTES, '0'));
  login.get('label').is('passmanager/v1 login');
  login.get('subject').is(hash);
  login.get('pending').is('');
  const context = loginContext({
    ...credentials,
    usernameHash: hash,
    maximumRequests: login.get('maximum_requests').bigint(),
    expirySeconds: login.get('expiry_seconds').bigint(),
    clientProtocol: login.get('client_protocol').number(),
    serverProtocol: login.get('server_protocol').number(),
  });
  const keys = verifySessionKeys(login, verifyHandshake(login, credentials, context, tools));
  const sessionId = readUuid(login.get('session_id'));
  await verifyLoginResult(login, sessionId, keys.serverToClient);
  for (const vector of login.get('seals').items()) await verifySeal(vector, sessionId, keys);
  for (const vector of login.get('entries').items()) await verifyEntry(vector, credentials.vaultKey);
}

async function verifyPasswordChange(change: Vector, tools: VectorTools): Promise<void> {
  change.get('name').text();
  normalizeUsername(change.get('username').text());
  const sessionId = readUuid(change.get('login_session_id'));
  const changeSessionId = readUuid(change.get('change_session_id'));
  const current = await verifyCredentials(change.get('current'), tools);
  const announced = await verifyCredentials(change.get('new'), tools);
  const pending = pendingDigest(announced);
  change.get('pending').is(pending);

  const authenticate = change.get('authenticate');
  authenticate.get('label').is('passmanager/v1 password change');
  authenticate.get('subject').is(utf8(sessionId));
  const changeContext = passwordChangeContext({ ...current, sessionId, pending });
  verifySessionKeys(authenticate, verifyHandshake(authenticate, current, changeContext, tools));

  const commit = change.get('commit');
  commit.get('label').is('passmanager/v1 password commit');
  commit.get('subject').is(utf8(changeSessionId));
  verifyHandshake(
    commit,
    announced,
    passwordCommitContext({ ...announced, changeSessionId, pending }),
    tools,
  );
}

type Credentials = Awaited<ReturnType<typeof verifyCredentials>>;

/** From the password to the verifier and the vault header. */
async function verifyCredentials(vector: Vector, { argon2id, modexp }: VectorTools) {
  const srpSalt = vector.get('srp_salt').bytes();
  const masterKeySalt = vector.get('master_key_salt').bytes();
  const kdf = readKdf(vector.get('kdf'));
  const { srpSecret, masterKey } = await derivePasswordKeys(
    async (...input) => {
      const root = await argon2id(...input);
      vector.get('root').is(root);
      return root;
    },
    vector.get('password').text(),
    masterKeySalt,
    kdf,
  );
  vector.get('srp_secret').is(srpSecret);
  vector.get('master_key').is(masterKey);

  const x = computeX(srpSalt, srpSecret);
  vector.get('x').is(x);
  const srpVerifier = computeVerifier(x, modexp);
  vector.get('v').is(srpVerifier);
  if (!isAcceptableVerifier(srpVerifier)) vector.get('v').fail('is not an acceptable verifier');

  const vaultKey = vector.get('vault_key').bytes();
  const message = vector.get('vault_header_message').bytes();
  const header = fromBinary(VaultHeaderSchema, message);
  vector.get('vault_key').is(header.vaultKey);
  if (header.version < 1n) vector.get('vault_header_message').fail('has no version');
  const aad = vaultHeaderAad();
  vector.get('vault_header_aad').is(aad);
  const blob = vector.get('encrypted_vault_header');
  await verifyBlob(blob, masterKey, pad(message, VAULT_HEADER_PADDING), aad);
  return { srpSalt, masterKeySalt, kdf, x, srpVerifier, vaultKey, encryptedVaultHeader: blob.bytes() };
}

/** Both sides of the handshake. Returns K. */
function verifyHandshake(
  vector: Vector,
  { srpSalt, x, srpVerifier }: Credentials,
  context: Uint8Array,
  { modexp }: VectorTools,
): Uint8Array {
  vector.get('context').is(context);
  const [a, b] = [readExponent(vector.get('a')), readExponent(vector.get('b'))];
  const A = clientPublicA(a, modexp);
  vector.get('A').is(A);
  const B = serverPublicB(srpVerifier, b, modexp);
  vector.get('B').is(B);
  if (!isAcceptableA(A) || !isAcceptableB(B)) vector.fail('has a public value that is refused');
  const u = computeU(A, B);
  vector.get('u').is(u);
  vector.get('S').is(clientSharedS(B, x, a, u, modexp));
  vector.get('S').is(serverSharedS(A, srpVerifier, u, b, modexp));
  const K = sessionKey(vector.get('S').bytes());
  vector.get('K').is(K);
  const M1 = clientProof(context, srpSalt, A, B, K);
  vector.get('M1').is(M1);
  vector.get('M2').is(serverProof(A, M1, K));
  return K;
}

type SessionKeys = ReturnType<typeof deriveSessionKeys>;

function verifySessionKeys(vector: Vector, K: Uint8Array): SessionKeys {
  const keys = deriveSessionKeys(K);
  vector.get('key_c2s').is(keys.clientToServer);
  vector.get('key_s2c').is(keys.serverToClient);
  return keys;
}

async function verifyLoginResult(login: Vector, sessionId: string, key: Uint8Array): Promise<void> {
  const vector = login.get('login_result');
  const message = vector.get('message').bytes();
  const result = fromBinary(AuthenticateSessionResultSchema, message);
  login.get('encrypted_vault_header').is(result.encryptedVaultHeader);
  const aad = loginResultAad(sessionId);
  vector.get('aad').is(aad);
  await verifySealed(vector.get('sealed'), key, message, aad);
}

async function verifySeal(vector: Vector, sessionId: string, keys: SessionKeys): Promise<void> {
  const kind = vector.get('kind').text();
  const method = vector.get('method').text();
  const n = vector.get('request_number').bigint();
  const aads: Record<string, () => Uint8Array> = {
    request: () => requestAad(method, sessionId, n),
    response: () => responseAad(method, sessionId, n),
    failure: () => failureAad(method, sessionId, n),
    stream: () => streamAad(method, sessionId, n, vector.get('sequence').bigint()),
  };
  const aad = aads[kind]?.() ?? vector.get('kind').fail('is unknown');
  vector.get('aad').is(aad);
  const key = kind === 'request' ? keys.clientToServer : keys.serverToClient;
  await verifySealed(vector.get('sealed'), key, vector.get('plaintext').bytes(), aad);
}

async function verifyEntry(vector: Vector, vaultKey: Uint8Array): Promise<void> {
  const entryId = readUuid(vector.get('entry_id'));
  const name = fromBinary(EntryNameSchema, vector.get('name_message').bytes());
  const data = fromBinary(EntryDataSchema, vector.get('data_message').bytes());
  if (name.version < 1n || name.version !== data.version)
    vector.fail('has a name and data of different versions');
  for (const [part, multiple, aad] of [
    ['name', ENTRY_NAME_PADDING, entryNameAad(entryId)],
    ['data', ENTRY_DATA_PADDING, entryDataAad(entryId)],
  ] as const) {
    const message = vector.get(`${part}_message`).bytes();
    const padded = pad(message, multiple);
    vector.get(`${part}_padded`).is(padded);
    vector.get(`${part}_message`).is(unpad(padded, multiple));
    vector.get(`${part}_aad`).is(aad);
    await verifyBlob(vector.get(`${part}_sealed`), vaultKey, padded, aad);
  }
}

/** Opens the seal, and seals the plaintext again with the nonce of the seal. */
async function verifySealed(
  vector: Vector,
  key: Uint8Array,
  plaintext: Uint8Array,
  aad: Uint8Array,
): Promise<void> {
  const sealed = vector.bytes();
  const sealKey = await importSealKey(key);
  vector.is(await seal(sealKey, plaintext, aad, () => sealed.subarray(0, NONCE_BYTES)));
  if (!equalBytes(await open(sealKey, sealed, aad), plaintext)) vector.fail('opens to something else');
}

/** The same of a stored blob, whose nonce comes after the format byte. */
async function verifyBlob(
  vector: Vector,
  key: Uint8Array,
  plaintext: Uint8Array,
  aad: Uint8Array,
): Promise<void> {
  const blob = vector.bytes();
  const sealKey = await importSealKey(key);
  vector.is(await sealBlob(sealKey, plaintext, aad, () => blob.subarray(1, 1 + NONCE_BYTES)));
  if (!equalBytes(await openBlob(sealKey, blob, aad), plaintext)) vector.fail('opens to something else');
}

function readKdf(vector: Vector): KdfParameters {
  return {
    algorithm: vector.get('algorithm').number(),
    memoryKib: vector.get('memory_kib').number(),
    iterations: vector.get('iterations').number(),
    parallelism: vector.get('parallelism').number(),
  };
}

function readUuid(vector: Vector): string {
  const text = vector.text();
  return isUuid(text) ? text : vector.fail('is not a UUID');
}

function readExponent(vector: Vector): Uint8Array {
  const exponent = vector.bytes();
  return exponent.length === PRIVATE_EXPONENT_BYTES ? exponent : vector.fail('is not 320 bits');
}
