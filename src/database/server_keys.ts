/**
 * The server's own keys: one that seals columns, one that hides names. Random, made at the first start, and stored in the
 * database wrapped twice, as LUKS does: under a key file that is not in the database, and under a recovery code. So a
 * stolen database opens nothing, and a lost key file does not lose every vault.
 */
import { createHmac, createSecretKey, type KeyObject } from 'node:crypto';
import { frame, hkdf, type RandomBytes } from '../protocol/bytes.ts';
import { KEY_BYTES } from '../protocol/sizes.ts';
import { openSync, sealSync } from './aead.ts';
import { recordEvent } from './audit_log.ts';
import { ColumnSealer } from './column_sealer.ts';
import type { Database, Executor, Row, Transaction } from './database.ts';
import { KeyFileError, readKeyFile, stageKeyFile, writeKeyFile } from './key_file.ts';
import {
  formatRecoveryCode,
  parseRecoveryCode,
  RECOVERY_CODE_BYTES,
  RecoveryCodeError,
  recoveryKey,
} from './recovery_code.ts';

/** What a key is for: sealing columns, or hiding names. */
const PURPOSE_SEALING = 1;
const PURPOSE_LOOKUP = 2;
/** What a key does: the active one seals, a retired one opens, a staged one opens and is about to seal. */
const STATE_ACTIVE = 1;
const STATE_RETIRED = 2;
const STATE_STAGED = 3;
const RATE_KEY_BYTES = 16;

interface KeyRow extends Row {
  readonly id: number;
  readonly purpose: number;
  readonly key_file_slot: Buffer;
  readonly recovery_slot: Buffer | null;
  readonly canary: Buffer;
  readonly state: number;
}

/** What the server needs of its keys. */
export class ServerKeys {
  /** Seals and opens columns. */
  readonly sealer: ColumnSealer;
  /** Whether the keys were made by this start. */
  readonly isFirstStart: boolean;
  /** Whether a recovery code was made. */
  readonly hasRecoveryCode: boolean;
  readonly #lookupKey: KeyObject;
  readonly #decoyKey: KeyObject;
  readonly #rateKey: KeyObject;

  constructor(parts: {
    sealer: ColumnSealer;
    /** 32 bytes; never rotates. */
    lookupKey: Uint8Array;
    isFirstStart: boolean;
    hasRecoveryCode: boolean;
  }) {
    this.sealer = parts.sealer;
    this.isFirstStart = parts.isFirstStart;
    this.hasRecoveryCode = parts.hasRecoveryCode;
    this.#lookupKey = createSecretKey(hkdf(parts.lookupKey, 'passmanager/v1 username lookup'));
    this.#decoyKey = createSecretKey(hkdf(parts.lookupKey, 'passmanager/v1 decoys'));
    this.#rateKey = createSecretKey(hkdf(parts.lookupKey, 'passmanager/v1 rate limits'));
  }

  /** HMAC-SHA-256 of a username hash: 32 bytes, all that is stored of a name. */
  usernameLookup(usernameHash: Uint8Array): Buffer {
    return createHmac('sha256', this.#lookupKey).update(usernameHash).digest();
  }

  /** What a counter of rates or a network is known by: 16 bytes that tell nothing of it. */
  rateKey(label: string, ...parts: readonly (string | Uint8Array)[]): Buffer {
    const framed = frame(label, ...parts);
    return createHmac('sha256', this.#rateKey).update(framed).digest().subarray(0, RATE_KEY_BYTES);
  }

  /** 32 bytes that an unknown name is answered with, one value a label, the same for ever. */
  decoySecret(label: string, usernameHash: Uint8Array): Buffer {
    return createHmac('sha256', this.#decoyKey).update(frame(label, usernameHash)).digest();
  }
}

/** A database whose keys this key file does not open. */
export class WrongKeyFileError extends KeyFileError {
  constructor(path: string) {
    super(
      `the key file ${path} is not the one that this database was made with. Put the right one in its place, or move it ` +
        'away and make a new one with the recovery code: npx passmanager keys recover',
    );
    this.name = 'WrongKeyFileError';
  }
}

/** A database with keys, and no key file. */
export class MissingKeyFileError extends KeyFileError {
  constructor(path: string) {
    super(
      `the key file ${path} is missing, and without it nothing in this database opens. Restore it from its backup, or ` +
        'make a new one with the recovery code: npx passmanager keys recover',
    );
    this.name = 'MissingKeyFileError';
  }
}

/**
 * Opens the server's keys, and makes them where the database has none. Replicas that start together on an empty database
 * end up with one set: the table is locked. Throws KeyFileError and its kinds.
 */
export async function openServerKeys(options: {
  database: Database;
  keyFile: string;
  random: RandomBytes;
}): Promise<ServerKeys> {
  const { database, keyFile, random } = options;
  return database.transaction(async (transaction) => {
    const rows = await lockedKeyRows(transaction);
    if (rows.length > 0) return unlocked(rows, await wrappingKey(keyFile), keyFile, false);
    const key = (await readKeyFile(keyFile)) ?? (await newKeyFile(keyFile, random));
    for (const [id, purpose] of [
      [1, PURPOSE_SEALING],
      [2, PURPOSE_LOOKUP],
    ] as const) {
      const serverKey = random(KEY_BYTES);
      await insertKey(transaction, { id, purpose, state: STATE_ACTIVE, serverKey, fileKey: key });
    }
    return unlocked(await lockedKeyRows(transaction), key, keyFile, true);
  });
}

/**
 * Takes over keys that were made, activated or retired since: `sealer` seals and opens with those of the database.
 * Answers whether there was anything new. Throws KeyFileError and its kinds, DatabaseFault; the keys stay as they were then.
 */
export async function refreshSealer(options: {
  database: Database;
  keyFile: string;
  sealer: ColumnSealer;
}): Promise<boolean> {
  const { database, keyFile, sealer } = options;
  const { rows } = await database.reads.execute(SELECT_KEYS, []);
  const sealing = (rows as KeyRow[]).filter(({ purpose }) => purpose === PURPOSE_SEALING);
  const current = sealing.find(({ state }) => state === STATE_ACTIVE);
  const ids = sealing.map(({ id }) => id);
  if (current?.id === sealer.currentId && ids.join() === sealer.ids.join()) return false;
  const { keys, currentId } = openedSealingKeys(rows as KeyRow[], await wrappingKey(keyFile), keyFile);
  sealer.useKeys(keys, currentId);
  return true;
}

/**
 * Makes a sealing key that every server is to learn of before it seals anything, or finds the one that an earlier run
 * left. With it comes a new recovery code for all keys, since nobody keeps the secret of the one before. Answers the
 * key's id and the code's text. Throws KeyFileError and its kinds.
 */
export async function stageSealingKey(options: {
  database: Database;
  keyFile: string;
  random: RandomBytes;
}): Promise<{ id: number; recoveryCode: string }> {
  const { database, keyFile, random } = options;
  const secret = random(RECOVERY_CODE_BYTES);
  const id = await database.transaction(async (transaction) => {
    const rows = await lockedKeyRows(transaction);
    if (rows.length === 0) throw new KeyFileError('the server has no keys yet: start it once');
    const fileKey = await wrappingKey(keyFile);
    let staged = rows.find(({ state }) => state === STATE_STAGED)?.id;
    if (staged === undefined) {
      staged = Math.max(...rows.map((row) => row.id)) + 1;
      await insertKey(transaction, {
        id: staged,
        purpose: PURPOSE_SEALING,
        state: STATE_STAGED,
        serverKey: random(KEY_BYTES),
        fileKey,
      });
    }
    await wrapForRecovery(transaction, fileKey, keyFile, secret);
    return staged;
  });
  return { id, recoveryCode: formatRecoveryCode(secret) };
}

/** Has a staged key seal from now on, in the place of the active one, which still opens, and records it. Nothing where it does already. */
export async function activateSealingKey(database: Database, id: number): Promise<void> {
  await database.transaction(async (transaction) => {
    await lockedKeyRows(transaction);
    const { rows } = await transaction.execute(
      'update server_keys set state = $2 where id = $1 and state = $3 returning id',
      [id, STATE_ACTIVE, STATE_STAGED],
    );
    if (rows.length === 0) return;
    await transaction.execute(
      'update server_keys set state = $2 where id <> $1 and purpose = $3 and state = $4',
      [id, STATE_RETIRED, PURPOSE_SEALING, STATE_ACTIVE],
    );
    await recordEvent(transaction, 'sealing key rotated');
  });
}

/**
 * Makes a new recovery code, which takes the place of the one before, and answers its text. It is shown once and kept
 * nowhere.
 */
export async function makeRecoveryCode(options: {
  database: Database;
  keyFile: string;
  random: RandomBytes;
}): Promise<string> {
  const { database, keyFile, random } = options;
  const secret = random(RECOVERY_CODE_BYTES);
  await database.transaction(async (transaction) => {
    const rows = await lockedKeyRows(transaction);
    if (rows.length === 0) throw new KeyFileError('the server has no keys yet: start it once');
    await wrapForRecovery(transaction, await wrappingKey(keyFile), keyFile, secret);
  });
  return formatRecoveryCode(secret);
}

/** Wraps every key under the recovery code of a secret (20 bytes). */
async function wrapForRecovery(
  transaction: Transaction,
  fileKey: Uint8Array,
  keyFile: string,
  secret: Uint8Array,
): Promise<void> {
  const wrap = createSecretKey(recoveryKey(secret));
  const key = createSecretKey(fileKey);
  for (const row of await lockedKeyRows(transaction)) {
    const serverKey = openSlot(key, row, 'key_file_slot', keyFile);
    await writeSlot(transaction, wrap, row, 'recovery_slot', serverKey);
  }
}

/** Makes a new key file with the recovery code, in the place of one that is lost. Throws RecoveryCodeError for a wrong code. */
export async function recoverKeyFile(options: {
  database: Database;
  keyFile: string;
  code: string;
  random: RandomBytes;
}): Promise<void> {
  const { database, keyFile, random } = options;
  const wrap = createSecretKey(recoveryKey(parseRecoveryCode(options.code)));
  // In its place once the slots that it opens are committed: a recovery that failed can be done again.
  const publish = await database.transaction(async (transaction) => {
    const rows = await lockedKeyRows(transaction);
    if (rows.length === 0)
      throw new RecoveryCodeError('this database has no server keys yet: start the server once');
    const serverKeys = rows.map((row) => {
      if (row.recovery_slot === null)
        throw new RecoveryCodeError('no recovery code was ever made for this database');
      try {
        return openSync(wrap, row.recovery_slot, slotAad(row.id, row.purpose, 'recovery_slot'));
      } catch {
        throw new RecoveryCodeError('this is not the recovery code of this database');
      }
    });
    const fileKey = random(KEY_BYTES);
    const staged = await stageKeyFile(keyFile, fileKey);
    const key = createSecretKey(fileKey);
    for (const [index, row] of rows.entries())
      await writeSlot(transaction, key, row, 'key_file_slot', serverKeys[index]!);
    return staged;
  });
  await publish();
}

/**
 * Wraps every key under another key file, 32 bytes each: what a restore does, for a backup brings the key file that it was
 * made with. Throws WrongKeyFileError where the first does not open them, and what the statements throw.
 */
export async function rewrapServerKeys(
  database: Pick<Executor, 'execute'>,
  from: Uint8Array,
  to: Uint8Array,
): Promise<void> {
  const { rows } = await database.execute(SELECT_KEYS, []);
  const [unwrap, wrap] = [createSecretKey(from), createSecretKey(to)];
  for (const row of rows as KeyRow[])
    await writeSlot(
      database,
      wrap,
      row,
      'key_file_slot',
      openSlot(unwrap, row, 'key_file_slot', 'in the backup'),
    );
}

/** Throws WrongKeyFileError unless a key of 32 bytes opens every server key. */
export async function proveKeyFile(
  database: Pick<Executor, 'execute'>,
  key: Uint8Array,
  path: string,
): Promise<void> {
  const { rows } = await database.execute(SELECT_KEYS, []);
  for (const row of rows as KeyRow[]) openSlot(createSecretKey(key), row, 'key_file_slot', path);
}

/** What there is to know of the keys without showing one. */
export interface KeyStatus {
  /** Whether the key file opens all of them. */
  readonly opens: boolean;
  /** Why not, and what to do. */
  readonly reason: string | undefined;
  readonly hasRecoveryCode: boolean;
  readonly keys: readonly {
    readonly id: number;
    readonly purpose: 'sealing' | 'lookup';
    readonly state: 'active' | 'retired' | 'staged';
    readonly createdAt: Date;
  }[];
}

/** The state of the keys; nothing is changed. Throws DatabaseFault. */
export async function readKeyStatus(options: { database: Database; keyFile: string }): Promise<KeyStatus> {
  const { database, keyFile } = options;
  const { rows } = await database.reads.execute(
    'select id, purpose, key_file_slot, recovery_slot, canary, state, created_at from server_keys order by id',
    [],
  );
  const keyRows = rows as (KeyRow & { readonly created_at: Date })[];
  let reason: string | undefined;
  try {
    unlocked(keyRows, await wrappingKey(keyFile), keyFile, false);
  } catch (error) {
    if (!(error instanceof KeyFileError)) throw error;
    reason = error.message;
  }
  return {
    opens: reason === undefined,
    reason,
    hasRecoveryCode: keyRows.length > 0 && keyRows.every((row) => row.recovery_slot !== null),
    keys: keyRows.map(({ id, purpose, state, created_at }) => ({
      id,
      purpose: purpose === PURPOSE_SEALING ? 'sealing' : 'lookup',
      state: state === STATE_ACTIVE ? 'active' : state === STATE_STAGED ? 'staged' : 'retired',
      createdAt: created_at,
    })),
  };
}

async function lockedKeyRows(transaction: Transaction): Promise<KeyRow[]> {
  await transaction.execute('lock table server_keys in exclusive mode', []);
  const { rows } = await transaction.execute(SELECT_KEYS, []);
  return rows as KeyRow[];
}

const SELECT_KEYS =
  'select id, purpose, key_file_slot, recovery_slot, canary, state from server_keys order by id';

/** The key file is on disk before the row that needs it is committed. */
async function newKeyFile(path: string, random: RandomBytes): Promise<Uint8Array> {
  const key = random(KEY_BYTES);
  await writeKeyFile(path, key);
  return key;
}

/** The key in the key file, 32 bytes. Throws MissingKeyFileError where there is none, and KeyFileError. */
export async function wrappingKey(path: string): Promise<Uint8Array> {
  const key = await readKeyFile(path);
  if (key === undefined) throw new MissingKeyFileError(path);
  return key;
}

async function insertKey(
  transaction: Transaction,
  key: { id: number; purpose: number; state: number; serverKey: Uint8Array; fileKey: Uint8Array },
): Promise<void> {
  const { id, purpose, state, serverKey, fileKey } = key;
  const slot = sealSync(createSecretKey(fileKey), serverKey, slotAad(id, purpose, 'key_file_slot'));
  const canary = sealSync(
    createSecretKey(serverKey),
    new Uint8Array(KEY_BYTES),
    slotAad(id, purpose, 'canary'),
  );
  await transaction.execute(
    'insert into server_keys (id, purpose, key_file_slot, canary, state) values ($1, $2, $3, $4, $5)',
    [id, purpose, slot, canary, state],
  );
}

function unlocked(
  rows: readonly KeyRow[],
  fileKey: Uint8Array,
  path: string,
  isFirstStart: boolean,
): ServerKeys {
  const { keys, currentId } = openedSealingKeys(rows, fileKey, path);
  const lookup = rows.find(({ purpose }) => purpose === PURPOSE_LOOKUP);
  if (lookup === undefined) throw incomplete();
  return new ServerKeys({
    sealer: new ColumnSealer(keys, currentId),
    lookupKey: openSlot(createSecretKey(fileKey), lookup, 'key_file_slot', path),
    isFirstStart,
    hasRecoveryCode: rows.every((row) => row.recovery_slot !== null),
  });
}

/** The keys that open columns, by id, and which of them seals. */
function openedSealingKeys(
  rows: readonly KeyRow[],
  fileKey: Uint8Array,
  path: string,
): { keys: Map<number, Uint8Array>; currentId: number } {
  const wrap = createSecretKey(fileKey);
  const sealing = rows.filter(({ purpose }) => purpose === PURPOSE_SEALING);
  const keys = new Map(sealing.map((row) => [row.id, openSlot(wrap, row, 'key_file_slot', path)]));
  const current = sealing.find(({ state }) => state === STATE_ACTIVE);
  if (current === undefined) throw incomplete();
  return { keys, currentId: current.id };
}

const incomplete = (): KeyFileError =>
  new KeyFileError('the database lacks one of the server keys: restore it from its backup');

/** Keeps a server key in a slot of its row, sealed under `wrap`. */
async function writeSlot(
  database: Pick<Executor, 'execute'>,
  wrap: KeyObject,
  { id, purpose }: KeyRow,
  slot: 'key_file_slot' | 'recovery_slot',
  serverKey: Uint8Array,
): Promise<void> {
  const sealed = sealSync(wrap, serverKey, slotAad(id, purpose, slot));
  await database.execute(`update server_keys set ${slot} = $2 where id = $1`, [id, sealed]);
}

/** The server key of a slot; the canary tells whether it is the one that the database was sealed with. */
function openSlot(wrap: KeyObject, row: KeyRow, slot: 'key_file_slot', path: string): Buffer {
  try {
    const serverKey = openSync(wrap, row[slot], slotAad(row.id, row.purpose, slot));
    openSync(createSecretKey(serverKey), row.canary, slotAad(row.id, row.purpose, 'canary'));
    return serverKey;
  } catch {
    throw new WrongKeyFileError(path);
  }
}

function slotAad(id: number, purpose: number, slot: string): Uint8Array {
  return frame('passmanager/v1 server key', `${id}`, `${purpose}`, slot);
}
