/**
 * Rotates the key that seals columns, while servers serve. A new key is staged first, and seals only once every server
 * has had time to learn of it; once every server has had time to learn that it seals, all values are sealed again under it, a
 * bite at a time. The key before stays, and only opens: a server that was away for long may still seal with it. Each step can be
 * cut short, and the next run goes on: with the key that is staged, or with the rows that are left under an earlier one.
 */
import { setTimeout as delay } from 'node:timers/promises';
import { type RandomBytes, u32 } from '../protocol/bytes.ts';
import { SealBrokenError } from './aead.ts';
import { type ColumnSealer, KEY_ID_BYTES } from './column_sealer.ts';
import type { Database, Row } from './database.ts';
import { SEALED_TABLES, type SealedTable } from './sealed_columns.ts';
import { activateSealingKey, openServerKeys, readKeyStatus, stageSealingKey } from './server_keys.ts';

/** How many rows one transaction seals again. */
const BITE = 100;

/** How often a server looks whether its keys are still those of the database, in milliseconds. */
export const KEY_REFRESH_MS = 5_000;

/** How long every server gets to learn of a key, in milliseconds. */
const LEARN_MS = 3 * KEY_REFRESH_MS;

/** How often rows that others held are tried again before they are left to the next rotation. */
const PASSES = 20;

/** What a rotation tells while it runs. */
export type RotationStep =
  | { readonly step: 'resumed'; readonly keyId: number }
  | { readonly step: 'staged'; readonly keyId: number; readonly recoveryCode: string }
  | { readonly step: 'active'; readonly keyId: number }
  | { readonly step: 'resealed'; readonly rows: number };

/** What came of a rotation. */
export interface Rotation {
  /** The key that seals. */
  readonly keyId: number;
  /** Whether it is new: false where this run finished one that had been cut short after its key sealed. */
  readonly isNew: boolean;
  /** How many rows were sealed again. */
  readonly rows: number;
  /** How many are left since others held them to the end. */
  readonly left: number;
  /** Rows that no key opens, as they were: they are damaged. */
  readonly damaged: readonly { readonly table: string; readonly id: string }[];
}

/**
 * Rotates the sealing key, or finishes the rotation before where that was cut short. `tell` gets the new recovery code as
 * soon as it holds: the one before is void. Throws KeyFileError and its kinds, DatabaseFault.
 */
export async function rotateSealingKey(options: {
  database: Database;
  keyFile: string;
  random: RandomBytes;
  tell: (step: RotationStep) => void;
  /** How long every server gets to learn of the staged key, and then that it seals. Default: three looks at the database. */
  learnMs?: number;
}): Promise<Rotation> {
  const { database, keyFile, random, tell, learnMs = LEARN_MS } = options;
  const unfinished = await unfinishedKey(database, keyFile);
  if (unfinished !== undefined) {
    tell({ step: 'resumed', keyId: unfinished });
    await delay(learnMs);
    const done = await resealAll(options);
    // Where nothing but damaged rows was left, the one before was done.
    if (done.rows + done.left > 0) return { keyId: unfinished, isNew: false, ...done };
  }
  const { id: keyId, recoveryCode } = await stageSealingKey({ database, keyFile, random });
  tell({ step: 'staged', keyId, recoveryCode });
  await delay(learnMs);
  await activateSealingKey(database, keyId);
  tell({ step: 'active', keyId });
  // Until then a server may seal under the key before, behind the back of what is sealed again.
  await delay(learnMs);
  return { keyId, isNew: true, ...(await resealAll(options)) };
}

/** The active key of a rotation that left rows under an earlier one; undefined: there is none, or another key is staged. */
async function unfinishedKey(database: Database, keyFile: string): Promise<number | undefined> {
  const { opens, keys } = await readKeyStatus({ database, keyFile });
  if (!opens || keys.some(({ state }) => state === 'staged')) return undefined;
  const active = keys.find(({ purpose, state }) => purpose === 'sealing' && state === 'active');
  return active !== undefined && (await countUnderOtherKeys(database, active.id)) > 0 ? active.id : undefined;
}

/** Seals every row again that is under another key than the active one. */
async function resealAll({
  database,
  keyFile,
  random,
  tell,
}: Parameters<typeof rotateSealingKey>[0]): Promise<Pick<Rotation, 'rows' | 'left' | 'damaged'>> {
  const { sealer } = await openServerKeys({ database, keyFile, random });
  const damaged = new Map<string, { table: string; id: string }>();
  let rows = 0;
  for (let pass = 0; ; pass += 1) {
    for (const sealed of SEALED_TABLES) {
      rows += await resealTable(database, sealer, sealed, {
        tell: (done) => tell({ step: 'resealed', rows: rows + done }),
        damaged: (id) => damaged.set(`${sealed.table} ${id}`, { table: sealed.table, id }),
      });
    }
    const left = Math.max(0, (await countUnderOtherKeys(database, sealer.currentId)) - damaged.size);
    if (left === 0 || pass === PASSES - 1) return { rows, left, damaged: [...damaged.values()] };
    await delay(250);
  }
}

/** How many rows hold a value under another sealing key than this one. Throws DatabaseFault. */
export async function countUnderOtherKeys(database: Database, keyId: number): Promise<number> {
  let count = 0;
  for (const sealed of SEALED_TABLES) {
    const { rows } = await database.reads.execute(
      `select count(*)::int as n from ${sealed.table} where ${underOther(sealed, '$1')}`,
      [keyIdBytes(keyId)],
    );
    count += rows[0]!.n as number;
  }
  return count;
}

/** Seals the rows of a table again that nobody else holds, but for those that no key opens. Answers how many. */
async function resealTable(
  database: Database,
  sealer: ColumnSealer,
  sealed: SealedTable,
  { tell, damaged }: { tell: (rows: number) => void; damaged: (id: string) => void },
): Promise<number> {
  let done = 0;
  for (let after: string | null = null; ; ) {
    const bite: { rows: Row[]; sealedAgain: number } = await database.transaction(async (transaction) => {
      const { rows } = await transaction.execute(
        `select ${[...sealed.named, ...sealed.columns].join(', ')} from ${sealed.table}
          where ($2::uuid is null or id > $2) and ${underOther(sealed, '$1')}
          order by id limit ${BITE} for no key update skip locked`,
        [keyIdBytes(sealer.currentId), after],
      );
      let sealedAgain = 0;
      for (const row of rows) {
        const values = sealedAgainOf(sealer, sealed, row);
        if (values === undefined) {
          damaged(row.id as string);
          continue;
        }
        const assignments = sealed.columns.map((column, index) => `${column} = $${index + 2}`);
        await transaction.execute(`update ${sealed.table} set ${assignments.join(', ')} where id = $1`, [
          row.id,
          ...values,
        ]);
        sealedAgain += 1;
      }
      return { rows, sealedAgain };
    });
    if (bite.rows.length === 0) return done;
    done += bite.sealedAgain;
    after = bite.rows.at(-1)!.id as string;
    tell(done);
  }
}

/** The values of a row under the key that seals; undefined where one of them opens under no key. */
function sealedAgainOf(
  sealer: ColumnSealer,
  { table, columns, rowId }: SealedTable,
  row: Row,
): (Buffer | null)[] | undefined {
  try {
    return columns.map((column) => {
      const stored = row[column] as Buffer | null;
      if (stored === null) return null;
      const plaintext = sealer.open(table, column, rowId(row), stored);
      const again = sealer.seal(table, column, rowId(row), plaintext);
      plaintext.fill(0);
      return again;
    });
  } catch (error) {
    if (error instanceof SealBrokenError) return undefined;
    throw error;
  }
}

/** The condition of rows with a value under another key than that of a parameter, the bytes of its id. */
const underOther = ({ columns }: SealedTable, parameter: string): string =>
  `(${columns.map((column) => `substring(${column} from 1 for ${KEY_ID_BYTES}) <> ${parameter}`).join(' or ')})`;

/** As it stands before a sealed value. */
const keyIdBytes = (keyId: number): Buffer => Buffer.from(u32(keyId));
